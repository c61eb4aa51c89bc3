"""Callers in several processes on one hot row of money; the full size runs in `./run bench budget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import hot_row

if TYPE_CHECKING:
    from openloop.storage.database import Database

CALLERS = 36
GAPS = (("counting", "reserved", "settled"), ("reserving", "settling"))


async def test_as_many_equal_calls_are_admitted_as_the_limit_affords_whoever_dies_where(
    database: Database,
) -> None:
    found = await hot_row.run(await hot_row.scene(database, CALLERS), GAPS)

    assert found.admitted == found.affordable == CALLERS // 2
    assert found.most_usd <= found.limit_usd
    assert (found.stranded, found.wrong_rows) == (0, 0)
    assert found.kills == sum(map(len, GAPS))
