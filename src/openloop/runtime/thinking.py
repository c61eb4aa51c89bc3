"""Asking the model: choose it, set money aside, call it, and journal what it said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from openloop.actions import calls as planning
from openloop.actions import claims, endings, model_calls
from openloop.actions.model_calls import BudgetExhausted, BudgetTaken, HeldBack, ModelCall
from openloop.domain import policy, pricing
from openloop.domain.budget import limits_of
from openloop.domain.journal import Gather, calls_of, model_steps, steering_of, text_of
from openloop.domain.model import ModelMessage, ModelRequest
from openloop.domain.run import RunState
from openloop.domain.step import StepKind
from openloop.domain.surface import Receipt, SetStatus
from openloop.domain.task import task_of
from openloop.models.errors import ModelFailure, ModelWarming
from openloop.plugin import ShowsProgress
from openloop.runtime import budgeting, disclosing, elsewhere, gate, inquiry
from openloop.runtime import context as contexts
from openloop.runtime.answers import answer_text, send
from openloop.runtime.calling import make_calls
from openloop.runtime.landing import fail, land

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.actions.model_calls import Begun
    from openloop.domain.journal import AskModel
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.model import ModelReply, ToolCall, ToolSpec
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.pricing import ModelFacts
    from openloop.domain.run import Run
    from openloop.plugin import Surface
    from openloop.runtime.kit import Kit
    from openloop.storage.messages import Message

log = structlog.get_logger(__name__)

TAKEN_SECONDS = 0.5
TRIES = 5
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 15.0)
WORKING = "is working on it…"
WARMING = "is waiting for its models to load…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model call before money was set aside for it."""

    seq: int
    context: dict[str, object] | None
    steering: list[str]
    taken: list[Message]
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...]
    input_tokens: int


async def ask_model(
    kit: Kit,
    work: Work,
    run: Run,
    surface: Surface,
    move: Gather | AskModel,
    fresh: list[Message],
) -> bool:
    """Make the next model call of a run; True once the conversation was let go."""
    governing = work.governing
    assert governing is not None  # noqa: S101  # read together with the run
    asked = None if isinstance(move, Gather) else budgeting.find_ask(work, move.seq)
    if asked is not None:
        gone = await budgeting.after_ask(kit, work, run, asked)
        if gone is not None:
            return gone
    model = choose_model(governing.begun, work.conversation.surface, run.request)
    try:
        facts = kit.prices(governing.workspace).get(model)
    except ModelFailure as failure:
        return await fail(kit, work, run, reason=f"{failure}.", code=failure.code)
    prepared = await _prepare(kit, work, run, surface, governing, move, fresh)
    if prepared.input_tokens > facts.context_window:
        reason = "This has become longer than the model can read."
        return await land(kit, work, run, reason=reason, code="context_too_long")
    try:
        begun = await _begin(kit, work, run, governing, facts, prepared)
    except (BudgetExhausted, HeldBack) as refusal:
        return await _not_begun(kit, work, run, prepared.seq, refusal)
    if model != run.model:
        run = replace(run, model=model)
    request = ModelRequest(
        model=model,
        messages=prepared.messages,
        tools=prepared.tools,
        max_tokens=begun.max_tokens,
        timeout_seconds=float(governing.begun.spec.model_policy.timeouts.call_seconds),
        idempotency_key=f"{run.id}:{prepared.seq}:{work.claim.epoch}",
    )
    status = asyncio.ensure_future(_show_status(kit, work, begun))
    try:
        reply = await kit.models.complete(request)
    except ModelFailure as failure:
        await _close_status(kit, work, await status)
        return await _failed(kit, work, run, begun, failure)
    except BaseException:
        status.cancel()
        raise
    shown = await status
    cost = None if reply.usage.assumed else pricing.cost(reply.usage, facts.price)
    if reply.tool_calls:
        return await _plan(kit, work, run, begun, reply, cost, shown)
    return await _answer(kit, work, run, begun, reply, cost, shown)


async def _not_begun(
    kit: Kit, work: Work, run: Run, seq: int, refusal: BudgetExhausted | HeldBack
) -> bool:
    """No money was set aside: wait for it, wait to be resumed, ask for more, or land."""
    if refusal.status is not None:
        unsent = Receipt(outcome="refused", detail="overtaken")
        await kit.courier.record(work.workspace, refusal.status, unsent)
    match refusal:
        case HeldBack():
            return False
        case BudgetTaken():
            return await claims.postpone(kit.database, work.claim, after_seconds=TAKEN_SECONDS)
        case BudgetExhausted():
            return await budgeting.exhausted(kit, work, run, seq, refusal)


def choose_model(agent: AgentManifest, surface: str, request: str) -> str:
    """The first route that matches, else the default; a pure rule, decided before the first call."""
    task = task_of(request)
    for route in agent.spec.model_policy.routes:
        wanted = route.match
        if wanted.task is not None and wanted.task != task:
            continue
        if wanted.surface is not None and wanted.surface != surface:
            continue
        return route.model
    return agent.spec.model_policy.default


async def _prepare(
    kit: Kit,
    work: Work,
    run: Run,
    surface: Surface,
    governing: Governing,
    move: Gather | AskModel,
    fresh: list[Message],
) -> Prepared:
    context = None
    if isinstance(move, Gather):
        context = await contexts.gather(kit.database, surface, work, run, governing.begun)
        seq = 1
        messages = (
            ModelMessage("system", str(context["system"])),
            ModelMessage("user", str(context["request"])),
        )
    else:
        seq, messages = move.seq, move.messages
    new = [message for message in fresh if message.run_id != run.id]
    texts = [contexts.steering_text(message) for message in new]
    messages += tuple(ModelMessage("user", text) for text in texts)
    tools = shown_tools(kit, governing)
    begun_before = next((s for s in work.steps if s.seq == seq and s.kind is StepKind.MODEL), None)
    return Prepared(
        seq=seq,
        context=context,
        steering=(steering_of(begun_before) if begun_before else []) + texts,
        taken=work.unread,
        messages=messages,
        tools=tools,
        input_tokens=pricing.estimate_input_tokens(messages, tools),
    )


def shown_tools(kit: Kit, governing: Governing) -> tuple[ToolSpec, ...]:
    """What the model is told it may use: granted by the run's revision and by the live one."""
    return tuple(
        registered.spec
        for registered in kit.registry.all()
        if all(
            policy.is_granted(registered.toolset, registered.tool.permission, manifest)
            for manifest in (governing.begun, governing.live)
        )
    )


async def _begin(
    kit: Kit,
    work: Work,
    run: Run,
    governing: Governing,
    facts: ModelFacts,
    prepared: Prepared,
) -> Begun:
    call = ModelCall(
        seq=prepared.seq,
        facts=facts,
        input_tokens=prepared.input_tokens,
        output_limit=governing.live.spec.limits.output_tokens,
        limits=limits_of(governing.live, governing.workspace),
        context=prepared.context,
        steering=prepared.steering,
        taken=[message.id for message in prepared.taken],
        status=_status(kit, work, run),
    )
    return await model_calls.begin(kit.database, work, run, call)


def _status(kit: Kit, work: Work, run: Run) -> SetStatus | None:
    """That a run begins or goes on; where a status stays, each step of it."""
    if run.state is not RunState.WORKING:
        opening = next((m.external_id for m in work.unread if m.run_id == run.id), "")
        return SetStatus(text=WORKING, message_id=opening)
    if not isinstance(kit.surfaces.get(work.conversation.surface), ShowsProgress):
        return None
    return SetStatus(text=f"{WORKING} ({model_steps(work.steps)} steps so far)")


async def _show_status(kit: Kit, work: Work, begun: Begun) -> tuple[OutboxRow, Receipt] | None:
    """Send the status while the model works; what came of it is recorded with the next commit."""
    row = begun.status
    if row is None or row.state != "sending":
        return None
    return row, await kit.courier.send(work.workspace, row, work.conversation.thread)


async def _close_status(kit: Kit, work: Work, shown: tuple[OutboxRow, Receipt] | None) -> None:
    if shown is not None:
        await kit.courier.record(work.workspace, *shown)


async def _answer(
    kit: Kit,
    work: Work,
    run: Run,
    begun: Begun,
    reply: ModelReply,
    cost: Decimal | None,
    shown: tuple[OutboxRow, Receipt] | None,
) -> bool:
    text = reply.text
    if reply.finish == "length":
        text += "\n\n_[cut: the answer reached its longest length]_"
    told = await disclosing.told(kit, work, text)
    if told is None:  # who reads along is not known at the moment: the answer is kept until it is
        return await _plan(kit, work, run, begun, reply, cost, shown)
    ended = await endings.answer(
        kit.database,
        work,
        run,
        begun=begun,
        reply=reply,
        cost_usd=cost,
        say=answer_text(told.steps, told.text, run.model),
        status=shown,
        elsewhere=await elsewhere.lines(kit, work),
    )
    return await send(kit, work, ended)


async def _plan(
    kit: Kit,
    work: Work,
    run: Run,
    begun: Begun,
    reply: ModelReply,
    cost: Decimal | None,
    shown: tuple[OutboxRow, Receipt] | None,
) -> bool:
    """Journal the calls that the model asked for, and make those that may be made."""
    planned = await planning.plan(
        kit.database,
        kit.configuration,
        work,
        run,
        begun=begun,
        reply=reply,
        cost_usd=cost,
        status=shown,
        judge=await _judge(kit, work, run, reply.tool_calls, begun.seq, reason=reply.text),
    )
    await _make(kit, work, run, planned)
    return False


async def plan_later(kit: Kit, work: Work, run: Run) -> bool:
    """The same for a reply that came while the agent was paused; its model call is on record."""
    step = next(s for s in reversed(work.steps) if s.kind is StepKind.MODEL)
    planned = await planning.plan_later(
        kit.database,
        kit.configuration,
        work,
        run,
        model_seq=step.seq,
        judge=await _judge(kit, work, run, calls_of(step), step.seq, reason=text_of(step)),
    )
    await _make(kit, work, run, planned)
    return False


async def _judge(
    kit: Kit, work: Work, run: Run, calls: Sequence[ToolCall], model_seq: int, *, reason: str
) -> Callable[[Governing], list[planning.Judged]]:
    facts = await inquiry.of_step(kit, work, run, calls, seq=model_seq)

    def judge(governing: Governing) -> list[planning.Judged]:
        return gate.judge_calls(
            kit.registry,
            governing,
            work.conversation,
            calls,
            facts=facts,
            first_seq=model_seq + 1,
            reason=reason,
        )

    return judge


async def _make(kit: Kit, work: Work, run: Run, planned: planning.Planned) -> None:
    await kit.courier.forward(work.claim.ref, planned.cards, work.conversation.thread)
    await make_calls(kit, work, run, planned.started)


async def _failed(kit: Kit, work: Work, run: Run, begun: Begun, failure: ModelFailure) -> bool:
    """A call without a reply: try again a little later, or end the run and say so."""
    warming = isinstance(failure, ModelWarming)
    row = await model_calls.fail(
        kit.database,
        work,
        run,
        begun.reservation_id,
        sent=failure.sent,
        code=failure.code,
        status=SetStatus(text=WARMING, state="waiting") if warming else None,
    )
    if row is not None:
        await kit.courier.forward(work.claim.ref, [row], work.conversation.thread)
    if warming:
        seconds = failure.retry_after_seconds or TAKEN_SECONDS
        return await claims.postpone(kit.database, work.claim, after_seconds=seconds)
    if failure.retryable and work.conversation.failures + 1 < TRIES:
        tries = min(work.conversation.failures, len(BACKOFF_SECONDS) - 1)
        seconds = max(failure.retry_after_seconds or 0, BACKOFF_SECONDS[tries])
        log.info("model call postponed", run=str(run.id), code=failure.code, seconds=seconds)
        await claims.release_failed(kit.database, work.claim, after_seconds=seconds)
        return True
    return await fail(kit, work, run, reason=f"{failure}.", code=failure.code)
