"""The fence: a worker that was declared dead writes nothing, whatever it was about to do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from openloop import actions
from openloop.actions import (
    calls,
    claims,
    effects,
    endings,
    extending,
    hearing,
    model_calls,
    notes,
    pause,
    waiting,
)
from openloop.actions.model_calls import ModelCall
from openloop.domain.audience import PlaceClass
from openloop.domain.audit import SYSTEM
from openloop.domain.budget import Tight
from openloop.domain.errors import LostClaim
from openloop.domain.memory import MemoryKind
from openloop.domain.pause import Pause, PauseScope
from openloop.domain.run import RunState
from openloop.domain.step import StepState
from openloop.domain.tool import Effect, ToolResult
from openloop.runtime.context import memory_scope
from openloop.storage import steps
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration
    from openloop.actions.model_calls import Begun
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.storage.database import Database
    from tests.make import Stage


async def begin(stage: Stage, work: Work) -> Begun:
    """Begin the first model call of a claimed run."""
    assert work.run is not None
    assert work.governing is not None
    call = ModelCall(
        seq=1,
        facts=stage.kit().prices(work.governing.workspace).get(make.MODEL),
        input_tokens=100,
        output_limit=1000,
        limits=make.limits(run="5"),
        context={"system": "s", "request": "r"},
        steering=[],
        taken=[message.id for message in work.unread],
        status=None,
    )
    return await model_calls.begin(stage.database, work, work.run, call)


async def overtaken(stage: Stage, ref: ConversationRef) -> None:
    """Declare whoever holds the conversation dead, and let another worker take it."""
    await stage.lapse(ref)
    await stage.claim(ref)


async def everything(stage: Stage) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of workspaces, for comparison."""
    async with stage.tx() as tx:
        tables = await tx.tuples(
            """
            SELECT relname FROM pg_class
            WHERE relnamespace = 'openloop'::regnamespace AND relkind = 'r' AND relrowsecurity
            """
        )
        return {
            name: await tx.tuples(f"SELECT t::text FROM {name} t ORDER BY 1")  # noqa: S608  # pyright: ignore
            for (name,) in tables
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A worker in the middle of a model call."""

    database: Database
    configuration: Configuration
    work: Work
    run: Run
    begun: Begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """A worker that is about to make an approved call."""

    database: Database
    configuration: Configuration
    work: Work
    run: Run
    step: Step
    approval: Approval


def _limited(work: Work) -> Work:
    """The same before it has begun, where the agent may have one run at a time."""
    assert work.governing is not None
    assert work.run is not None
    live = work.governing.live
    spec = replace(live.spec, limits=replace(live.spec.limits, concurrency=1))
    governing = replace(work.governing, live=replace(live, spec=spec))
    return replace(work, governing=governing, run=replace(work.run, state=RunState.QUEUED))


Action = Callable[..., Awaitable[object]]

SAID, COST, DONE = reply("late"), Decimal("0.001"), ToolResult.done("x")

WHILE_ANSWERING: dict[Action, Callable[[Answering], Awaitable[object]]] = {
    endings.answer: lambda it: endings.answer(
        it.database,
        it.work,
        it.run,
        begun=it.begun,
        reply=SAID,
        cost_usd=COST,
        say=None,
        status=None,
    ),
    endings.end: lambda it: endings.end(
        it.database, it.work, it.run, RunState.FAILED, outcome="failed", by=it.work.agent
    ),
    calls.plan: lambda it: calls.plan(
        it.database,
        it.configuration,
        it.work,
        it.run,
        begun=it.begun,
        reply=SAID,
        cost_usd=COST,
        status=None,
        judge=lambda _: [],
    ),
    calls.plan_later: lambda it: calls.plan_later(
        it.database,
        it.configuration,
        it.work,
        it.run,
        model_seq=it.begun.seq,
        judge=lambda _: [],
    ),
    model_calls.fail: lambda it: model_calls.fail(
        it.database,
        it.work,
        it.run,
        it.begun.reservation_id,
        sent=True,
        code="model_unavailable",
    ),
    model_calls.tell_used_up: lambda it: model_calls.tell_used_up(
        it.database,
        it.work,
        it.run,
        Tight(
            axis="agent",
            span="month",
            subject=it.run.agent_id,
            period=make.NOON.date().replace(day=1),
            unit="usd",
        ),
    ),
    claims.park: lambda it: claims.park(it.database, it.work, it.run, wake_at=None),
    claims.look_again: lambda it: claims.look_again(it.database, it.configuration, it.work),
    claims.keep_place: lambda it: claims.keep_place(it.database, _limited(it.work)),
    claims.open_next: lambda it: claims.open_next(it.database, it.work, it.work.unread[0]),
    claims.discard: lambda it: claims.discard(it.database, it.work, it.work.unread[0]),
    hearing.leave_out: lambda it: hearing.leave_out(it.database, it.work, it.work.unread),
    pause.wait_for_resumption: lambda it: pause.wait_for_resumption(
        it.database,
        it.work,
        it.run,
        Pause(
            scope=PauseScope.AGENT,
            subject=it.run.agent_id,
            reason="to look",
            paused_by=SYSTEM,
            paused_at=make.NOON,
        ),
    ),
    notes.save: lambda it: notes.save(
        it.database,
        it.work,
        it.run,
        step_seq=2,
        scope=memory_scope(it.work, it.run),
        kind=MemoryKind.FACT,
        text="late",
        undo_token="undo",
        retention_days=1,
        visible_in=PlaceClass.PUBLIC,
    ),
}

WHILE_ACTING: dict[Action, Callable[[Acting], Awaitable[object]]] = {
    effects.begin: lambda it: effects.begin(
        it.database,
        it.configuration,
        it.work,
        it.run,
        it.step,
        it.approval,
        recheck=lambda _, __: None,
    ),
    effects.finish: lambda it: effects.finish(
        it.database, it.work, it.run, it.step, DONE, approval=it.approval
    ),
    effects.finish_reads: lambda it: effects.finish_reads(
        it.database, it.work, it.run, [(it.step, DONE)]
    ),
    effects.refuse: lambda it: effects.refuse(it.database, it.work, it.run, it.step, it.approval),
    effects.put_back: lambda it: effects.put_back(
        it.database, it.work, it.run, it.step, it.approval
    ),
    effects.mark_unknown: lambda it: effects.mark_unknown(
        it.database, it.work, it.run, it.step, it.approval
    ),
    waiting.look_after: lambda it: waiting.look_after(
        it.database,
        it.configuration,
        it.work,
        it.run,
        it.step,
        it.approval,
        recheck=lambda _, __: None,
    ),
    extending.ask: lambda it: extending.ask(
        it.database, it.configuration, it.work, it.run, it.step.seq, offered=lambda _: None
    ),
    extending.carry_out: lambda it: extending.carry_out(
        it.database, it.configuration, it.work, it.run, it.approval, offered=lambda _: None
    ),
    extending.withdraw_stale: lambda it: extending.withdraw_stale(
        it.database, it.work, it.run, it.approval, reason="late"
    ),
}


def name_of(action: Action) -> str:
    """The name of a function with that of its module."""
    return f"{action.__module__.rpartition('.')[2]}.{action.__name__}"


def test_every_function_that_works_under_a_claim_is_tried_without_one() -> None:
    under_a_claim: set[str] = set()
    for each in pkgutil.iter_modules(actions.__path__, f"{actions.__name__}."):
        for function in vars(importlib.import_module(each.name)).values():
            if inspect.iscoroutinefunction(function) and function.__module__ == each.name:
                takes = inspect.signature(function).parameters.keys()
                if {"database", "work"} <= takes and not function.__name__.startswith("_"):
                    under_a_claim.add(name_of(function))

    tried = {*WHILE_ANSWERING, *WHILE_ACTING, model_calls.begin}
    assert {name_of(function) for function in tried} == under_a_claim


async def test_a_worker_that_was_declared_dead_begins_no_model_call(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    await overtaken(stage, ref)
    before = await everything(stage)

    with pytest.raises(LostClaim):
        await begin(stage, work)

    assert await everything(stage) == before


@pytest.mark.parametrize("action", WHILE_ANSWERING, ids=name_of)
async def test_a_worker_that_was_declared_dead_writes_nothing(stage: Stage, action: Action) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    late = Answering(
        database=stage.database,
        configuration=stage.configuration,
        work=work,
        begun=await begin(stage, work),
        run=await stage.run_of(ref),
    )
    await overtaken(stage, ref)
    before = await everything(stage)

    with pytest.raises(LostClaim):
        await WHILE_ANSWERING[action](late)

    assert await everything(stage) == before


@pytest.mark.parametrize("action", WHILE_ACTING, ids=name_of)
async def test_a_worker_that_was_declared_dead_makes_no_effect(
    stage: Stage, action: Action
) -> None:
    ref, token = await stage.hold()
    await stage.press("approve", by="anna", token=token)
    work = await stage.claim(ref)
    assert work.run is not None
    [approval] = work.approvals
    late = Acting(
        database=stage.database,
        configuration=stage.configuration,
        work=work,
        run=work.run,
        step=next(step for step in work.steps if step.seq == approval.step_seq),
        approval=approval,
    )
    await overtaken(stage, ref)
    before = await everything(stage)

    with pytest.raises(LostClaim):
        await WHILE_ACTING[action](late)

    assert await everything(stage) == before


async def test_reads_are_recorded_together_or_not_at_all(stage: Stage) -> None:
    """Where one is on record already, another worker is at it: none of them is this worker's to tell."""
    ref, token = await stage.hold()
    await stage.press("approve", by="anna", token=token)
    work = await stage.claim(ref)
    assert work.run is not None
    began = [
        replace(step, seq=seq, effect=Effect.READ) for step in work.steps[-1:] for seq in (91, 92)
    ]
    async with stage.tx() as tx:
        for step in began:
            await steps.ask_write(
                tx,
                stage.workspace,
                work.run.id,
                step.seq,
                kind=step.kind,
                state=StepState.STARTED,
                epoch=1,
            )
        await steps.finish(tx, work.run.id, 92, output={"content": "before"})

    with pytest.raises(LostClaim):
        await effects.finish_reads(stage.database, work, work.run, [(step, DONE) for step in began])

    journal = {step.seq: step for step in await stage.steps(work.run)}
    assert journal[91].state is StepState.STARTED
    assert journal[92].output == {"content": "before"}
