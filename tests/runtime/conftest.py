"""A runtime without a network, and the database's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.storage.database import Database
    from tests.make import Clock, Stage


@pytest.fixture
async def stage(database: Database) -> Stage:
    """A workspace with one agent in #DEV."""
    return await make.stage(database)


@pytest.fixture
def clock(conninfo: str) -> Iterator[Clock]:
    """The database clock, which can be put forward."""
    clock = make.Clock(conninfo)
    yield clock
    clock.restore()
