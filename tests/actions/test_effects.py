"""Effects: what was approved runs once and as it was shown, or a person is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.actions import effects, endings
from openloop.actions.cancel import cancel
from openloop.actions.vote import vote
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.domain.ids import new_id
from openloop.domain.run import RunState
from openloop.domain.surface import Settle
from openloop.storage import approvals
from tests import make
from tests.actions.deciding import approved, decide, unknown, whispers, without_anna
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.approval import Approval, Decision
    from openloop.domain.conversation import ConversationRef
    from tests.make import Clock, Stage


# --- what changed between the decision and the call ----------------------------------------------


async def assert_stale(stage: Stage, ref: ConversationRef, because: str) -> None:
    """The call is not made, the card and the model are told why, and the run goes on."""
    await stage.work(ref)
    approval = await stage.approval(ref)
    assert stage.tracker.writes == []
    assert approval.state is ApprovalState.STALE
    assert because in approval.reason
    assert stage.surface.settled[-1].outcome.startswith("Not done: ")
    assert "stale" in stage.models.requests[-1].messages[-1].content
    assert (await stage.run_of(ref)).state is RunState.DONE
    assert "effect.intended" not in await stage.kinds()


async def assert_asked_anew(stage: Stage, ref: ConversationRef, because: str) -> None:
    """The call is not made, the old card says why, and people are asked by the rules of now."""
    await stage.work(ref)
    stale, anew = await stage.approvals(ref)
    assert stage.tracker.writes == []
    assert (stale.state, anew.state) == (ApprovalState.STALE, ApprovalState.PENDING)
    assert because in stale.reason
    assert stage.surface.settled[-1].outcome.startswith("Stale: ")
    assert len(stage.surface.cards) == 2
    assert (await stage.run_of(ref)).state is RunState.WAITING
    assert "effect.intended" not in await stage.kinds()


async def assert_open_again(stage: Stage, ref: ConversationRef, because: str) -> None:
    """The call is not made: its votes count no more, and whoever may now is asked again."""
    await stage.work(ref)
    [approval] = await stage.approvals(ref)
    assert stage.tracker.writes == []
    assert approval.state is ApprovalState.PENDING
    assert because in approval.reason
    assert stage.surface.settled[-1].outcome.startswith("Open again: ")
    assert "effect.intended" not in await stage.kinds()

    await stage.press("approve", by="priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_an_approver_who_left_the_group_approved_nothing(stage: Stage) -> None:
    ref = await approved(stage)
    await stage.revise_workspace({"groups": {"maintainers": ["@priya"]}})
    await assert_open_again(stage, ref, "the vote of anna does not count any more")


async def test_an_approver_who_left_the_workspace_approved_nothing(stage: Stage) -> None:
    ref = await approved(stage)
    await without_anna(stage)
    await assert_open_again(stage, ref, "the vote of anna does not count any more")


async def test_an_agent_that_lost_the_permission_does_nothing(stage: Stage) -> None:
    ref = await approved(stage)
    await stage.revise({"tools": [], "approvals": {}})
    await assert_stale(stage, ref, "not permitted any more")


async def test_a_repository_that_was_taken_off_the_list_is_not_touched(stage: Stage) -> None:
    ref = await approved(stage)
    await stage.revise_workspace(
        {"integrations": {"slack": {"team": "T0ACME"}, "github": {"repos": ["acme/other"]}}}
    )
    await assert_stale(stage, ref, "not permitted any more")


async def test_other_approvers_void_what_was_approved(stage: Stage) -> None:
    ref = await approved(stage)
    rules = {"require_for": ["github.issues:write"], "approvers": ["@maintainers", "@priya"]}
    await stage.revise({"approvals": rules})
    await assert_asked_anew(stage, ref, "who decides it changed")


async def test_a_changed_tool_voids_what_was_approved(stage: Stage) -> None:
    ref = await approved(stage)
    [tool, *others] = stage.tracker.toolset().tools
    changed = replace(tool, description="Open an issue, and close all others.")
    stage.registry = make.registry_of(changed, *others)
    await assert_asked_anew(stage, ref, "tool changed")


async def test_a_tool_that_is_gone_voids_what_was_approved(stage: Stage) -> None:
    ref = await approved(stage)
    stage.registry = make.registry_of()
    await assert_stale(stage, ref, "the tool is not there any more")


@pytest.mark.parametrize(
    "tampering",
    [
        """arguments = '{"repo":"acme/platform","title":"Something else"}'::bytea""",
        """preconditions = preconditions || '{"resource": "acme/other"}'""",
        "hash = repeat('0', 64)",
        "tool = 'github__get_issue'",
    ],
)
async def test_stored_bytes_that_were_changed_do_not_run(
    stage: Stage, superuser: str, tampering: str
) -> None:
    ref = await approved(stage)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"UPDATE openloop.approvals SET {tampering}")  # noqa: S608  # pyright: ignore
    await assert_stale(stage, ref, "the stored bytes are not those that were approved")


async def test_an_unrelated_revision_leaves_it_valid(stage: Stage) -> None:
    ref = await approved(stage)
    await stage.revise({"instructions": "Be kind.", "limits": {"steps": 7}})
    await stage.revise_workspace({"budget": {"monthly_usd": 150}})

    await stage.work(ref)

    assert len(stage.tracker.issues) == 1


async def test_a_revision_that_loosens_does_not_free_what_was_asked(stage: Stage) -> None:
    """The run began under a revision that holds; it is decided by the stricter of the two."""
    ref, _ = await stage.hold()
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    await stage.revise({"approvals": {"allow": [rule], "approvers": ["@maintainers"]}})

    await stage.work(ref)

    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_what_was_approved_in_time_is_not_done_too_late(stage: Stage, clock: Clock) -> None:
    ref = await approved(stage)
    await clock.advance(hours=73)
    await assert_stale(stage, ref, "too late")


async def test_a_lost_answer_may_be_asked_about_for_longer(stage: Stage, clock: Clock) -> None:
    """A retry is a decision of its own, and not what was once approved in time."""
    ref = await unknown(stage)
    await clock.advance(hours=200)

    await stage.press("retry", by="priya")
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 2


async def test_a_retry_looks_once_more_before_it_repeats(stage: Stage) -> None:
    """What people looked at may lag behind."""
    ref = await unknown(stage)
    stage.tracker.knows = True

    await stage.press("retry", by="priya")
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1


# --- used up once --------------------------------------------------------------------------------


async def test_twenty_executors_use_an_approval_up_once(stage: Stage) -> None:
    ref = await approved(stage)
    approval = await stage.approval(ref)
    used = await asyncio.gather(*(_consume(stage, approval) for _ in range(20)))
    assert sum(used) == 1


async def _consume(stage: Stage, approval: Approval) -> bool:
    async with stage.tx() as tx:
        return await approvals.consume(tx, approval)


async def test_an_approval_is_for_its_own_bytes(stage: Stage) -> None:
    ref = await approved(stage)
    approval = await stage.approval(ref)
    assert not await _consume(stage, replace(approval, hash="0" * 64))
    assert await _consume(stage, approval)


@pytest.mark.parametrize("action", ["approve", "deny"])
async def test_an_intent_needs_an_approval_that_is_open(stage: Stage, action: Decision) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, action, by="anna")
    work = await stage.claim(ref)
    assert work.run is not None
    [approval] = work.approvals
    step = next(step for step in work.steps if step.seq == approval.step_seq)
    if action == "approve":
        assert await _consume(stage, approval)

    with pytest.raises(LostClaim):
        await effects.begin(
            stage.database,
            stage.configuration,
            work,
            work.run,
            step,
            approval,
            recheck=lambda _, __: None,
        )
    assert "effect.intended" not in await stage.kinds()


# --- after the decision --------------------------------------------------------------------------


async def test_a_refusal_is_told_to_the_model_and_the_run_goes_on(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        "deny",
        by=await stage.principal("anna"),
        via="api",
        reason="not before Friday",
    )

    await stage.work(ref)

    assert stage.tracker.writes == []
    told = stage.models.requests[-1].messages[-1]
    assert (told.role, told.tool_call_id) == ("tool", "call-0")
    assert "A person rejected this: not before Friday" in told.content
    assert stage.surface.said == ["All done."]
    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_a_run_that_is_stopped_withdraws_what_it_asked(stage: Stage) -> None:
    ref, token = await stage.hold()
    await stage.say("stop", by="anna")
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.WITHDRAWN
    assert stage.surface.settled[-1].outcome == "Withdrawn: stopped by anna"
    await stage.press("approve", by="anna", token=token)
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.WITHDRAWN
    assert stage.tracker.writes == []


async def test_a_run_that_was_approved_and_stopped_does_nothing_more(stage: Stage) -> None:
    ref = await approved(stage)
    run = await stage.run_of(ref)
    await cancel(stage.database, stage.workspace, run.id, by=SYSTEM)

    await stage.work(ref)

    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.WITHDRAWN
    assert (await stage.run_of(ref)).state is RunState.CANCELLED


async def test_every_rendered_copy_is_settled(stage: Stage) -> None:
    ref, _ = await stage.hold()
    approval = await stage.approval(ref)
    work = await stage.claim_by_force(ref)
    async with stage.tx() as tx:  # the card is shown a second time
        assert work.run is not None
        await make.ask_again(tx, work, work.run, approval)
    await stage.lapse(ref)
    await stage.work(ref)
    assert len(stage.surface.cards) == 2

    await stage.press("deny", by="anna")
    await stage.work(ref)

    rendered = {f"m-{key}" for key, op in stage.surface.posted.items() if op in stage.surface.cards}
    settled = {
        op.message_id
        for op in stage.surface.posted.values()
        if isinstance(op, Settle) and op.outcome == "Rejected by anna"
    }
    assert settled == rendered
    assert len(settled) == 2


async def test_an_answer_that_was_lost_and_found_is_done(stage: Stage) -> None:
    ref = await approved(stage)
    stage.tracker.next = ["lost"]

    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1
    assert stage.surface.said == ["All done."]


async def test_an_answer_that_was_lost_for_good_is_asked_about(stage: Stage) -> None:
    ref = await unknown(stage)

    assert (await stage.run_of(ref)).state is RunState.WAITING
    card = stage.surface.cards[-1]
    assert card.card.title.startswith("Did this happen?")
    assert [button.action for button in card.buttons] == ["happened", "retry"]
    assert "Unknown" in stage.surface.settled[-1].outcome
    assert len(stage.tracker.writes) == 1
    assert "effect.unknown" in await stage.kinds()


async def test_a_person_says_that_it_happened(stage: Stage) -> None:
    ref = await unknown(stage)

    await stage.press("happened", by="priya")
    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert "says that this happened" in stage.models.requests[-1].messages[-1].content
    assert stage.surface.said == ["All done."]


async def test_a_person_has_it_tried_again(stage: Stage) -> None:
    ref = await unknown(stage)
    [first] = stage.tracker.writes

    await stage.press("retry", by="priya")
    await stage.work(ref)

    assert stage.tracker.writes == [first, first]  # under the same idempotency key
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert stage.surface.said == ["All done."]


@pytest.mark.parametrize("by", ["ben", "stranger"])
@pytest.mark.parametrize("action", ["retry", "happened"])
async def test_nobody_else_says_what_is_true(stage: Stage, action: str, by: str) -> None:
    ref = await unknown(stage)
    await stage.press(action, by=by)
    assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN


async def test_the_old_buttons_are_void_then(stage: Stage) -> None:
    ref = await approved(stage)
    old = stage.token()
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    await stage.work(ref)

    await stage.press("retry", by="priya", token=old)

    assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN


async def test_nothing_is_tried_again_for_a_run_that_is_over(stage: Stage) -> None:
    ref = await unknown(stage)
    await stage.say("stop", by="anna")
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is RunState.CANCELLED

    await stage.press("retry", by="priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1
    assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN
    assert "cancelled already" in whispers(stage)[-1]

    await stage.press("happened", by="priya")
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED


async def test_what_a_dead_worker_began_is_looked_up_before_the_run_is_stopped(
    stage: Stage,
) -> None:
    ref = await make.killed_after_the_effect(stage, await approved(stage))
    await stage.say("stop", by="anna")

    await stage.sweep_and_work(ref)

    assert (await stage.run_of(ref)).state is RunState.CANCELLED
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 1


async def test_a_run_that_ends_shows_as_unknown_what_it_never_heard_of_again(
    stage: Stage,
) -> None:
    ref = await make.killed_after_the_effect(stage, await approved(stage))
    await stage.lapse(ref)
    work = await stage.claim(ref)
    assert work.run is not None

    await endings.end(
        stage.database, work, work.run, RunState.FAILED, outcome="failed", by=work.agent
    )
    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN
    assert stage.surface.settled[-1].outcome.startswith("Unknown")
    assert "effect.unknown" in await stage.kinds()


async def test_a_busy_platform_is_tried_again_later_and_stays_approved(stage: Stage) -> None:
    ref = await approved(stage)
    stage.tracker.next = ["later", "later"]

    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED
    await stage.sweep_and_work(ref)
    await stage.sweep_and_work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    assert len(stage.tracker.writes) == 3
    assert len(stage.tracker.issues) == 1


async def test_what_the_platform_declines_is_told_to_the_model(stage: Stage) -> None:
    ref = await approved(stage)
    stage.tracker.next = ["declined"]

    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.FAILED
    assert stage.surface.settled[-1].outcome == "Failed: The tracker declined"
    assert "effect.failed" in await stage.kinds()
    assert stage.surface.said == ["All done."]


async def test_a_person_who_steered_may_decide(stage: Stage) -> None:
    ref = await stage.mention(by="ben")
    await stage.say("in acme/platform, please", by="anna")
    await stage.hold(ref)

    await stage.press("approve", by="anna")

    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_two_held_calls_are_decided_one_by_one(stage: Stage) -> None:
    second = ("github__create_issue", '{"repo": "acme/platform", "title": "Second"}')
    stage.models.turns = [reply("Two of them.", make.CREATE, second), reply("All done.")]
    ref = await stage.mention()
    await stage.work(ref)
    one, two = stage.tokens()

    await stage.press("deny", by="anna", token=two)
    await stage.work(ref)
    assert stage.surface.said == []
    await stage.press("approve", by="anna", token=one)
    await stage.work(ref)

    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["Move to Postgres 16"]
    results = [m.content for m in stage.models.requests[-1].messages if m.role == "tool"]
    assert ["rejected" in result for result in results] == [False, True]


async def test_no_one_is_found_behind_an_approval_that_is_not_there(stage: Stage) -> None:
    await stage.hold()
    with pytest.raises(Exception, match="No approval"):
        await vote(
            stage.database,
            stage.configuration,
            stage.workspace,
            new_id(),  # pyright: ignore[reportArgumentType]
            "approve",
            by=await stage.principal("anna"),
            via="api",
        )
