"""Charges: what a call used, or all that was set aside for it, and exactly once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from openloop.actions import model_calls
from openloop.domain.errors import Unavailable
from openloop.models.errors import ModelOverloaded, ModelUnavailable
from openloop.runtime.sweep import Sweep
from openloop.storage import budgets
from tests import make
from tests.actions.money import CALL, answer, begin, claimed, open_rows, used
from tests.runtime.fakes import Killed, reply
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.actions.model_calls import Begun
    from tests.make import Clock, Stage


# --- crashes -------------------------------------------------------------------------------------


async def test_a_call_that_nobody_heard_of_again_is_settled_at_full_by_the_sweep(
    stage: Stage, clock: Clock
) -> None:
    [work] = await claimed(stage, 1)
    await begin(stage, work, make.limits(workspace="10"))
    sweep = Sweep(stage.database, stage.configuration, lambda _: None)

    await sweep.once()
    assert (await stage.budgets())["workspace"].reserved_usd == CALL
    await clock.advance(minutes=11)
    await sweep.once()

    rows = await stage.budgets()
    assert (rows["workspace"].settled_usd, rows["workspace"].reserved_usd) == (CALL, 0)
    assert (await stage.runs())[0].cost_usd == CALL
    [told] = await stage.audit("budget")
    assert (told.kind, told.detail["charged_usd"]) == ("budget.assumed", "1.100000")


async def test_a_resumed_step_settles_what_was_left_and_reserves_anew(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    await begin(stage, work, make.limits(workspace="10"))
    await stage.lapse(ref)

    again = await stage.claim(ref)
    begun = await begin(stage, again, make.limits(workspace="10"))
    rows = await stage.budgets()
    assert (rows["workspace"].settled_usd, rows["workspace"].reserved_usd) == (CALL, CALL)

    await answer(stage, again, begun, used(100, 400))

    rows = await stage.budgets()
    assert (rows["workspace"].settled_usd, rows["workspace"].reserved_usd) == (
        CALL + Decimal("0.5"),
        0,
    )
    assert (await stage.run_of(ref)).cost_usd == CALL + Decimal("0.5")


async def test_of_the_sweep_and_the_answer_only_one_settles(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))

    async with stage.tx() as tx:  # the sweep is settling...
        settled = await budgets.settle(tx, begun.reservation_id, cost_usd=None, usage=None)
        assert await settled.first() is not None
        late = asyncio.create_task(answer(stage, work, begun, used(100, 400)))
        await until_someone_waits_for(tx)  # ...when the answer comes after all

    await late
    rows = await stage.budgets()
    assert (rows["workspace"].settled_usd, rows["workspace"].reserved_usd) == (CALL, 0)


async def test_settling_twice_changes_nothing(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))

    results = await asyncio.gather(*(_settle(stage, begun) for _ in range(8)))

    assert sum(results) == 1
    rows = await stage.budgets()
    assert (rows["workspace"].settled_usd, rows["workspace"].reserved_usd) == (CALL, 0)


async def _settle(stage: Stage, begun: Begun) -> bool:
    async with stage.tx() as tx:
        settled = await budgets.settle(tx, begun.reservation_id, cost_usd=None, usage=None)
    return await settled.first() is not None


async def test_a_reservation_whose_transaction_is_cut_is_none(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    with pytest.raises(Unavailable):  # noqa: PT012  # the transaction is what is cut
        async with stage.tx() as tx:
            await open_rows(tx, stage, work)
            raise Unavailable("cut")

    assert await stage.budgets() == {}


async def test_a_worker_that_dies_in_the_model_call_costs_no_more_than_both_calls(
    stage: Stage,
) -> None:
    ref = await stage.mention()

    async def die(request: object) -> None:
        stage.models.before = None
        raise Killed

    stage.models.before = die
    with pytest.raises(Killed):
        await stage.work(ref)
    held = (await stage.budgets())["run"].reserved_usd
    assert held > 0

    await stage.sweep_and_work(ref)

    rows = await stage.budgets()
    assert rows["run"].reserved_usd == 0
    assert rows["run"].settled_usd == held + Decimal("0.0014")  # 100 in and 20 out
    assert stage.surface.said == ["All done."]


# --- what is charged -----------------------------------------------------------------------------


async def test_usage_that_nobody_counted_is_charged_in_full(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))

    await answer(stage, work, begun, reply("done", usage=None))

    rows = await stage.budgets()
    assert rows["workspace"].settled_usd == CALL
    assert await stage.kinds("budget") == ["budget.assumed"]


async def test_usage_above_the_reservation_is_booked_apart_and_told(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))

    await answer(stage, work, begun, used(700, 1000))

    row = (await stage.budgets())["workspace"]
    assert (row.settled_usd, row.overrun_usd, row.reserved_usd) == (CALL, Decimal("0.6"), 0)
    assert (await stage.runs())[0].cost_usd == Decimal("1.7")
    [told] = await stage.audit("budget")
    assert (told.kind, told.detail["charged_usd"]) == ("budget.overrun", "1.700000")


@pytest.mark.parametrize(("sent", "charged"), [(True, CALL), (False, Decimal(0))])
async def test_a_failed_call_costs_its_reservation_if_it_was_sent(
    stage: Stage, *, sent: bool, charged: Decimal
) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))
    assert work.run is not None

    await model_calls.fail(
        stage.database, work, work.run, begun.reservation_id, sent=sent, code="model_unavailable"
    )

    row = (await stage.budgets())["workspace"]
    assert (row.settled_usd, row.reserved_usd) == (charged, 0)


async def test_each_attempt_reserves_by_itself(stage: Stage) -> None:
    stage.models.turns = [
        ModelUnavailable("cut off", sent=True),
        ModelOverloaded("busy"),
        reply("All done."),
    ]
    ref = await stage.mention()
    for _ in range(3):
        await stage.work(ref)
        await stage.lapse(ref)

    async with stage.tx() as tx:
        costs = await tx.tuples("SELECT cost_usd, assumed, state FROM reservations ORDER BY id")
        full = await tx.value("SELECT max(amount_usd) FROM reservations")
    assert [state for _, _, state in costs] == ["settled"] * 3
    assert [(cost, assumed) for cost, assumed, _ in costs] == [
        (full, True),
        (0, False),
        (Decimal("0.0014"), False),
    ]
    assert stage.surface.said == ["All done."]
    keys = {request.idempotency_key for request in stage.models.requests}
    assert len(keys) == 3
