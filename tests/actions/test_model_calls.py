"""A model call in the journal: what it writes when it begins, when nothing affords it, when it fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from openloop.actions import model_calls
from openloop.actions.apply import CONSOLE
from openloop.actions.model_calls import BudgetExhausted, BudgetTaken, HeldBack, ModelCall
from openloop.domain.audit import SYSTEM
from openloop.domain.budget import Tight
from openloop.domain.ids import new_id
from openloop.domain.pause import PauseScope
from openloop.domain.surface import SetStatus
from openloop.storage import accounts, budgets, conversations, pauses
from tests import make
from tests.actions.money import CALL, FACTS, begin, claimed, lapsed
from tests.actions.test_limits import limits
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openloop.actions.claims import Work
    from openloop.actions.model_calls import Begun
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction
    from tests.make import Stage

WORKING = SetStatus(text="is working", message_id="message-1")
CONTEXT: dict[str, object] = {"system": "s", "request": "r"}


def first_call(work: Work, **changes: Any) -> ModelCall:
    """The first call of a run, with a status."""
    given: dict[str, Any] = {
        "seq": 1,
        "facts": FACTS,
        "input_tokens": 100,
        "output_limit": 1000,
        "limits": make.limits(),
        "context": CONTEXT,
        "steering": ["and label it"],
        "taken": [message.id for message in work.unread],
        "status": WORKING,
    }
    return ModelCall(**{**given, **changes})


def later_call(work: Work, **changes: Any) -> ModelCall:
    """One that a run makes when its context is on record."""
    return first_call(work, context=None, **changes)


async def begun(stage: Stage, work: Work, call: ModelCall) -> Begun:
    return await model_calls.begin(stage.database, work, run_of(work), call)


def run_of(work: Work) -> Run:
    assert work.run is not None
    return work.run


async def again(stage: Stage, work: Work) -> Work:
    """Another worker has the conversation by now."""
    await stage.lapse(work.claim.ref)
    return await stage.claim(work.claim.ref)


async def statuses(stage: Stage) -> list[tuple[Any, ...]]:
    async with stage.tx() as tx:
        return await tx.tuples("SELECT run_id, sender, state, op->>'text' FROM outbox ORDER BY seq")


# --- what it writes when it begins ---------------------------------------------------------------


async def test_a_call_that_begins_is_on_record_with_what_was_read_before_it(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    found = await begun(stage, work, first_call(work))
    assert (found.seq, found.model, found.max_tokens) == (1, make.MODEL, 1000)
    assert found.reserved_usd == CALL
    async with stage.tx() as tx:
        [reservation] = await tx.tuples(
            "SELECT id, run_id, step_seq, epoch, agent_id, model, state FROM reservations"
        )
        [step] = await tx.tuples("SELECT kind, state, epoch, name, input FROM steps WHERE seq = 1")
    run = run_of(work)
    epoch = work.claim.epoch
    assert reservation == (
        found.reservation_id,
        run.id,
        1,
        epoch,
        run.agent_id,
        make.MODEL,
        "held",
    )
    journaled = {"steering": ["and label it"], "input_tokens": 100}
    assert step == ("model", "started", epoch, make.MODEL, journaled)


async def test_the_first_call_starts_its_run_and_reads_its_messages(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    run = await stage.run_of(work.claim.ref)
    assert (run.state, run.model) == ("working", make.MODEL)
    assert await stage.unread(work.claim.ref) == []
    [context, _] = await stage.steps(run)
    assert (context.kind, context.output) == ("context", CONTEXT)
    [event] = await stage.audit("run.started")
    assert event.actor == work.agent
    assert event.detail == {"model": make.MODEL, "revision": str(run.revision_id)}


async def test_a_later_call_reads_what_was_said_and_works_again(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    async with stage.tx() as tx:
        await tx.run("UPDATE runs SET state = 'waiting', model = 'another'")
        await tx.run("DELETE FROM budgets")
        await tx.run("UPDATE reservations SET state = 'settled'")
    await stage.say("one more thing", root="root-0")
    work = await again(stage, work)
    await begun(stage, work, later_call(work, seq=2))
    run = await stage.run_of(work.claim.ref)
    assert (run.state, run.model) == ("working", make.MODEL)
    async with stage.tx() as tx:
        read = await tx.tuples("SELECT run_id, read_at IS NULL FROM messages")
    assert read == [(run.id, False)] * 2
    rows = await stage.budgets()
    assert (rows["run"].subject, rows["agent"].subject) == (run.id, run.agent_id)


async def test_its_status_is_taken_for_sending_by_whoever_makes_the_call(stage: Stage) -> None:
    first, second = await claimed(stage, 2)
    found = await begun(stage, first, first_call(first))
    sent = (run_of(first).id, first.claim.worker, "sending", "is working")
    assert await statuses(stage) == [sent]
    assert found.status is not None
    assert found.status.run_id == run_of(first).id
    assert (await begun(stage, second, first_call(second, status=None))).status is None
    assert await statuses(stage) == [sent]


# --- rows that have to be counted ----------------------------------------------------------------


async def test_what_is_written_beside_the_money_is_written_once(stage: Stage) -> None:
    """A limit needs a row that is not there: the call is begun twice."""
    [work] = await claimed(stage, 1)
    bounded = limits("place", "day", "5")
    found = await begun(stage, work, first_call(work, limits=bounded))
    [(_, _, state, _)] = await statuses(stage)
    assert (state, found.status is not None) == ("sending", True)
    assert await stage.count("reservations") == 1
    assert len(await stage.audit("run.started")) == 1


async def test_it_is_counted_three_times_and_then_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    [work] = await claimed(stage, 1)
    counted: list[object] = []

    async def in_vain(*_: object) -> None:
        counted.append(None)

    monkeypatch.setattr(accounts, "count_rows", in_vain)
    with pytest.raises(BudgetTaken) as refused:
        await begun(stage, work, first_call(work, limits=limits("place", "day", "5")))
    assert len(counted) == 3
    assert refused.value.status is not None


async def test_rows_are_not_counted_where_none_is_missing_or_nothing_may_begin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await claimed(stage, 2)

    async def never(*_: object) -> None:
        raise AssertionError("it was counted")

    monkeypatch.setattr(accounts, "count_rows", never)
    await begun(stage, first, first_call(first))
    await _pause(stage)
    with pytest.raises(HeldBack) as held:
        await begun(stage, second, first_call(second, limits=limits("place", "day", "5")))
    assert str(held.value) == "The agent is paused"
    assert held.value.status is not None
    assert held.value.status.run_id == run_of(second).id
    assert await stage.count("reservations") == 1


async def _pause(stage: Stage) -> None:
    async with stage.tx() as tx:
        await pauses.put(
            tx,
            stage.workspace,
            scope=PauseScope.WORKSPACE,
            subject=stage.workspace,
            reason="stop",
            by=SYSTEM,
        )


async def test_the_rows_that_every_call_has_are_made_and_need_no_count(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month has begun since the run did."""
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    async with stage.tx() as tx:
        await tx.run("DELETE FROM budgets")

    async def never(*_: object) -> None:
        raise AssertionError("it was counted")

    monkeypatch.setattr(accounts, "count_rows", never)
    await begun(stage, work, later_call(work, seq=2, status=None))
    assert set(await stage.budgets()) == {"workspace", "agent", "run"}


async def test_a_refusal_names_the_limit_and_leaves_its_status(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    with pytest.raises(BudgetExhausted) as refused:
        await begun(stage, work, first_call(work, limits=make.limits(run="0.1")))
    assert not isinstance(refused.value, BudgetTaken)
    assert str(refused.value) == "The run budget does not afford another model call"
    tight = refused.value.tight
    assert (tight.subject, tight.period) == (run_of(work).id, date(1970, 1, 1))
    assert refused.value.status is not None


# --- whose money it is ---------------------------------------------------------------------------


async def test_people_of_the_console_are_known_by_their_id_there(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    run, person = run_of(work), new_id()
    by = {
        CONSOLE: UUID(str(person)),
        "slack": None,  # an id that looks like one of ours is none
    }
    for surface, principal in by.items():
        asked = replace(
            run, requested_by=replace(run.requested_by, surface=surface, id=str(person))
        )
        account = model_calls.account_of(work, asked)
        assert account.principal == principal
        assert (account.agent_id, account.run_id) == (run.agent_id, run.id)
        assert account.requester == asked.requested_by
        assert (account.workspace, account.place) == (stage.workspace, make.place())
    nobody = replace(run, requested_by=replace(run.requested_by, surface=CONSOLE, id="priya"))
    assert model_calls.account_of(work, nobody).principal is None


# --- what an attempt left behind -----------------------------------------------------------------


async def test_what_an_attempt_left_is_settled_and_its_status_dropped(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    work = await again(stage, work)
    await begun(stage, work, later_call(work))
    async with stage.tx() as tx:
        found = await tx.tuples(
            "SELECT state, assumed, cost_usd, usage FROM reservations ORDER BY id"
        )
    assert found == [("settled", True, CALL, None), ("held", False, None, None)]
    assert [state for _, _, state, _ in await statuses(stage)] == ["dropped", "sending"]


async def test_what_was_left_is_settled_in_a_transaction_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that held the rows of both calls would meet somebody who wants them the other way round."""
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    work = await again(stage, work)
    seen: list[tuple[str, object]] = []
    for name in ("settle", "reserve"):
        monkeypatch.setattr(budgets, name, _noting(name, getattr(budgets, name), seen))
    await begun(stage, work, later_call(work))
    assert [name for name, _ in seen] == ["settle", "reserve"]
    assert seen[0][1] is not seen[1][1]


def _noting(
    name: str, real: Callable[..., Awaitable[Any]], seen: list[tuple[str, object]]
) -> Callable[..., Awaitable[Any]]:
    async def noted(tx: Transaction, *given: Any, **named: Any) -> Any:
        seen.append((name, tx))
        return await real(tx, *given, **named)

    return noted


async def test_without_anything_left_a_status_under_way_stays(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begun(stage, work, first_call(work))
    await begun(stage, work, later_call(work, seq=2, status=None))
    assert [state for _, _, state, _ in await statuses(stage)] == ["sending"]
    assert await stage.count("reservations") == 2


# --- a call that gave no reply -------------------------------------------------------------------


@pytest.mark.parametrize("sent", [True, False])
async def test_a_call_without_a_reply_is_told_and_charged_by_whether_it_was_sent(
    stage: Stage, *, sent: bool
) -> None:
    [work] = await claimed(stage, 1)
    made = await begin(stage, work, make.limits())
    run = run_of(work)
    row = await model_calls.fail(
        stage.database, work, run, made.reservation_id, sent=sent, code="overloaded"
    )
    assert row is None
    [event] = await stage.audit("model.failed")
    assert (event.actor, event.subject, event.run_id) == (work.agent, run.id, run.id)
    assert event.detail == {"code": "overloaded", "charged": sent}
    async with stage.tx() as tx:
        [(cost, used, assumed, usage)] = await tx.tuples(
            "SELECT cost_usd, used_tokens, assumed, usage FROM reservations"
        )
    assert (cost, used, assumed) == ((CALL, 1100, True) if sent else (Decimal(0), 0, False))
    nothing = {"input_tokens": 0, "output_tokens": 0}
    assert usage is None if sent else usage.items() >= nothing.items()
    assert await stage.count("outbox") == 0


async def test_what_a_run_waits_for_is_shown_by_whoever_made_the_call(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    made = await begin(stage, work, make.limits())
    run = run_of(work)
    row = await model_calls.fail(
        stage.database,
        work,
        run,
        made.reservation_id,
        sent=False,
        code="overloaded",
        status=SetStatus(text="waits for the model"),
    )
    assert row is not None
    assert await statuses(stage) == [(run.id, work.claim.worker, "sending", "waits for the model")]


# --- the sweep -----------------------------------------------------------------------------------


async def test_the_sweep_settles_so_many_at_a_time_and_says_how_many(stage: Stage) -> None:
    for work in await claimed(stage, 3):
        await begin(stage, work, make.limits())
    await lapsed(stage)
    counts = [
        await model_calls.settle_lapsed(stage.database, stage.workspace, limit=2) for _ in range(3)
    ]
    assert counts == [2, 1, 0]
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT cost_usd, assumed, usage FROM reservations")
    assert found == [(CALL, True, None)] * 3


async def test_the_sweep_waits_for_whoever_works_in_the_conversation(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begin(stage, work, make.limits())
    await lapsed(stage)
    async with stage.tx() as tx:
        await conversations.lock(tx, work.claim.ref.id)
        sweep = asyncio.create_task(
            model_calls.settle_lapsed(stage.database, stage.workspace, limit=9)
        )
        async with asyncio.timeout(5):
            await until_someone_waits_for(tx)
        assert not sweep.done()
    assert await sweep == 1


async def test_that_a_limit_is_used_up_is_told_for_its_row(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    await begin(stage, work, make.limits(agent="9"))
    row = (await stage.budgets())["agent"]
    tight = Tight(axis="agent", span="month", subject=row.subject, period=row.period, unit="usd")
    await model_calls.tell_used_up(stage.database, work, run_of(work), tight)
    [event] = await stage.audit("budget.threshold")
    assert (event.subject, event.run_id) == (row.subject, run_of(work).id)
