"""What a glass leaves behind, from the reason to the last owner who is told, and what keeps it whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.breaking import BREAK_GLASS, NotAnOwner, ask_to_break, confirm_breaking
from openloop.actions.buttons import hash_token
from openloop.actions.pause import pause
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import AlreadyDecided, Edited, Forbidden, NotFound
from openloop.domain.ids import LoginId, new_id
from openloop.domain.pause import Paused, PauseScope
from openloop.storage import approvals, principals
from tests import make
from tests.actions.asking import PEOPLE, rule, stage_with
from tests.actions.holding import too_late, woken

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.surface import Inbound
    from openloop.storage.database import Database
    from tests.make import Stage

WHY = "production is down"
TOLD = f"Glass broken by priya: {WHY}"


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need somebody of security; Priya and Anna are owners."""
    return await stage_with(database, rule(approvers=["@security"], quorum=1))


async def asked(
    stage: Stage, held: Approval, *, login_id: LoginId | None = None, **person: Any
) -> Approval:
    return await ask_to_break(
        stage.database,
        stage.configuration,
        stage.workspace,
        held.id,
        by=replace(await stage.principal("priya"), **person),
        via="api",
        reason=WHY,
        login_id=login_id,
    )


async def rows(stage: Stage, ref: ConversationRef, op: str) -> list[dict[str, Any]]:
    """What waits to be posted, of one sort; all of it belongs to the run."""
    run = await stage.run_of(ref)
    found = [row for row in await stage.outbox(ref) if row.op["op"] == op]
    assert {row.run_id for row in found} <= {run.id}
    return [row.op for row in found]


async def token(stage: Stage, ref: ConversationRef) -> str:
    """Of the button that was offered last."""
    return (await rows(stage, ref, "Say"))[-1]["buttons"][0]["token"]


async def confirmed(stage: Stage, event: Inbound, *, by: str = "priya") -> str:
    assert event.choice is not None
    async with stage.tx() as tx:
        return await confirm_breaking(
            tx,
            stage.configuration,
            stage.workspace,
            event,
            hash_token(event.choice.token),
            by=await stage.principal(by),
        )


async def test_the_offer_says_who_wants_what_and_why_for_an_hour(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    before = (await woken(stage, ref))[1]

    assert await asked(stage, held) == held

    [said] = await rows(stage, ref, "Say")
    assert (
        f"priya wants to break the glass for: {held.card.title}. Reason: {WHY}" in said["markdown"]
    )
    [button] = said["buttons"]
    assert (button["action"], button["label"], button["style"]) == (
        "break_glass",
        "Break the glass",
        "danger",
    )
    assert (await woken(stage, ref))[1] == before + 1
    async with stage.tx() as tx:
        [(lasts, reason)] = await tx.tuples(
            "SELECT expires_at - asked_at, reason FROM broken_glasses"
        )
    assert abs(lasts - timedelta(minutes=60)) < timedelta(seconds=10)
    assert reason == WHY


async def test_the_click_approves_for_an_hour_and_tells_the_other_owners(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    await asked(stage, held)
    event = make.click(BREAK_GLASS, await token(stage, ref), by="priya")
    before = (await woken(stage, ref))[1]

    said = await confirmed(stage, event)

    assert said == "The glass is broken: it runs within the hour, or not at all."
    broken, priya = await stage.approval(ref), await stage.principal("priya")
    assert (broken.state, broken.decided_by, broken.reason) == (
        ApprovalState.APPROVED,
        priya.id,
        WHY,
    )
    assert broken.decided_at is not None
    async with stage.tx() as tx:
        left = broken.expires_at - await tx.now()
        [vote] = await approvals.list_votes(tx, held.id)
        assert await tx.value("SELECT count(*) FROM broken_glasses WHERE broken_at IS NULL") == 0
    assert timedelta(minutes=59) < left <= timedelta(minutes=60)
    assert (vote.principal_id, vote.decision, vote.via) == (priya.id, "break_glass", "slack")
    assert [op["outcome"] for op in await rows(stage, ref, "Settle")] == [TOLD]
    told = (await rows(stage, ref, "Say"))[-1]
    assert told["markdown"] == f"<@U0ANNA>: {TOLD} ({held.card.title})"
    assert list(told["mention_ids"]) == ["U0ANNA"]
    assert (await woken(stage, ref))[1] == before + 1


async def test_owners_who_are_not_there_are_told_by_their_names(database: Database) -> None:
    """In a thread of a surface on which they are nobody."""
    roles = {**PEOPLE["roles"], "owner": ["@priya", "@anna", "@mallory"]}
    stage = await stage_with(database, rule(approvers=["@security"], quorum=1), roles=roles)
    ref, held = await stage.hold_quietly()
    await asked(stage, held)
    async with stage.tx() as tx:
        await tx.run("UPDATE conversations SET surface = 'console'")
    await confirmed(stage, make.click(BREAK_GLASS, await token(stage, ref), by="priya"))
    told = (await rows(stage, ref, "Say"))[-1]
    assert told["markdown"].startswith(f"anna, mallory: {TOLD}")


@pytest.mark.parametrize("person", [{"active": False}, {"kind": "service"}, {"roles": ()}])
async def test_whoever_is_no_owner_here_and_now_breaks_nothing(
    stage: Stage, person: dict[str, Any]
) -> None:
    _, held = await stage.hold_quietly()
    with pytest.raises(NotAnOwner):
        await asked(stage, held, **person)


async def test_a_pause_keeps_it_whole(stage: Stage) -> None:
    _, held = await stage.hold_quietly()
    await pause(
        stage.database, stage.workspace, scope=PauseScope.WORKSPACE, reason="look", by=SYSTEM
    )
    with pytest.raises(Paused):
        await asked(stage, held)


async def test_a_console_vouches_for_nobody(stage: Stage) -> None:
    """Also where it has an id for them: what it says is what a token says."""
    ref, held = await stage.hold_quietly()
    priya = await stage.principal("priya")
    async with stage.tx() as tx:
        await principals.set_identity(
            tx, stage.workspace, priya.id, surface="console", tenant="", external_id="U0PRIYA"
        )
    await asked(stage, held)
    event = make.click(BREAK_GLASS, await token(stage, ref), by="priya")
    with pytest.raises(NotFound, match="not valid any more"):
        await confirmed(stage, replace(event, actor=replace(event.actor, surface="console")))
    async with stage.tx() as tx:
        await tx.run("UPDATE conversations SET surface = 'console'")
    with pytest.raises(Forbidden) as refused:
        await asked(stage, held)
    assert refused.value.code == "not_vouched_for"


async def test_a_button_is_its_owners_alone(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    await asked(stage, held)
    event = make.click(BREAK_GLASS, await token(stage, ref), by="anna")
    with pytest.raises(NotFound, match="not valid any more"):
        await confirmed(stage, event, by="anna")


async def test_a_login_by_link_is_offered_a_button_like_a_token(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    assert (await asked(stage, held, login_id=LoginId(new_id()))).state is ApprovalState.PENDING
    assert await token(stage, ref)


async def test_other_bytes_need_another_reason(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    await asked(stage, held)
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET round = 2")
    with pytest.raises(Edited):
        await confirmed(stage, make.click(BREAK_GLASS, await token(stage, ref), by="priya"))


async def test_a_later_round_is_broken_with_a_reason_of_its_own(stage: Stage) -> None:
    ref, held = await stage.hold_quietly()
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET round = 2")
    await asked(stage, held)
    await confirmed(stage, make.click(BREAK_GLASS, await token(stage, ref), by="priya"))
    async with stage.tx() as tx:
        assert [vote.round for vote in await approvals.list_votes(tx, held.id)] == [2]
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_what_was_not_written_was_not_broken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, held = await stage.hold_quietly()
    await asked(stage, held)
    monkeypatch.setattr(approvals, "save_decision", too_late)
    with pytest.raises(AlreadyDecided, match="Somebody else"):
        await confirmed(stage, make.click(BREAK_GLASS, await token(stage, ref), by="priya"))
    assert await stage.count("votes") == 0
