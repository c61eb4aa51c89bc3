"""A small race for approvals; `./run bench approvals` runs it at full size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.guarantees.races import race

if TYPE_CHECKING:
    from pathlib import Path

    from openloop.storage.database import Database


async def test_of_everything_that_races_at_most_one_effect_comes(
    database: Database, tmp_path: Path
) -> None:
    tally = await race(
        database,
        tmp_path / "effects",
        processes=2,
        voters=6,
        rounds=6,
        workers=2,
    )
    assert tally.broken == []
    assert tally.rounds == 6
    assert tally.effects > 0
    assert {"edit", "withdraw", "deny", "leave", "lose their role", "expire"} <= tally.tried.keys()
