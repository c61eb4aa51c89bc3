"""Temporary folders in which an installation can live."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def temporary_home(prefix: str = "openloop-") -> Generator[Path]:
    """A folder that is gone afterwards, whatever happens.

    Anybody may pass through it, as root's Postgres has to, which runs as another user; and its
    path is short, as those of sockets have to be.
    """
    home = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        home.chmod(0o711)
        yield home
    finally:
        shutil.rmtree(home)
