"""Attacks on effects: what was stopped, has expired or may have happened is not done (again)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import effects
from openloop.actions.cancel import cancel
from openloop.actions.waiting import withdraw
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM, Who
from openloop.domain.run import RunState
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.test_context import said

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.step import Step
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

STANDING: dict[str, Any] = {
    "approvals": {
        "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
        "approvers": ["@maintainers"],
    }
}


def create(title: str) -> tuple[str, str]:
    return "github__create_issue", json.dumps({"repo": "acme/platform", "title": title})


async def two_approved_writes(stage: Stage) -> ConversationRef:
    """One step asks for two writes, and people approve both before a worker goes on."""
    stage.models.turns = [reply("Two.", create("one"), create("two")), reply("All done.")]
    ref = await stage.mention()
    await stage.work(ref)
    for token in stage.tokens():
        await stage.press("approve", by="anna", token=token)
    return ref


async def approvals_of(stage: Stage) -> list[tuple[str, str]]:
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT state, reason FROM approvals ORDER BY step_seq")
    return [(state, reason) for state, reason in found]


# --- stop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["word", "signal"])
async def test_a_stop_during_one_approved_write_keeps_the_next_from_running(
    stage: Stage, how: str
) -> None:
    ref = await two_approved_writes(stage)

    async def stop_now(key: str) -> None:
        stage.tracker.after = None
        await stage.say("stop", by="anna", kind="message" if how == "word" else "stopped")

    stage.tracker.after = stop_now
    await stage.work(ref)

    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["one"]
    assert (await stage.run_of(ref)).state is RunState.CANCELLED
    assert [state for state, _ in await approvals_of(stage)] == ["executed", "withdrawn"]


async def test_both_approved_writes_run_where_nobody_says_stop(stage: Stage) -> None:
    ref = await two_approved_writes(stage)
    await stage.work(ref)

    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["one", "two"]
    assert stage.surface.said == ["All done."]


# --- unknown -------------------------------------------------------------------------------------


async def unknown(stage: Stage) -> tuple[ConversationRef, Approval]:
    """An approved write that happened, whose answer was lost, and that cannot be found yet."""
    ref, _ = await stage.hold()
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    await stage.press("approve", by="anna")
    await stage.work(ref)
    approval = await stage.approval(ref)
    assert approval.state is ApprovalState.UNKNOWN
    return ref, approval


async def test_a_retry_looks_once_more_before_it_does_it_again(stage: Stage) -> None:
    """The list of the other side lagged behind; the person who looked saw the same stale list."""
    ref, _ = await unknown(stage)
    stage.tracker.knows = True

    await stage.press("retry", by="anna")
    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert stage.surface.said == ["All done."]


async def test_a_retry_of_what_is_not_there_is_made(stage: Stage) -> None:
    ref, _ = await stage.hold()
    stage.tracker.next = ["lost before"]
    await stage.press("approve", by="anna")
    await stage.work(ref)
    assert stage.tracker.issues == {}

    await stage.press("retry", by="priya")
    await stage.work(ref)

    assert len(stage.tracker.issues) == 1
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED


async def test_a_write_under_a_standing_rule_whose_answer_was_lost_is_shown_to_people(
    database: Database,
) -> None:
    """The model is told, too, but a model may keep it to itself."""
    stage = await make.stage(database, agent=STANDING)
    stage.models.turns = [reply("Opening.", make.CREATE), reply("Everything is fine.")]
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    ref = await stage.mention()

    await stage.work(ref)

    assert await stage.kinds("effect") == ["effect.intended", "effect.unknown"]
    [told, answer] = stage.surface.said
    assert "github__create_issue" in told
    assert "may have happened" in told
    assert answer == "Everything is fine."


# --- expiry --------------------------------------------------------------------------------------


async def test_what_was_approved_in_time_does_not_run_after_its_time(
    stage: Stage, clock: Clock
) -> None:
    """No worker was there for days: what people agreed to then is not what they want now."""
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")

    await clock.advance(hours=73)
    await stage.work(ref)

    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.STALE
    told = stage.models.requests[-1].messages[-1].content
    assert "too late" in told


async def test_a_retry_counts_from_when_it_was_decided(stage: Stage, clock: Clock) -> None:
    ref, _ = await unknown(stage)
    stage.tracker.issues.clear()
    await clock.advance(hours=100)

    await stage.press("retry", by="anna")
    await stage.work(ref)

    assert len(stage.tracker.issues) == 1
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED


async def test_a_retry_is_good_for_as_long_as_the_call_might_have_waited(
    stage: Stage, clock: Clock
) -> None:
    """No worker was there for days after the decision: people are asked again what is true."""
    ref, _ = await unknown(stage)
    stage.tracker.issues.clear()
    await clock.advance(hours=100)
    await stage.press("retry", by="anna")
    before = len(stage.tracker.writes)

    await clock.advance(hours=73)
    await stage.work(ref)

    approval = await stage.approval(ref)
    assert approval.state is ApprovalState.UNKNOWN
    assert "too late" in approval.reason
    assert len(stage.tracker.writes) == before

    await stage.press("retry", by="anna")
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED


async def test_what_may_have_happened_is_not_called_undone_when_it_is_given_up(
    stage: Stage,
) -> None:
    ref, approval = await unknown(stage)
    await stage.press("retry", by="anna")
    by = Who(kind="system", name="ben")
    await withdraw(stage.database, stage.workspace, approval.id, by=by, reason="enough")

    await stage.work(ref)

    told = stage.models.requests[-1].messages[-1].content
    assert "may have happened" in told
    [step] = [each for each in await stage.steps(await stage.run_of(ref)) if each.effect]
    assert step.output is not None
    assert step.output["outcome"] == "unknown"


# --- what a model answers ------------------------------------------------------------------------


async def test_an_answer_with_a_nul_character_is_an_answer(stage: Stage) -> None:
    """Postgres takes no NUL: six paid calls and a failed run for one byte."""
    stage.models.turns = [reply("All\x00 done.")]
    ref = await stage.mention()

    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    assert len(stage.models.requests) == 1


async def test_a_tool_name_with_a_nul_character_is_no_tool(stage: Stage) -> None:
    stage.models.turns = [reply("Hm.", ("github\x00", '{"a": "\x00"}')), reply("All done.")]
    ref = await stage.mention()

    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    assert len(stage.models.requests) == 2


async def test_a_thread_with_a_nul_character_is_read(stage: Stage) -> None:
    stage.surface.thread = [said("be\x00fore", by="an\x00na")]
    ref = await stage.mention(root="older")

    await stage.work(ref)

    assert stage.surface.said == ["All done."]


# --- cancel --------------------------------------------------------------------------------------


async def test_after_a_cancel_is_acknowledged_no_approved_write_begins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker had read the run as it was before, and is about to use the approval up."""
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    run, begin = await stage.run_of(ref), effects.begin

    async def overtaken(*parts: Any, **named: Any) -> Step:
        await cancel(stage.database, stage.workspace, run.id, by=SYSTEM)
        monkeypatch.setattr(effects, "begin", begin)
        return await begin(*parts, **named)

    monkeypatch.setattr(effects, "begin", overtaken)
    await stage.work(ref)

    assert stage.tracker.writes == []
    assert (await stage.run_of(ref)).state is RunState.CANCELLED
    assert [state for state, _ in await approvals_of(stage)] == ["withdrawn"]
