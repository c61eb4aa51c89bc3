"""Money: never more than the limit at any instant, whoever is first and wherever it crashes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from openloop.actions import calls, claims, model_calls
from openloop.actions.model_calls import BudgetExhausted
from openloop.domain.model import Usage
from openloop.domain.pricing import Price, cost
from openloop.domain.run import RunState
from openloop.models.errors import ModelOverloaded
from openloop.storage import budgets
from tests import make
from tests.actions.money import CALL, FACTS, answer, begin, claimed, lapsed, open_rows, used
from tests.runtime.fakes import Killed, reply
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.actions.claims import Work
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


@asynccontextmanager
async def nothing_above_the_limit(stage: Stage) -> AsyncGenerator[list[Decimal]]:
    """Look at every budget row again and again while the block runs."""
    highest: list[Decimal] = []
    done = asyncio.Event()

    async def check() -> None:
        while not done.is_set():
            async with stage.tx() as tx:
                rows = await tx.tuples(
                    "SELECT axis, settled_usd + reserved_usd, limit_usd FROM budgets"
                )
            for axis, spent, limit in rows:
                assert limit is None or spent <= limit, (axis, spent, limit)
                highest.append(spent)

    checking = asyncio.create_task(check())
    try:
        yield highest
    finally:
        done.set()
        await checking


# --- at once -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["workspace", "agent"])
async def test_fifty_calls_at_once_get_what_the_budget_affords(stage: Stage, axis: str) -> None:
    works = await claimed(stage, 50)
    limits = make.limits(**{axis: "5.7"})  # five of 1.1, and less than 256 tokens are left

    async with nothing_above_the_limit(stage) as highest:
        begun = await asyncio.gather(
            *(begin(stage, work, limits) for work in works), return_exceptions=True
        )

    admitted = [each for each in begun if not isinstance(each, BaseException)]
    refused = [each for each in begun if isinstance(each, BudgetExhausted)]
    assert len(admitted) == 5
    assert {each.reserved_usd for each in admitted} == {CALL}
    assert len(refused) == 45, begun
    assert {each.tight.axis for each in refused} == {axis}
    assert max(highest, default=0) <= Decimal("5.7")
    rows = await stage.budgets()
    assert rows[axis].reserved_usd == CALL * 5


async def test_whatever_they_use_no_instant_is_above_the_limit(stage: Stage) -> None:
    """Calls that reserve and settle all at once, each using another part of what it reserved."""
    works = await claimed(stage, 40)
    limits = make.limits(workspace="9", agent="8", run="1.5")

    async def call(work: Work, number: int) -> Decimal:
        try:
            begun = await begin(stage, work, limits)
        except BudgetExhausted:
            return Decimal(0)
        said = used(100, max(1, begun.max_tokens * (10 + number % 10 * 10) // 100))
        await answer(stage, work, begun, said)
        return Decimal(said.usage.input_tokens + said.usage.output_tokens) / 1000

    async with nothing_above_the_limit(stage):
        costs = await asyncio.gather(*(call(work, n) for n, work in enumerate(works)))

    rows = await stage.budgets()
    for axis in ("workspace", "agent"):
        assert rows[axis].settled_usd == sum(costs)
        assert rows[axis].reserved_usd == 0
        assert rows[axis].overrun_usd == 0


async def test_of_two_calls_for_the_last_of_a_budget_one_waits_and_gets_less(
    stage: Stage,
) -> None:
    first, second = await claimed(stage, 2)
    limits = make.limits(workspace="1.6")
    async with stage.tx() as tx:
        await open_rows(tx, stage, first)

    async with stage.tx() as tx:  # somebody reserves...
        await tx.run(
            """
            UPDATE budgets SET limit_usd = 1.6, reserved_usd = 1.1 WHERE axis = 'workspace'
            """
        )
        other = asyncio.create_task(begin(stage, second, limits))
        await until_someone_waits_for(tx)  # ...when a second call wants to

    assert (await other).max_tokens == 400  # 0.5 dollars are left, 0.1 of them for the input


async def test_rows_that_are_there_are_not_waited_for(stage: Stage) -> None:
    """Only the statement that reserves waits its turn; making the rows is no second queue."""
    [work] = await claimed(stage, 1)
    async with stage.tx() as tx:
        await open_rows(tx, stage, work)

    async with stage.tx() as busy, stage.tx() as tx:
        await busy.run("UPDATE budgets SET reserved_usd = reserved_usd + 1")
        await tx.run("SET LOCAL lock_timeout = '200ms'")
        await open_rows(tx, stage, work)


async def test_deadlocks_do_not_happen_between_agents(database: Database) -> None:
    """The sweep settles what two agents left behind while both of them make calls."""
    stage = await make.stage(database)
    second_agent = {**make.AGENT, "surfaces": [{"type": "slack", "channel": "#QA"}]}
    await make.applied_agent(database, stage.workspace, second_agent, name="quality")
    limits = make.limits(workspace="1000", agent="1000", run="10")
    left = [
        await stage.claim(await stage.mention(root=f"left-{n}", channel=channel))
        for n, channel in enumerate([make.CHANNEL, "QA"] * 4)
    ]
    for work in left:
        await begin(stage, work, limits)
    await lapsed(stage)
    busy = [
        await stage.claim(await stage.mention(root=f"busy-{n}", channel=channel))
        for n, channel in enumerate([make.CHANNEL, "QA"] * 8)
    ]

    async def call(work: Work) -> None:
        await answer(stage, work, await begin(stage, work, limits), used(100, 500))

    settled, *_ = await asyncio.gather(
        model_calls.settle_lapsed(stage.database, stage.workspace, limit=100),
        *(call(work) for work in busy),
    )

    assert settled == 8
    rows = await stage.budgets()
    assert rows["workspace"].settled_usd == CALL * 8 + Decimal("0.6") * 16
    assert rows["workspace"].reserved_usd == 0


async def test_the_sweep_holds_the_rows_of_one_agent_at_a_time(database: Database) -> None:
    """Else it would hold the workspace's row while it waits for an agent that waits for it."""
    stage = await make.stage(database)
    second_agent = {**make.AGENT, "surfaces": [{"type": "slack", "channel": "#QA"}]}
    await make.applied_agent(database, stage.workspace, second_agent, name="quality")
    limits = make.limits(workspace="1000", agent="1000", run="10")
    for channel in (make.CHANNEL, "QA"):
        work = await stage.claim(await stage.mention(root="left", channel=channel))
        await begin(stage, work, limits)
    await lapsed(stage)

    async with stage.tx() as tx:  # the second agent's row is taken...
        assert work.run is not None
        await tx.run(
            "SELECT FROM budgets WHERE axis = 'agent' AND subject = %(id)s FOR UPDATE",
            {"id": work.run.agent_id},
        )
        sweep = asyncio.create_task(
            model_calls.settle_lapsed(stage.database, stage.workspace, limit=100)
        )
        await until_someone_waits_for(tx)  # ...and the sweep has come to it...
        await tx.run("SELECT FROM budgets WHERE axis = 'workspace' FOR UPDATE NOWAIT")

    assert await sweep == 2


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["workspace", "agent", "run"])
async def test_each_axis_bounds_the_answer(stage: Stage, axis: str) -> None:
    [work] = await claimed(stage, 1)

    begun = await begin(stage, work, make.limits(**{axis: "0.6"}))

    assert begun.max_tokens == 500  # 0.6 dollars less 0.1 for the input
    assert begun.reserved_usd == Decimal("0.6")


@pytest.mark.parametrize(("limit", "lands"), [("0.356", False), ("0.355999", True)])
async def test_under_256_tokens_nothing_is_reserved(
    stage: Stage, *, limit: str, lands: bool
) -> None:
    [work] = await claimed(stage, 1)
    if not lands:
        assert (await begin(stage, work, make.limits(run=limit))).max_tokens == 256
        return
    with pytest.raises(BudgetExhausted) as refused:
        await begin(stage, work, make.limits(run=limit))
    assert refused.value.tight.axis == "run"
    assert (await stage.budgets())["run"].reserved_usd == 0
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM reservations") == 0


async def test_a_free_model_is_not_bounded_by_an_empty_budget(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    free = replace(FACTS, price=Price(input_per_million=Decimal(0), output_per_million=Decimal(0)))

    begun = await begin(stage, work, make.limits(workspace="0.000001"), facts=free)

    assert (begun.max_tokens, begun.reserved_usd) == (1000, 0)


@pytest.mark.parametrize("dollars", ["0.000001", "0.333333333", "17.01"])
async def test_what_is_reserved_is_the_cost_of_the_longest_answer(
    stage: Stage, dollars: str
) -> None:
    [work] = await claimed(stage, 1)
    price = Price(input_per_million=Decimal(dollars), output_per_million=Decimal(dollars) * 4)

    begun = await begin(stage, work, make.limits(), facts=replace(FACTS, price=price))

    assert begun.reserved_usd == cost(Usage(input_tokens=100, output_tokens=1000), price)


async def test_the_answer_is_never_longer_than_the_model_or_the_manifest_allows(
    stage: Stage,
) -> None:
    one, two = await claimed(stage, 2)
    short = replace(FACTS, max_output_tokens=300)

    assert (await begin(stage, one, make.limits(), facts=short)).max_tokens == 300
    assert (await begin(stage, two, make.limits(), output_limit=700)).max_tokens == 700


async def test_lowering_a_limit_counts_for_the_next_reservation(stage: Stage) -> None:
    first, second, third = await claimed(stage, 3)
    await begin(stage, first, make.limits(workspace="10"))

    begun = await begin(stage, second, make.limits(workspace="1.7"))
    assert begun.max_tokens == 500  # 0.6 are left, 0.1 of them for the input
    with pytest.raises(BudgetExhausted):
        await begin(stage, third, make.limits(workspace="1"))

    row = (await stage.budgets())["workspace"]
    assert row.settled_usd + row.reserved_usd == Decimal("1.7")


async def test_a_new_month_is_a_new_budget_and_a_run_is_its_own_period(
    stage: Stage, clock: Clock
) -> None:
    first, second = await claimed(stage, 2)
    begun = await begin(stage, first, make.limits(workspace="1.2", run="1.2"))
    with pytest.raises(BudgetExhausted):
        await begin(stage, second, make.limits(workspace="1.2", run="1.2"))

    await clock.advance(days=31)
    await stage.lapse(second.claim.ref)
    again = await stage.claim(second.claim.ref)
    await begin(stage, again, make.limits(workspace="1.2", run="1.2"))
    await stage.lapse(first.claim.ref)
    async with stage.tx() as tx:
        await budgets.settle(tx, begun.reservation_id, cost_usd=Decimal("0.5"), usage=None)
        months = await tx.tuples(
            """
            SELECT settled_usd, reserved_usd FROM budgets WHERE axis = 'workspace' ORDER BY period
            """
        )

    assert months == [(Decimal("0.5"), 0), (0, CALL)]


async def test_money_that_is_only_set_aside_is_waited_for(stage: Stage) -> None:
    """A run waits for calls under way, and what was said to it meanwhile is not lost."""
    [other] = await claimed(stage, 1)
    begun = await begin(stage, other, make.limits(workspace="199.999"), output_limit=199_899)
    ref = await stage.mention("open it", root="root-9")
    await stage.say("in acme/platform", root="root-9")

    await stage.work(ref)
    assert stage.models.requests == []
    assert (await stage.run_of(ref)).state is RunState.WORKING
    await answer(stage, other, begun, used(100, 100))
    await stage.sweep_and_work(ref)

    [request] = stage.models.requests
    assert request.messages[-1].content == "New message of ben:\nin acme/platform"
    assert stage.surface.said == ["All done."]


async def test_a_run_at_its_limit_lands_and_keeps_what_it_has(database: Database) -> None:
    stage = await make.stage(
        database,
        agent={
            "budget": {"monthly_usd": 50, "per_task_usd": 0.05},
            "tools": [{"name": "github", "type": "native", "permissions": ["issues:read"]}],
            "approvals": {},
        },
    )
    stage.models.turns = [
        reply("I found the cause.", make.READ, usage=(1500, 1000)),
        reply("never said"),
    ]
    ref = await stage.mention()

    await stage.work(ref)

    run = await stage.run_of(ref)
    assert (run.state, run.outcome, run.error_code) == (RunState.DONE, "landed", "budget_exhausted")
    [said] = stage.surface.said
    assert said.startswith("I found the cause.")
    assert "run budget" in said
    assert len(stage.models.requests) == 1
    rows = await stage.budgets()
    assert rows["run"].settled_usd + rows["run"].reserved_usd <= Decimal("0.05")


async def test_a_model_without_a_price_is_not_called(database: Database) -> None:
    stage = await make.stage(database, agent={"model_policy": {"default": "openai/unheard-of"}})
    ref = await stage.mention()

    await stage.work(ref)

    assert (await stage.run_of(ref)).error_code == "model_unpriced"
    assert stage.models.requests == []
    assert "price" in stage.surface.said[0]


async def test_waiting_runs_hold_no_reservation(stage: Stage) -> None:
    ref, _ = await stage.hold()

    assert (await stage.run_of(ref)).state is RunState.WAITING
    assert (await stage.budgets())["workspace"].reserved_usd == 0


async def test_the_steps_of_a_run_end_at_their_limit(database: Database) -> None:
    stage = await make.stage(database, agent={"limits": {"steps": 3}})
    stage.models.turns = [reply("Again.", ("github__nothing", "{}"))]
    ref = await stage.mention()

    await stage.work(ref)

    run = await stage.run_of(ref)
    assert (run.outcome, run.error_code) == ("landed", "limit_steps")
    assert len(stage.models.requests) == 3


async def test_a_call_that_is_made_again_is_no_step_more(database: Database) -> None:
    stage = await make.stage(database, agent={"limits": {"steps": 1}})
    stage.models.turns = [ModelOverloaded("busy"), reply("All done.")]
    ref = await stage.mention()

    await stage.work(ref)
    await stage.sweep_and_work(ref)

    assert stage.surface.said == ["All done."]


async def test_the_plan_and_its_settlement_are_one_commit(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))
    assert work.run is not None

    def judge(_: object) -> list[calls.Judged]:
        raise Killed

    with pytest.raises(Killed):
        await calls.plan(
            stage.database,
            stage.configuration,
            work,
            work.run,
            begun=begun,
            reply=used(100, 400),
            cost_usd=Decimal("0.5"),
            status=None,
            judge=judge,
        )

    assert (await stage.budgets())["workspace"].reserved_usd == CALL
    again = await claims.look_again(stage.database, stage.configuration, work)
    assert again.steps[-1].state == "started"


def test_usage_knows_its_parts() -> None:
    with pytest.raises(ValueError, match="cached"):
        Usage(input_tokens=1, output_tokens=1, cached_tokens=2)
