"""The corpus and a few hundred changed inputs; `./run bench fuzz --minutes N` goes on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.conftest import open_api
from tests.guarantees import fuzzing, fuzzing_api

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage


BUSY_SECONDS = 3 * fuzzing.MOST_CPU_SECONDS
"""Other tests run beside this one, and share its processor's caches; the bench takes the limit itself."""


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_no_input_breaks_what_reads_it_or_takes_long(target: str) -> None:
    tally = fuzzing.run(target, inputs=200, seed=0, most_seconds=BUSY_SECONDS)
    assert tally.inputs[target] >= 200 + len(fuzzing.corpus(target))
    assert list(map(str, tally.findings)) == []


async def test_no_request_is_answered_with_500_or_takes_long(
    database: Database, stage: Stage
) -> None:
    async with open_api(database, stage.workspace) as api:
        tally = await fuzzing_api.run(api, inputs=300, seed=0, most_seconds=BUSY_SECONDS)
    assert tally.inputs[fuzzing_api.TARGET] == 300
    assert list(map(str, tally.findings)) == []


def test_a_crash_and_a_slow_input_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what reads badly is told apart."""

    def breaks(raw: bytes) -> None:
        if b"\x00" in raw:
            raise KeyError(raw[:10])

    monkeypatch.setitem(fuzzing.TARGETS, "json", breaks)
    assert any("KeyError" in each.what for each in fuzzing.run("json", inputs=300, seed=0).findings)
