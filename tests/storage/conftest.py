"""Rows that only a whole run writes, and homes for servers of their own."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.storage.embedded import EmbeddedPostgres
from tests.staging import clock as clock
from tests.staging import stage as stage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@contextmanager
def new_home() -> Generator[Path]:
    """Not pytest's tmp_path: root's is private, and root's server runs as another user."""
    home = Path(tempfile.mkdtemp(prefix="openloop-test-"))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def empty_home() -> Iterator[Path]:
    """A home in which nothing was ever started."""
    with new_home() as home:
        yield home


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A home with a database; whoever starts its server stops it again."""
    with new_home() as home:
        postgres = EmbeddedPostgres(home)
        postgres.start()
        postgres.leave()
        yield home
