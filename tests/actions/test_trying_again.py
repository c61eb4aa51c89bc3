"""To try a call again that may have happened takes as many people as it took at first."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import AlreadyDecided, NotAnApprover, OwnRequest
from openloop.storage import approvals
from tests.actions.asking import PEOPLE, edit, rule, stage_with
from tests.actions.deciding import decide

if TYPE_CHECKING:
    from openloop.domain.approval import Vote
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

SECURITY = {"security": ["@mallory"]}
THREE = {"maintainers": ["@priya", "@anna", "@mallory"], **SECURITY}


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need two maintainers; what became of a lost one cannot be found out."""
    return await without_answers(await stage_with(database, rule()))


async def without_answers(stage: Stage) -> Stage:
    stage.tracker.knows = False
    return stage


async def lost(stage: Stage, *, by: tuple[str, ...] = ("anna", "priya")) -> ConversationRef:
    """A call that these people approved, and whose answer was lost."""
    ref, _ = await stage.hold()
    for who in by:
        await decide(stage, ref, "approve", by=who)
    await lose(stage, ref)
    return ref


async def lose(stage: Stage, ref: ConversationRef) -> None:
    """The worker makes the call, and nobody hears what came of it."""
    stage.tracker.next = ["lost"]
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.UNKNOWN


async def state(stage: Stage, ref: ConversationRef) -> ApprovalState:
    return (await stage.approval(ref)).state


async def votes(stage: Stage, ref: ConversationRef) -> list[Vote]:
    async with stage.tx() as tx:
        return await approvals.list_votes(tx, (await stage.approval(ref)).id)


@pytest.mark.parametrize("door", ["click", "api"])
async def test_one_of_two_tries_nothing_again(stage: Stage, door: str) -> None:
    ref = await lost(stage)
    assert "To try it again takes 2 of @maintainers" in stage.surface.cards[-1].card.notes

    await again(stage, ref, "anna", door)
    await stage.work(ref)

    assert await state(stage, ref) is ApprovalState.UNKNOWN
    assert len(stage.tracker.writes) == 1
    told = stage.surface.settled[-1]
    assert told.outcome == "anna wants to try it again; 1 of 2 so far"
    assert told.card.title.startswith("Did this happen?")
    assert [button.action for button in told.buttons] == ["happened", "retry"]

    await again(stage, ref, "priya", door)
    await stage.work(ref)

    assert await state(stage, ref) is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 2
    first, second = await stage.audit("effect.intended")
    assert first.detail["approved_by"] == second.detail["approved_by"] == ["anna", "priya"]
    assert (first.detail["attempt"], second.detail["attempt"]) == (1, 2)


async def again(stage: Stage, ref: ConversationRef, who: str, door: str = "api") -> None:
    if door == "click":
        await stage.press("retry", by=who)
    else:
        await decide(stage, ref, "retry", by=who)


async def test_to_ask_for_one_longer_is_to_ask_for_no_other(stage: Stage, clock: Clock) -> None:
    """Neither for another lost call, nor for one that waits still."""
    ref = await lost(stage)
    other, _ = await stage.hold(await stage.mention(root="root-2"))
    for who in ("anna", "priya"):
        await decide(stage, other, "approve", by=who)
    await lose(stage, other)
    waiting, _ = await stage.hold(await stage.mention(root="root-3"))
    before = [(await stage.approval(each)).expires_at for each in (ref, other, waiting)]
    await clock.advance(hours=1)

    await again(stage, ref, "anna")

    after = [(await stage.approval(each)).expires_at for each in (ref, other, waiting)]
    assert after[0] > before[0]
    assert after[1:] == before[1:]


async def test_each_attempt_has_votes_of_its_own(stage: Stage) -> None:
    """Who wanted the second one has said nothing about a third."""
    ref = await lost(stage)
    for who in ("anna", "priya"):
        await again(stage, ref, who)
    await lose(stage, ref)

    await again(stage, ref, "anna")
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    assert len(stage.tracker.writes) == 2

    await again(stage, ref, "priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 3
    given = [(vote.decision, vote.attempt) for vote in await votes(stage, ref)]
    assert sorted(given) == [
        *([("approve", 1)] * 2),
        *([("retry", 2)] * 2),
        *([("retry", 3)] * 2),
    ]


async def test_one_person_is_one_vote(stage: Stage) -> None:
    ref = await lost(stage)
    await again(stage, ref, "anna", "click")
    with pytest.raises(AlreadyDecided, match="needs somebody else"):
        await again(stage, ref, "anna")
    assert await state(stage, ref) is ApprovalState.UNKNOWN


async def test_the_same_people_may_as_at_first(database: Database) -> None:
    stage = await without_answers(await stage_with(database, rule(), groups=THREE))
    ref, _ = await stage.hold(await stage.mention(by="priya"))
    for who in ("anna", "mallory"):
        await decide(stage, ref, "approve", by=who)
    await lose(stage, ref)
    with pytest.raises(NotAnApprover):
        await again(stage, ref, "ben")
    with pytest.raises(OwnRequest):
        await again(stage, ref, "priya")
    assert await votes(stage, ref) == [
        vote for vote in await votes(stage, ref) if vote.attempt == 1
    ]


async def test_every_rule_has_to_be_met_again(database: Database) -> None:
    both = (rule(quorum=1), rule(approvers=["@security"], quorum=1))
    stage = await without_answers(await stage_with(database, *both))
    ref = await lost(stage, by=("anna", "mallory"))
    await again(stage, ref, "anna")
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    await again(stage, ref, "mallory")
    assert await state(stage, ref) is ApprovalState.APPROVED


async def test_a_vote_counts_no_more_once_its_person_has_left(stage: Stage) -> None:
    await stage.revise_workspace({**PEOPLE, "groups": THREE})
    ref = await lost(stage)
    await again(stage, ref, "anna")
    left = {"maintainers": ["@priya", "@mallory"], **SECURITY}
    await stage.revise_workspace({**PEOPLE, "groups": left})
    await again(stage, ref, "priya")
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    await again(stage, ref, "mallory")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 2


async def test_nor_between_the_last_vote_and_the_effect(stage: Stage) -> None:
    """It is unknown again, and who still may has said so already."""
    await stage.revise_workspace({**PEOPLE, "groups": THREE})
    ref = await lost(stage)
    for who in ("anna", "priya"):
        await again(stage, ref, who)
    left = {"maintainers": ["@priya", "@mallory"], **SECURITY}
    await stage.revise_workspace({**PEOPLE, "groups": left})
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    assert len(stage.tracker.writes) == 1
    assert stage.surface.cards[-1].card.title.startswith("Did this happen?")
    await again(stage, ref, "mallory")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 2


async def test_what_was_said_too_long_ago_is_void(stage: Stage, clock: Clock) -> None:
    """Anna has looked three days ago; what she saw then need not be so."""
    ref = await lost(stage)
    await clock.advance(hours=60)
    await again(stage, ref, "anna")
    await clock.advance(hours=71)
    with pytest.raises(AlreadyDecided):
        await again(stage, ref, "anna")
    await clock.advance(hours=2)
    await again(stage, ref, "priya")
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    await again(stage, ref, "anna")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 2


async def test_two_at_once_are_both_counted_and_it_runs_once(stage: Stage) -> None:
    ref = await lost(stage)
    await asyncio.gather(*(stage.press("retry", by=who) for who in ("anna", "priya") * 3))
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 2


async def test_one_who_knows_that_it_happened_is_enough(stage: Stage) -> None:
    """That does nothing to the world, also where somebody wanted it tried again."""
    ref = await lost(stage)
    await again(stage, ref, "anna")
    await decide(stage, ref, "happened", by="priya")
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1


async def test_what_was_edited_is_tried_again_by_the_same_rules(database: Database) -> None:
    stage = await without_answers(await stage_with(database, rule(), groups=THREE))
    ref, _ = await stage.hold()
    await edit(stage, ref, by="anna", title="Another")
    await stage.work(ref)
    for who in ("priya", "mallory"):
        await stage.press("approve", by=who, token=stage.surface.settled[-1].buttons[0].token)
    await lose(stage, ref)
    for who in ("priya", "anna"):
        await stage.press("retry", by=who)
    await stage.work(ref)
    assert await state(stage, ref) is ApprovalState.UNKNOWN
    await stage.press("retry", by="mallory")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 2


async def test_where_one_is_enough_nothing_is_different(database: Database) -> None:
    stage = await without_answers(await stage_with(database, rule(quorum=1)))
    ref = await lost(stage, by=("anna",))
    assert len(stage.surface.cards[-1].card.notes) == 1
    await again(stage, ref, "priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 2


async def test_what_was_decided_before_the_upgrade_has_to_be_enough_by_itself(
    stage: Stage, clock: Clock
) -> None:
    """The migration once more, over rows as the version before it had them; then it is undone."""
    ref = await lost(stage)
    await again(stage, ref, "anna")
    migration = files("openloop.storage") / "migrations" / "0019_attempts.sql"
    with psycopg.connect(clock.owner) as connection:
        connection.execute("SET search_path TO openloop")
        connection.execute(
            """
            ALTER TABLE votes DROP CONSTRAINT votes_pkey, DROP COLUMN attempt,
                ADD PRIMARY KEY (approval_id, principal_id, round, decision, workspace_id);
            ALTER TABLE approvals DROP COLUMN attempt;
            """
        )
        connection.execute(migration.read_bytes())
        connection.execute("ALTER TABLE approvals NO FORCE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE votes NO FORCE ROW LEVEL SECURITY")
        found = connection.execute("SELECT decision, attempt FROM votes ORDER BY 1, 2").fetchall()
        assert found == [("approve", 1), ("approve", 1), ("retry", 2)]
        assert connection.execute("SELECT attempt FROM approvals").fetchall() == [(2,)]
        connection.rollback()
