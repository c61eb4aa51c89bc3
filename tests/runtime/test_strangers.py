"""Where everybody can speak: nobody is answered, stopped or silenced by those who may not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from openloop.actions.cancel import cancel
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Invalid, Unavailable
from openloop.domain.run import RunState
from openloop.domain.surface import Person
from tests.runtime.fakes import FakeSurface

if TYPE_CHECKING:
    from openloop.domain.errors import OpenLoopError
    from openloop.domain.surface import Place, Thread
    from tests.make import Stage


@dataclass
class OpenSurface(FakeSurface):
    """Anna may write, and nobody else may anything."""

    stale: bool | OpenLoopError = field(default=False)

    async def person_in(self, place: Place, user_id: str) -> Person:
        standing = "write" if user_id == "U0ANNA" else "none"
        return Person(id=user_id, name="", kind="member", standing=standing)

    async def is_stale(self, thread: Thread, message_id: str) -> bool:
        if isinstance(self.stale, bool):
            return self.stale
        raise self.stale


@pytest.fixture
def surface(stage: Stage) -> OpenSurface:
    stage.surface = OpenSurface()
    return stage.surface


async def outcomes(stage: Stage) -> list[tuple[str, RunState]]:
    runs = sorted(await stage.runs(), key=lambda run: run.queued_at)
    return [(run.requested_by.id, run.state) for run in runs]


async def test_a_stranger_who_takes_a_mention_back_stops_and_silences_nobody(
    stage: Stage, surface: OpenSurface
) -> None:
    ref = await stage.mention("hello", by="mallory", message_id="m1")
    await stage.say("why does it fail?", by="anna", message_id="m2", addressed="mention")
    await stage.say("", by="mallory", message_id="m1", kind="deleted")

    await stage.work(ref)

    assert await outcomes(stage) == [
        ("U0MALLORY", RunState.DECLINED),
        ("U0ANNA", RunState.DONE),
    ]
    assert len(surface.said) == 1


async def test_a_run_of_a_stranger_that_somebody_cancels_is_not_spoken_of(
    stage: Stage, surface: OpenSurface
) -> None:
    ref = await stage.mention("hello", by="mallory")
    await cancel(stage.database, stage.workspace, (await stage.run_of(ref)).id, by=SYSTEM)

    await stage.work(ref)

    assert await outcomes(stage) == [("U0MALLORY", RunState.DECLINED)]
    assert surface.said == []


async def test_and_one_of_somebody_who_may_ask_is_cancelled_aloud(
    stage: Stage, surface: OpenSurface
) -> None:
    ref = await stage.mention("hello", by="anna")
    await cancel(stage.database, stage.workspace, (await stage.run_of(ref)).id, by=SYSTEM)

    await stage.work(ref)

    assert await outcomes(stage) == [("U0ANNA", RunState.CANCELLED)]
    assert len(surface.said) == 1


@pytest.mark.parametrize(
    ("stale", "state"),
    [
        (False, RunState.DONE),
        (True, RunState.DECLINED),
        (Invalid("There is no such commit"), RunState.DECLINED),
        (Unavailable("GitHub is away"), RunState.QUEUED),
    ],
    ids=["news", "no news", "nobody knows", "away"],
)
async def test_where_nobody_can_say_whether_it_is_news_it_is_none(
    stage: Stage, surface: OpenSurface, *, stale: bool | OpenLoopError, state: RunState
) -> None:
    ref = await stage.mention(by="anna")
    surface.stale = stale

    await stage.work(ref)

    assert await outcomes(stage) == [("U0ANNA", state)]
    assert len(surface.said) == (state is RunState.DONE)
