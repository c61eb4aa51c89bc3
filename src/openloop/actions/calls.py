"""Journaling what a model asked for: each call allowed, refused or held, in one transaction."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.domain.approval import Approval, ApprovalState
from openloop.domain.ids import ApprovalId, new_id
from openloop.domain.run import RunState
from openloop.domain.step import StepKind, StepState
from openloop.domain.surface import Ask, Button, Card, SetStatus
from openloop.domain.tool import Effect
from openloop.storage import (
    approvals,
    audit,
    budgets,
    conversations,
    outbox,
    principals,
    runs,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.actions.model_calls import Begun
    from openloop.domain.model import ModelReply, ToolCall
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.tool import ToolResult
    from openloop.storage.database import Database, Transaction

TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The gate said no; the model is told why."""

    seq: int
    call: ToolCall
    rule: str
    result: ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The call may be made now."""

    seq: int
    call: ToolCall
    rule: str
    effect: Effect
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The call waits for a person. `arguments` are canonical bytes: shown, hashed, and run as such."""

    seq: int
    call: ToolCall
    rule: str
    effect: Effect
    permission: str
    arguments: bytes
    preconditions: dict[str, object]
    hash: str
    card: Card
    approvers: tuple[str, ...]
    expires_hours: int
    solo_mode: bool


Judged = Refused | Started | Held


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was journaled: the calls that may be made at once, and cards on their way."""

    started: tuple[Step, ...]
    cards: tuple[OutboxRow, ...]


async def plan(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    *,
    begun: Begun,
    reply: ModelReply,
    cost_usd: Decimal | None,
    judge: Callable[[Governing], Sequence[Judged]],
) -> Planned:
    """Finish a model call and journal every call it asked for.

    `judge` is pure and is given the revisions in force in this very transaction.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        await steps.finish(tx, run.id, begun.seq, output=reply_as_output(reply))
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        written: list[Step] = []
        cards: list[OutboxRow] = []
        for judged in judge(governing):
            entry = await _write(tx, work, run, judged, begun.seq)
            written.append(entry)
            match judged:
                case Refused():
                    await _audit_denied(tx, work, run, judged)
                case Held():
                    cards.append(await _hold(tx, work, run, governing, judged))
                case Started():
                    await _audit_intended(tx, work, run, judged)
        started = tuple(s for s in written if s.state is StepState.STARTED)
        if cards and not started:
            await runs.set_state(tx, run.id, RunState.WAITING)
        if cards:
            waiting = SetStatus(text="is waiting for a decision", state="waiting")
            cards.append(
                await outbox.put(
                    tx,
                    workspace,
                    work.conversation.id,
                    waiting,
                    run_id=run.id,
                    sender=work.claim.worker,
                )
            )
        await budgets.settle(
            tx,
            begun.reservation_id,
            cost_usd=None if reply.usage.assumed else cost_usd,
            usage=reply.usage,
        )
    return Planned(started=started, cards=tuple(cards))


def reply_as_output(reply: ModelReply) -> dict[str, object]:
    """A model's reply as the journal keeps it."""
    return {
        "text": reply.text,
        "finish": reply.finish,
        "tool_calls": [
            {"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.tool_calls
        ],
        "usage": {
            "input_tokens": reply.usage.input_tokens,
            "output_tokens": reply.usage.output_tokens,
            "cached_tokens": reply.usage.cached_tokens,
            "assumed": reply.usage.assumed,
        },
    }


async def _write(tx: Transaction, work: Work, run: Run, judged: Judged, model_seq: int) -> Step:
    workspace, epoch = work.workspace, work.claim.epoch
    entry: dict[str, object] = {
        "call_id": judged.call.id,
        "arguments": judged.call.arguments,
        "model_seq": model_seq,
    }
    match judged:
        case Refused():
            state, effect, output = StepState.FINISHED, None, as_output(judged.result)
        case Started():
            state, effect, output = StepState.STARTED, judged.effect, None
            entry["arguments"] = judged.arguments
            if judged.effect is Effect.NOTE:
                entry["undo_token"] = secrets.token_urlsafe(TOKEN_BYTES)
        case Held():
            state, effect, output = StepState.HELD, judged.effect, None
    return await steps.write(
        tx,
        workspace,
        run.id,
        judged.seq,
        kind=StepKind.TOOL,
        state=state,
        epoch=epoch,
        name=judged.call.name.replace("\0", ""),  # a text that Postgres takes
        effect=effect,
        rule=judged.rule,
        input=entry,
        output=output,
    )


def as_output(result: ToolResult) -> dict[str, object]:
    """A tool's result as the journal and the model see it."""
    output: dict[str, object] = {"outcome": result.outcome, "content": result.content}
    if result.link:
        output["link"] = result.link
    return output


async def _hold(
    tx: Transaction, work: Work, run: Run, governing: Governing, held: Held
) -> OutboxRow:
    workspace = work.workspace
    now = await tx.now()
    token = secrets.token_urlsafe(TOKEN_BYTES)
    approval = Approval(
        id=ApprovalId(new_id()),
        run_id=run.id,
        step_seq=held.seq,
        conversation_id=work.conversation.id,
        tool=held.call.name,
        permission=held.permission,
        arguments=held.arguments,
        preconditions=held.preconditions,
        hash=held.hash,
        card=held.card,
        requested_by=run.requested_by,
        approvers=held.approvers,
        solo_mode=held.solo_mode,
        rule=held.rule,
        state=ApprovalState.PENDING,
        asked_at=now,
        expires_at=now + timedelta(hours=held.expires_hours),
    )
    await approvals.add(
        tx, workspace, approval, agent_id=run.agent_id, token_sha256=hash_token(token)
    )
    await audit.append(
        tx,
        workspace,
        "approval.asked",
        actor=work.agent,
        subject=approval.id,
        run_id=run.id,
        tool=approval.tool,
        hash=approval.hash,
        rule=approval.rule,
        approvers=list(approval.approvers),
        solo_mode=approval.solo_mode,
    )
    return await put_card(tx, work, run, governing, approval, token=token)


async def put_card(
    tx: Transaction,
    work: Work,
    run: Run,
    governing: Governing,
    approval: Approval,
    *,
    token: str,
) -> OutboxRow:
    """Ask the people who may decide, in the thread."""
    names = sorted({n for ref in approval.approvers for n in governing.workspace.members(ref)})
    ids = await principals.external_ids(tx, names, surface=work.conversation.surface)
    return await outbox.put(
        tx,
        work.workspace,
        work.conversation.id,
        Ask(card=approval.card, buttons=buttons(approval, token), mention_ids=tuple(ids)),
        run_id=run.id,
        approval_id=approval.id,
        sender=work.claim.worker,
    )


def buttons(approval: Approval, token: str) -> tuple[Button, ...]:
    """What can be decided about an approval in its state."""
    if approval.state is ApprovalState.UNKNOWN:
        return (
            Button(action="happened", label="It happened", token=token, style="primary"),
            Button(action="retry", label="Try again", token=token),
        )
    return (
        Button(action="approve", label="Approve", token=token, style="primary"),
        Button(action="deny", label="Reject", token=token, style="danger"),
    )


def hash_token(token: str) -> bytes:
    """What is stored of a button's token: 128 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


async def _audit_denied(tx: Transaction, work: Work, run: Run, refused: Refused) -> None:
    await audit.append(
        tx,
        work.workspace,
        "call.denied",
        actor=work.agent,
        subject=run.id,
        run_id=run.id,
        tool=refused.call.name,
        rule=refused.rule,
        step=refused.seq,
    )


async def _audit_intended(tx: Transaction, work: Work, run: Run, started: Started) -> None:
    if not started.effect.leaves_us:
        return
    await audit.append(
        tx,
        work.workspace,
        "effect.intended",
        actor=work.agent,
        subject=run.id,
        run_id=run.id,
        tool=started.call.name,
        rule=started.rule,
        step=started.seq,
    )
