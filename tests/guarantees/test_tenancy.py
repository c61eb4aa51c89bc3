"""A small soak; `./run bench tenancy` runs a hundred thousand transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.storage.database import Database
from tests.guarantees.soak import NAME, furnish, session_level, soak

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.guarantees.soak import World


@pytest.fixture
async def world(database: Database, superuser: str) -> World:
    return await furnish(database, superuser)


@pytest.fixture
async def pool(conninfo: str) -> AsyncIterator[Database]:
    opened = Database(conninfo, size=6, name=NAME)
    await opened.open()
    yield opened
    await opened.close()


async def test_no_transaction_sees_touches_or_leaves_a_row_of_another_workspace(
    world: World, pool: Database, superuser: str
) -> None:
    tally = await soak(pool, superuser, world, transactions=2_000)
    assert (tally.foreign_rows, tally.left_behind) == (0, 0)
    assert tally.transactions == 2_000
    assert tally.own_rows > 5_000
    for end in ("commit", "rollback", "cancel", "directory", "DivisionByZero", "killed"):
        assert tally.ends.get(end, 0) > 0, end


async def test_a_workspace_that_is_set_for_the_session_leaks(
    world: World, pool: Database, superuser: str
) -> None:
    """The control: if this stayed clean, the test above would show nothing."""
    with session_level():
        tally = await soak(pool, superuser, world, transactions=200)
    assert tally.left_behind > 0
