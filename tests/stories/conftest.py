"""What the stories start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.testing.homes import temporary_home

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def examples() -> Path:
    """The examples of this checkout."""
    return ROOT / "examples"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for an installation; pytest's own lets nobody else pass through."""
    with temporary_home("ol-") as home:
        yield home
