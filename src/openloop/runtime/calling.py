"""Making the calls of a model step: reads together, everything else one after the other.

A write is journaled as started before it is made. Where its answer was lost it is looked up by
its idempotency key; where that is not certain either, a person is asked what is true.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog

from openloop.actions import claims, effects
from openloop.actions.receive import is_stop
from openloop.actions.waiting import look_after
from openloop.domain.approval import ApprovalState
from openloop.domain.errors import AmbiguousEffect, OpenLoopError, TryLater, Unavailable
from openloop.domain.step import StepKind, StepState
from openloop.domain.tool import CallContext, Effect, ToolResult
from openloop.runtime import gate, inquiry, people, remembering
from openloop.runtime.builtin import memory
from openloop.storage import agents, messages, runs
from openloop.tools.results import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.actions.judged import Changed
    from openloop.domain.approval import Approval
    from openloop.domain.journal import Planned
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import Thread
    from openloop.domain.tool import Arguments
    from openloop.runtime.kit import Kit

log = structlog.get_logger(__name__)

CALL_SECONDS = 60
LOOK_UPS = 3
LOOK_UP_PAUSE_SECONDS = 0.5
POSTPONED_SECONDS = 5


async def make_calls(kit: Kit, work: Work, run: Run, started: Sequence[Step]) -> None:
    """Make journaled calls that were allowed at once, and record what each came to."""
    reads = [step for step in started if step.effect is Effect.READ]
    results = await asyncio.gather(*(_read(kit, work, run, step, None) for step in reads))
    await effects.finish_reads(kit.database, work, run, list(zip(reads, results, strict=True)))
    for step in started:
        if step.effect is Effect.NOTE:
            await _note(kit, work, run, step)
        elif step.effect is not Effect.READ and await _is_stopped(kit, work, run):
            result = ToolResult.refused("Somebody stopped or paused this; it was not done.")
            await effects.finish(kit.database, work, run, step, result, approval=None)
        elif step.effect is not Effect.READ:
            await _write(kit, work, run, step, approval=None)


async def _is_stopped(kit: Kit, work: Work, run: Run) -> bool:
    """True where somebody who may has said stop, or paused it, since the calls were journaled."""
    async with kit.database.transaction(work.workspace) as tx:
        if (await runs.get(tx, run.id)).cancel_asked_by is not None:
            return True
        live = await agents.find_live_ids(tx, run.agent_id)
        if live is None or live.pause is not None:
            return True
        unread = await messages.list_unread(tx, work.conversation.id)
    stops = [message for message in unread if is_stop(message.text)]
    try:
        surface = kit.surfaces[work.conversation.surface]
        said, _ = await people.sort_messages(surface, work, stops)
    except Unavailable:  # nobody can tell who said it: what is not done can be asked for again
        return True
    return bool(said)


async def call_tools(kit: Kit, work: Work, run: Run, calls: Sequence[Planned]) -> bool:
    """Go on with calls that are not finished; True once the conversation was let go.

    Held ones are used up, refused, or waited for; started ones were begun by a worker that died.
    After an approved call everything is read anew: people may have said stop while it was made.
    """
    asks = {approval.step_seq: approval for approval in work.approvals}
    is_waiting = False
    waiting: list[datetime] = []
    for planned in calls:
        step = planned.step
        assert step is not None  # noqa: S101  # all calls of a step are journaled in one commit
        approval = asks.get(step.seq)
        if step.state is StepState.STARTED:
            if await _recover(kit, work, run, step, approval) is None:
                return False
            continue
        assert approval is not None  # noqa: S101  # a held step has its approval
        if approval.state is ApprovalState.PENDING:
            look = await _look_after(kit, work, run, step, approval)
            if look is None:
                return False
            waiting.append(look)
            is_waiting = True
        else:
            is_waiting = await _go_on(kit, work, run, step, approval) or is_waiting
        if approval.state is ApprovalState.APPROVED:
            return False
    if is_waiting:
        return await claims.park(kit.database, work, run, wake_at=min(waiting, default=None))
    return False


async def _look_after(
    kit: Kit, work: Work, run: Run, step: Step, approval: Approval
) -> datetime | None:
    """Do what is due for an undecided ask; when to look at it again, None where it has moved on."""
    look = await look_after(
        kit.database,
        kit.configuration,
        work,
        run,
        step,
        approval,
        recheck=await _recheck(kit, work, run, approval),
    )
    if look.has_posted:
        await kit.courier.drain(work.claim.ref)
    return look.again_at


async def _recheck(
    kit: Kit, work: Work, run: Run, approval: Approval
) -> Callable[[Governing, Approval], Changed | None]:
    """How a held call is judged by the rules and facts of now.

    Where somebody could not be asked at the moment, nothing is voided by it, and nothing is made:
    what is approved waits for an answer.
    """
    is_approved = approval.state is ApprovalState.APPROVED
    facts = await inquiry.of_held(kit, work, run, approval, with_target=is_approved)
    waits = not facts.is_certain and not await _is_over(kit, work, approval)
    if waits and is_approved:
        message = "A platform cannot be asked at the moment whether this may still be done"
        raise Unavailable(message)

    def recheck(governing: Governing, held: Approval) -> Changed | None:
        if waits:
            return None
        return gate.recheck(kit.registry, governing, work.conversation, held, facts=facts)

    return recheck


async def _is_over(kit: Kit, work: Work, approval: Approval) -> bool:
    async with kit.database.transaction(work.workspace) as tx:
        return await tx.now() >= approval.expires_at


async def finish_begun(kit: Kit, work: Work, run: Run) -> None:
    """Find out what became of calls that a dead worker had begun, before the run is ended.

    Reads are not made again: nobody would hear of them, and the agent may be paused.
    """
    asks = {approval.step_seq: approval for approval in work.approvals}
    for step in work.steps:
        if step.kind is not StepKind.TOOL or step.state is not StepState.STARTED:
            continue
        approval = asks.get(step.seq)
        if step.effect is Effect.READ:
            result = ToolResult.failed("The run ended before this was read")
            await _finish(kit, work, run, step, result, approval=approval)
        else:
            await _recover(kit, work, run, step, approval)


async def _go_on(kit: Kit, work: Work, run: Run, step: Step, approval: Approval) -> bool:
    """Do what an approval's state asks for; True where it has to be waited for."""
    match approval.state:
        case ApprovalState.PENDING | ApprovalState.UNKNOWN:
            return True
        case ApprovalState.APPROVED:
            return await _execute(kit, work, run, step, approval)
        case ApprovalState.EXECUTED:
            result = ToolResult.done({"note": "A person looked and says that this happened."})
            await _finish(kit, work, run, step, result, approval=approval)
            return False
        case ApprovalState.DENIED | ApprovalState.EXPIRED | ApprovalState.WITHDRAWN:
            await effects.refuse(kit.database, work, run, step, approval)
            return False
        case ApprovalState.STALE | ApprovalState.EXECUTING | ApprovalState.FAILED:
            result = ToolResult.failed(f"The approval is {approval.state}")
            await effects.finish(kit.database, work, run, step, result, approval=None)
            return False


async def _execute(kit: Kit, work: Work, run: Run, step: Step, approval: Approval) -> bool:
    """Use the approval up and run its stored bytes, once; True where it has to be tried again."""
    begun = await effects.begin(
        kit.database,
        kit.configuration,
        work,
        run,
        step,
        approval,
        recheck=await _recheck(kit, work, run, approval),
    )
    if begun.state is not StepState.STARTED:
        await kit.courier.drain(work.claim.ref)
        return False
    if effects.was_tried(begun):
        # People looked at a list that may have lagged behind; a look-up costs less than a twin.
        found = await look_up(kit, begun, approval)
        if found is not None:
            await _finish(kit, work, run, begun, found, approval=approval)
            return False
    return await _write(kit, work, run, begun, approval=approval)


async def _write(kit: Kit, work: Work, run: Run, step: Step, *, approval: Approval | None) -> bool:
    """Make a journaled write; True where nothing was sent and it has to be tried again later."""
    arguments = _arguments(step, approval)
    registered = kit.registry.find(step.name)
    assert registered is not None  # noqa: S101  # the gate has just found it
    try:
        async with asyncio.timeout(CALL_SECONDS):
            result = await registered.tool.call(arguments, context_of(kit, step))
    except TryLater as later:
        if approval is None:
            result = ToolResult.failed(str(later))
        else:
            await effects.put_back(kit.database, work, run, step, approval)
            await claims.release_failed(
                kit.database, work.claim, after_seconds=await _delay(kit, work, later.retry_at)
            )
            raise Postponed from later
    except (AmbiguousEffect, TimeoutError):
        return await _resolve(kit, work, run, step, approval)
    except OpenLoopError as error:
        result = ToolResult.failed(str(error))
    await _finish(kit, work, run, step, result, approval=approval)
    return False


class Postponed(Exception):
    """The conversation was let go in the middle of a step; the sweep comes back to it."""


async def _recover(
    kit: Kit, work: Work, run: Run, step: Step, approval: Approval | None
) -> Step | None:
    """Go on with a call that a dead worker had begun: reads again, writes are looked up."""
    if step.effect is Effect.READ:
        result = await _read(kit, work, run, step, approval)
        await _finish(kit, work, run, step, result, approval=approval)
        return step
    if step.effect is Effect.NOTE:
        await _note(kit, work, run, step)
        return step
    await _resolve(kit, work, run, step, approval)
    return None


async def _resolve(kit: Kit, work: Work, run: Run, step: Step, approval: Approval | None) -> bool:
    """Find out what became of a write; where nothing certain is found, show `unknown` and ask."""
    found = await look_up(kit, step, approval)
    if found is not None:
        await _finish(kit, work, run, step, found, approval=approval)
        return False
    if approval is None:
        result = ToolResult(
            outcome="unknown",
            content={"unknown": "The answer was lost. Do not repeat this; tell the people."},
        )
        await _finish(kit, work, run, step, result, approval=None)
        return False
    card = await effects.mark_unknown(kit.database, work, run, step, approval)
    await _deliver(kit, work, card)
    return True


async def look_up(kit: Kit, step: Step, approval: Approval | None) -> ToolResult | None:
    """Ask the other side, a few times, whether a write is there; None where it is not certain."""
    registered = kit.registry.find(step.name)
    if registered is None or registered.tool.look_up is None:
        return None
    for attempt in range(LOOK_UPS):
        try:
            async with asyncio.timeout(CALL_SECONDS):
                found = await registered.tool.look_up(
                    _arguments(step, approval), context_of(kit, step)
                )
        except (OpenLoopError, TimeoutError):
            found = None
        if found is not None:
            return found
        if attempt + 1 < LOOK_UPS:
            await asyncio.sleep(LOOK_UP_PAUSE_SECONDS * (attempt + 1))
    return None


async def _finish(
    kit: Kit,
    work: Work,
    run: Run,
    step: Step,
    result: ToolResult,
    *,
    approval: Approval | None,
) -> None:
    _, row = await effects.finish(
        kit.database,
        work,
        run,
        step,
        bounded(result, kit.database.redactor),
        approval=approval,
        opened=_opened(kit, step, result, approval),
    )
    await _deliver(kit, work, row)


def _opened(kit: Kit, step: Step, result: ToolResult, approval: Approval | None) -> Thread | None:
    """The thread that a call which happened has opened elsewhere."""
    registered = kit.registry.find(step.name)
    if registered is None or registered.tool.opens is None or result.outcome != "done":
        return None
    return registered.tool.opens(_arguments(step, approval), result)


async def _deliver(kit: Kit, work: Work, row: OutboxRow | None) -> None:
    if row is not None:
        await kit.courier.forward(work.claim.ref, [row], work.conversation.thread)


async def _read(
    kit: Kit, work: Work, run: Run, step: Step, approval: Approval | None
) -> ToolResult:
    arguments = _arguments(step, approval)
    if step.name == memory.SEARCH:
        return await remembering.search(kit, work, run, arguments)
    registered = kit.registry.find(step.name)
    if registered is None:
        return ToolResult.failed("The tool is not there any more")
    try:
        async with asyncio.timeout(CALL_SECONDS):
            answered = await registered.tool.call(arguments, context_of(kit, step))
            return bounded(answered, kit.database.redactor)
    except TimeoutError:
        return ToolResult.failed(f"No answer within {CALL_SECONDS} s")
    except OpenLoopError as error:
        return ToolResult.failed(str(error))


async def _note(kit: Kit, work: Work, run: Run, step: Step) -> None:
    result = await remembering.note(kit, work, run, step)
    await effects.finish(kit.database, work, run, step, result, approval=None)


def _arguments(step: Step, approval: Approval | None) -> Arguments:
    """The bytes that were approved, or the arguments that were journaled."""
    if approval is not None:
        return orjson.loads(approval.arguments)
    return step.input["arguments"]


def context_of(kit: Kit, step: Step) -> CallContext:
    """The idempotency key of a step, the same on every attempt, and what is secret here."""
    return CallContext(key=step.key, intended_at=step.started_at, redactor=kit.database.redactor)


async def _delay(kit: Kit, work: Work, retry_at: datetime | None) -> float:
    if retry_at is None:
        return POSTPONED_SECONDS
    async with kit.database.transaction(work.workspace) as tx:
        now = await tx.now()
    return max(1.0, (retry_at - now).total_seconds())
