"""Journaling what a model asked for: each call allowed, refused or held, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions.asking import ask
from openloop.actions.buttons import new_token
from openloop.actions.judged import Held, Judged, Refused, Started
from openloop.domain.facts import LABEL, SOURCE
from openloop.domain.noted_facts import NOTED
from openloop.domain.run import RunState
from openloop.domain.step import StepKind, StepState
from openloop.domain.surface import SetStatus
from openloop.domain.tool import Effect, ToolResult
from openloop.storage import audit, budgets, conversations, outbox, runs, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.actions.model_calls import Begun
    from openloop.domain.model import ModelReply
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import Receipt
    from openloop.storage.database import Database, Pending, Transaction


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
    status: tuple[OutboxRow, Receipt] | None,
    judge: Callable[[Governing], Sequence[Judged]],
) -> Planned:
    """Finish a model call and journal every call it asked for.

    `status` was shown meanwhile, and is closed. `judge` is pure and is given the revisions in force in
    this very transaction. Where the agent is paused, no call is journaled: `plan_later` does that once
    it is resumed.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        await steps.send_finish(tx, run.id, begun.seq, output=reply_as_output(reply))
        if status is not None:  # before anything is put behind it
            shown, receipt = status
            await outbox.close_status(tx, shown.id, sender=work.claim.worker, receipt=receipt)
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        journaled = await _journal(tx, work, run, governing, judge, begun.seq)
        await budgets.settle(
            tx,
            begun.reservation_id,
            cost_usd=None if reply.usage.assumed else cost_usd,
            usage=reply.usage,
        )
    return await journaled.planned()


async def plan_later(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    *,
    model_seq: int,
    judge: Callable[[Governing], Sequence[Judged]],
) -> Planned:
    """Journal the calls of a model step whose reply came while its agent was paused.

    Raises:
        LostClaim
    """
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        journaled = await _journal(tx, work, run, governing, judge, model_seq)
    return await journaled.planned()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Journaled:
    """What was sent to the journal; its rows are read once they are committed."""

    started: tuple[Pending[Step], ...] = ()
    cards: tuple[Pending[OutboxRow], ...] = ()

    async def planned(self) -> Planned:
        started = [await each.one() for each in self.started]
        cards = [await each.one() for each in self.cards]
        return Planned(started=tuple(started), cards=tuple(cards))


async def _journal(
    tx: Transaction,
    work: Work,
    run: Run,
    governing: Governing,
    judge: Callable[[Governing], Sequence[Judged]],
    model_seq: int,
) -> _Journaled:
    """Write an entry for every call of a model step, or for none while the agent is paused."""
    if governing.pause is not None:
        return _Journaled()
    started: list[Pending[Step]] = []
    held: list[Held] = []
    for judged in merged(judge(governing)):
        written = await _write(tx, work, run, judged, model_seq)
        match judged:
            case Refused():
                await _audit_denied(tx, work, run, judged)
            case Held():
                held.append(judged)
            case Started():
                started.append(written)
                await _audit_intended(tx, work, run, judged)
    cards: list[Pending[OutboxRow]] = []
    if held:
        cards += await ask(tx, work, run, governing, held, sender=work.claim.worker)
        if not started:
            await runs.set_state(tx, run.id, RunState.WAITING)
        waiting = SetStatus(text="is waiting for a decision", state="waiting")
        cards.append(
            await outbox.add(
                tx,
                work.workspace,
                work.conversation.id,
                waiting,
                run_id=run.id,
                sender=work.claim.worker,
            )
        )
    return _Journaled(started=tuple(started), cards=tuple(cards))


def merged(judged: Sequence[Judged]) -> list[Judged]:
    """The calls of one step with each held request once: its twins are told where its answer is."""
    first: dict[str, Held] = {}
    kept: list[Judged] = []
    for each in judged:
        if isinstance(each, Held) and each.hash in first:
            told = (
                f"The same call stands before this one (step {first[each.hash].seq}): it is asked "
            )
            told += "about and made once, and its answer is there."
            rule = "approvals: asked once"
            each = Refused(seq=each.seq, call=each.call, rule=rule, result=ToolResult.refused(told))
        elif isinstance(each, Held):
            first[each.hash] = each
        kept.append(each)
    return kept


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


async def _write(
    tx: Transaction, work: Work, run: Run, judged: Judged, model_seq: int
) -> Pending[Step]:
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
                entry["undo_token"] = new_token()
        case Held():
            state, effect, output = StepState.HELD, judged.effect, None
    if not isinstance(judged, Refused) and judged.seen is not None:
        entry |= {LABEL: str(judged.seen.visible_in), SOURCE: judged.seen.source}
    if judged.facts is not None:
        entry[NOTED] = judged.facts
    return await steps.ask_write(
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
