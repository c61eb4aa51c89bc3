"""Votes where everybody can speak: nothing counts before the platform said what somebody may there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import Forbidden, TryLater
from openloop.domain.surface import Person
from openloop.runtime.choosing import Choosing
from openloop.runtime.sweep import Sweep
from tests import make
from tests.runtime.fakes import FakeSurface

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.errors import OpenLoopError
    from openloop.domain.surface import Place, Standing
    from openloop.storage.database import Database
    from tests.clock import Clock


@dataclass
class OpenSurface(FakeSurface):
    """A platform on which everybody speaks, and which says what they may."""

    standings: dict[str, Standing] = field(default_factory=dict[str, "Standing"])
    error: OpenLoopError | None = None
    asked: list[str] = field(default_factory=list[str])

    async def person_in(self, place: Place, user_id: str) -> Person:
        self.asked.append(user_id)
        if self.error is not None:
            raise self.error
        standing = self.standings.get(user_id, "none")
        return Person(id=user_id, name="", kind="member", standing=standing)


@dataclass(frozen=True)
class Held:
    """A held call, and what looks at the votes about it."""

    stage: make.Stage
    ref: ConversationRef
    token: str
    surface: OpenSurface

    async def vote(self, *, by: str = "anna", action: str = "approve") -> None:
        inbound = make.click(action, self.token, by=by)
        await self.stage.take(replace(inbound, from_anybody=True))

    async def look(self) -> None:
        await self.choosing().once()

    def choosing(self) -> Choosing:
        return Choosing(replace(self.stage.kit(), surfaces={"slack": self.surface}))

    async def state(self) -> ApprovalState:
        return (await self.stage.approval(self.ref)).state

    async def refusals(self) -> list[object]:
        return [each.detail["code"] for each in await self.stage.audit("click.refused")]


@pytest.fixture
async def held(database: Database) -> Held:
    stage = await make.stage(database)
    ref, token = await stage.hold()
    return Held(stage, ref, token, OpenSurface(standings={make.actor("anna").id: "write"}))


async def test_a_vote_counts_once_the_platform_lets_its_author_act_there(held: Held) -> None:
    await held.vote()
    assert await held.state() is ApprovalState.PENDING
    await held.look()
    assert await held.state() is ApprovalState.APPROVED
    assert await held.stage.count("choices") == 0


@pytest.mark.parametrize("standing", ["none", "read", "triage"])
async def test_an_approver_who_may_not_write_there_does_not_vote(
    held: Held, standing: Standing
) -> None:
    held.surface.standings[make.actor("anna").id] = standing
    await held.vote()
    await held.look()
    assert await held.state() is ApprovalState.PENDING
    assert await held.refusals() == ["no_right_in_place"]
    assert await held.stage.count("choices") == 0


async def test_who_may_write_there_and_is_no_approver_does_not_vote(held: Held) -> None:
    held.surface.standings[make.actor("ben").id] = "write"
    held.surface.standings["U0STRANGER"] = "write"
    await held.vote(by="ben")
    await held.look()
    assert await held.state() is ApprovalState.PENDING
    assert await held.refusals() != ["no_right_in_place"]


async def test_a_vote_that_is_delivered_again_is_one(held: Held) -> None:
    inbound = replace(make.click("approve", held.token, by="anna"), from_anybody=True)
    for _ in range(3):
        await held.stage.take(inbound)
    await held.look()
    await held.stage.take(inbound)
    await held.look()
    assert held.surface.asked == [make.actor("anna").id]
    assert await held.refusals() == []


async def test_where_the_platform_declines_to_say_nobody_votes(held: Held) -> None:
    held.surface.error = Forbidden("Must have push access")
    await held.vote()
    await held.look()
    assert await held.state() is ApprovalState.PENDING
    assert await held.refusals() == ["no_right_in_place"]


async def test_where_it_cannot_be_asked_the_vote_waits_and_not_for_ever(
    held: Held, clock: Clock
) -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    held.surface.error = TryLater("Too many requests", retry_at=later)
    await held.vote()
    await held.look()
    await clock.advance(seconds=50)
    await held.look()
    assert len(held.surface.asked) == 1  # not before the time that the platform named
    await clock.advance(seconds=20)
    held.surface.error = None
    await held.look()
    assert await held.state() is ApprovalState.APPROVED

    held.surface.error = TryLater("Too many requests")
    await held.vote(by="anna", action="deny")
    for minutes in (0, 5, 6):
        await clock.advance(minutes=minutes)
        await held.look()
    assert await held.refusals() == ["platform_says_nothing"]
    assert await held.stage.count("choices") == 0


async def test_what_nobody_looks_at_is_forgotten(held: Held, clock: Clock) -> None:
    await held.vote()
    sweep = Sweep(held.stage.database, held.stage.configuration, lambda _: None)
    await sweep.once(tidy=True)
    assert await held.stage.count("choices") == 1
    await clock.advance(days=2)
    await sweep.once(tidy=True)
    assert await held.stage.count("choices") == 0


async def test_of_many_workers_one_looks_at_a_vote(held: Held) -> None:
    held.surface.standings[make.actor("ben").id] = "none"
    for _ in range(5):
        await held.vote(by="ben")
    await asyncio.gather(*(held.choosing().once() for _ in range(4)))
    assert len(held.surface.asked) == 5
    assert await held.refusals() == ["no_right_in_place"] * 5


async def test_a_vote_in_a_thread_where_no_agent_spoke_is_not_kept(held: Held) -> None:
    await held.stage.take(
        replace(make.click("approve", held.token, by="anna", root="root-9"), from_anybody=True)
    )
    assert await held.stage.count("choices") == 0
