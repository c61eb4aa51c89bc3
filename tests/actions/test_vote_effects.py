"""What a vote leaves behind, whichever door it comes through, and what becomes of one that does not count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.opening import open_approval
from openloop.actions.pause import pause
from openloop.actions.vote import click, vote
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import AlreadyDecided, Edited, OwnRequest
from openloop.domain.pause import Paused, PauseScope
from openloop.domain.surface import Say, Settle, Whisper
from openloop.storage import approvals, principals
from tests import make
from tests.actions.asking import edit, rule, stage_with
from tests.actions.deciding import decide, unknown
from tests.actions.holding import too_late, woken

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.surface import Inbound
    from openloop.storage.database import Database
    from tests.make import Stage

THREE = {"maintainers": ["@priya", "@anna", "@mallory"], "security": ["@mallory"]}


async def press(stage: Stage, event: Inbound) -> bool:
    """True where the click was carried out."""
    return await click(stage.database, stage.configuration, stage.workspace, event)


async def voted(stage: Stage, approval: Approval, who: str, **how: Any) -> Approval:
    """A vote through the API."""
    given: dict[str, Any] = {"decision": "approve", "seen": approval.hash, **how}
    return await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        given.pop("decision"),
        by=await stage.principal(who),
        via="api",
        **given,
    )


async def drawn(stage: Stage, ref: ConversationRef) -> Settle:
    """What the card is to show next."""
    await stage.work(ref)
    return stage.surface.settled[-1]


async def queued(stage: Stage, ref: ConversationRef, op: str) -> list[dict[str, object]]:
    """What stands in the outbox of a conversation, of one sort."""
    return [row.op for row in await stage.outbox(ref) if row.op["op"] == op]


# --- votes that count ----------------------------------------------------------------------------


async def test_each_of_three_votes_once_in_each_round(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=3), groups=THREE)
    ref, held = await stage.hold_quietly()
    for who in ("anna", "mallory"):
        pending = await voted(stage, held, who)
        assert (pending.id, pending.state) == (held.id, ApprovalState.PENDING)
    with pytest.raises(AlreadyDecided, match="needs somebody else"):
        await voted(stage, held, "anna")

    edited = await edit(stage, ref, by="priya", title="Another")
    assert (await voted(stage, edited, "anna")).state is ApprovalState.PENDING
    async with stage.tx() as tx:
        votes = await approvals.list_votes(tx, held.id)
    anna, mallory = [(await stage.principal(who)).id for who in ("anna", "mallory")]
    assert [(each.principal_id, each.round) for each in votes] == [
        (anna, 1),
        (mallory, 1),
        (anna, 2),
    ]
    assert {(each.decision, each.via) for each in votes} == {("approve", "api")}


async def test_a_decision_wakes_its_run_and_is_kept_with_who_made_it(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    wakes, asked = await woken(stage, ref)

    approved = await voted(stage, held, "anna", reason="it is time")

    assert (approved.state, approved.reason) == (ApprovalState.APPROVED, "it is time")
    assert approved.decided_by == (await stage.principal("anna")).id
    assert approved.decided_at is not None
    async with stage.tx() as tx:
        [given] = await approvals.list_votes(tx, held.id)
    assert (given.principal_id, given.decision, given.via) == (
        approved.decided_by,
        "approve",
        "api",
    )
    assert await woken(stage, ref) == (wakes + 1, asked + 1)
    outcomes = [op["outcome"] for op in await queued(stage, ref, "Settle")]
    assert outcomes == ["Approved by anna; running"]


async def test_a_decision_makes_room_for_one_that_waits_for_it(stage: Stage) -> None:
    refs = [(await stage.hold_quietly(root=f"root-{n}"))[0] for n in range(3)]
    async with stage.tx() as tx:
        for ref in refs[1:]:
            id = (await stage.approval(ref)).id
            await approvals.set_shown(tx, id, parked="approvers", card_id=None, told=[])
    before = [(await woken(stage, ref))[0] for ref in refs]
    await decide(stage, refs[0], "deny", by="anna")
    after = [(await woken(stage, ref))[0] for ref in refs]
    assert [now - then for then, now in zip(before, after, strict=True)] == [1, 1, 0]


async def test_a_rejection_without_a_word_says_no_more_than_that(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    denied = await decide(stage, ref, "deny", by="anna")
    assert (denied.state, denied.reason) == (ApprovalState.DENIED, "")
    assert (await drawn(stage, ref)).outcome == "Rejected by anna"
    assert held.id == denied.id


@pytest.mark.parametrize(
    ("action", "state", "kind", "outcome"),
    [
        ("happened", ApprovalState.EXECUTED, "confirmed", "priya says that it happened (executed)"),
        ("retry", ApprovalState.APPROVED, "approved", "Approved by priya; running"),
    ],
)
async def test_whoever_looked_says_what_became_of_it(
    stage: Stage, action: str, state: ApprovalState, kind: str, outcome: str
) -> None:
    ref = await unknown(stage)
    before = await stage.kinds(f"approval.{kind}")
    await stage.press(action, by="priya")
    assert (await stage.approval(ref)).state is state
    assert len(await stage.kinds(f"approval.{kind}")) == len(before) + 1
    assert (await queued(stage, ref, "Settle"))[-1]["outcome"] == outcome


async def test_of_a_run_that_is_over_people_say_what_happened_and_try_nothing_again(
    stage: Stage,
) -> None:
    ref, held = await stage.hold_quietly()
    async with stage.tx() as tx:
        await tx.run("UPDATE runs SET state = 'failed', ended_at = openloop.now()")
        await tx.run("UPDATE approvals SET state = 'unknown'")
    with pytest.raises(AlreadyDecided, match="is failed already"):
        await decide(stage, ref, "retry", by="anna")
    assert (await decide(stage, ref, "happened", by="anna")).id == held.id


# --- votes that do not ---------------------------------------------------------------------------


async def test_what_was_read_is_what_is_decided_also_before_anybody_edits(
    database: Database,
) -> None:
    stage = await stage_with(database, rule(quorum=1))
    ref, held = await stage.hold_quietly()
    with pytest.raises(Edited):
        await voted(stage, held, "anna", seen="0" * 64)
    edited = await edit(stage, ref, by="priya", title="Another")
    for seen in (None, held.hash):
        with pytest.raises(Edited):
            await voted(stage, held, "anna", seen=seen)
    assert (await voted(stage, edited, "anna")).state is ApprovalState.APPROVED


async def test_a_pause_lets_nobody_decide(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    await pause(
        stage.database, stage.workspace, scope=PauseScope.WORKSPACE, reason="look", by=SYSTEM
    )
    with pytest.raises(Paused):
        await voted(stage, held, "anna")
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_a_decision_that_was_not_written_is_nobodys_vote(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement looks at the clock once more."""
    ref, _ = await stage.hold_quietly()
    monkeypatch.setattr(approvals, "save_decision", too_late)
    with pytest.raises(AlreadyDecided, match="Somebody else"):
        await decide(stage, ref, "approve", by="anna")
    assert await stage.count("votes") == 0


async def test_the_id_that_asked_does_not_decide_from_another_tenant(stage: Stage) -> None:
    """Of a shared channel: the platform has one id for a person, and the manifest knows one tenant."""
    anna = await stage.principal("anna")
    async with stage.tx() as tx:
        await principals.set_identity(
            tx, stage.workspace, anna.id, surface="slack", tenant="T0OTHER", external_id="U0PHONE"
        )
    ref, token = await stage.hold(await stage.mention(by="phone"))
    event = make.click("approve", token, by="phone")
    event = replace(event, actor=replace(event.actor, tenant="T0OTHER"))
    assert not await press(stage, event)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    assert (await stage.audit("click.refused"))[0].detail == {"code": OwnRequest.code}


# --- clicks --------------------------------------------------------------------------------------


async def test_a_click_is_carried_out_once_and_says_so(stage: Stage) -> None:
    _, token = await stage.hold()
    event = make.click("approve", token, by="anna")
    assert not await press(stage, make.inbound("approve"))
    assert await press(stage, event)
    assert not await press(stage, event)
    assert await stage.kinds("click") == []


async def test_whoever_may_not_is_told_in_private_where_they_clicked(stage: Stage) -> None:
    ref, token = await stage.hold()
    _, asked = await woken(stage, ref)
    event = make.click("approve", token, by="ben")

    assert not await press(stage, event)

    [told] = await queued(stage, ref, "Whisper")
    assert told == {
        "op": "Whisper",
        "to_id": "U0BEN",
        "markdown": "Only @maintainers may decide this.",
        "message_id": event.message_id,
    }
    assert (await woken(stage, ref))[1] == asked + 1


async def test_a_click_in_a_thread_without_a_conversation_is_told_to_nobody(stage: Stage) -> None:
    """The token is good in the whole channel; whom to tell is a matter of the thread."""
    _, token = await stage.hold()
    assert not await press(stage, make.click("approve", token, by="ben", root="elsewhere"))
    assert not [op for op in stage.surface.posted.values() if isinstance(op, Whisper)]
    assert len(await stage.audit("click.refused")) == 1


async def test_a_note_is_taken_back_by_its_button(stage: Stage) -> None:
    stage.models.turns = [make.reply("Noted.", make.NOTE), make.reply("All done.")]
    ref = await stage.mention()
    await stage.work(ref)
    [said] = [op for op in stage.surface.posted.values() if isinstance(op, Say)]
    assert await press(stage, make.click("undo", said.buttons[0].token, by="anna"))
    [retracted] = await stage.audit("memory.retracted")
    assert retracted.actor.name == "anna"
    async with stage.tx() as tx:
        assert retracted.subject == await tx.value("SELECT id FROM memories")
    assert [op["markdown"] for op in await queued(stage, ref, "Whisper")] == [
        "Undone: that note is not recalled any more."
    ]


@pytest.mark.parametrize(("who", "may"), [("carl", True), ("stranger", False)])
async def test_an_unlisted_person_takes_back_their_own_notes_only(
    stage: Stage, who: str, *, may: bool
) -> None:
    stage.models.turns = [make.reply("Noted.", make.NOTE), make.reply("All done.")]
    await stage.work(await stage.mention(by="carl"))
    [said] = [op for op in stage.surface.posted.values() if isinstance(op, Say)]
    assert await press(stage, make.click("undo", said.buttons[0].token, by=who)) is may
    assert await stage.kinds("memory.retracted") == (["memory.retracted"] if may else [])


# --- what a decision is judged by ----------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("now", [True, False])
async def test_solo_mode_holds_where_it_held_then_and_holds_now(
    database: Database, *, before: bool, now: bool
) -> None:
    stage = await make.stage(database, workspace={"solo_mode": before})
    _, held = await stage.hold_quietly()
    await stage.revise_workspace({"solo_mode": now})
    async with stage.tx() as tx:
        open_one = await open_approval(tx, stage.configuration, held.id)
    assert open_one.approval.solo_mode is (before and now)
    assert open_one.run.id == held.run_id
