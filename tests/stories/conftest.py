"""What the stories start from."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples() -> Path:
    """The examples of this checkout."""
    return ROOT / "examples"


@pytest.fixture
def home() -> Iterator[Path]:
    """A short folder that any user may pass through: as root, Postgres is another user."""
    folder = Path(tempfile.mkdtemp(prefix="ol-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
