"""What was spent as people read it: the name of each row, and each model of each agent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from openloop.domain.ids import new_id
from openloop.storage import extensions, usage
from tests import make
from tests.actions.money import claimed
from tests.actions.test_budget_rows import ELSEWHERE, add, extended, tight

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from openloop.domain.budget import Axis
    from openloop.storage.database import Transaction
    from tests.make import Stage


async def test_a_row_has_the_name_that_its_axis_gives_it(stage: Stage) -> None:
    """The same id on another axis is somebody, or something, else."""
    elsewhere = {"surfaces": [{"type": "slack", "channel": "#QA"}]}
    await make.applied_agent(stage.database, stage.workspace, elsewhere, name="quality")
    [work] = await claimed(stage, 1)
    assert work.run is not None
    agent, anna = work.run.agent_id, (await stage.principal("anna")).id
    async with stage.tx() as tx:
        month, day = await usage.month(tx), await tx.value("SELECT openloop.day()")
        dev = await tx.value("SELECT openloop.subject_of('slack', 'T0ACME', 'DEV')")
        named: list[tuple[Axis, UUID]] = [("agent", agent), ("principal", anna), ("place", dev)]
        for axis, subject in named:
            await add(tx, stage, axis, "month", month, subject=subject, label="a label")
            await add(tx, stage, "workspace", "day", day, subject=subject, label="none of them")
        ops = await add(tx, stage, "place", "month", month, label="slack OPS")
        rows = await usage.list_current(tx)
        found = {(each.subject, each.axis): each.name for each in rows}
        assert len(rows) == len(found)
        assert found == {
            (agent, "agent"): "dev-platform",
            (anna, "principal"): "anna",
            (dev, "place"): "slack #DEV",
            (ops, "place"): "slack OPS",
            (agent, "workspace"): "none of them",
            (anna, "workspace"): "none of them",
            (dev, "workspace"): "none of them",
        }


async def test_what_is_not_counted_is_shown_where_a_manifest_or_a_person_has_it(
    stage: Stage,
) -> None:
    """A place or an id that no limit is about any more is not."""
    anna = (await stage.principal("anna")).id
    async with stage.tx() as tx:
        month = await usage.month(tx)
        basic = await add(tx, stage, "agent", "month", month, is_counted=False)
        person = {"subject": anna, "label": "slack U0ANNA", "is_counted": False}
        await add(tx, stage, "principal", "month", month, **person)
        await add(tx, stage, "principal", "month", month, label="slack U0X", is_counted=False)
        found = await usage.list_current(tx)
    assert [each.subject for each in found] == [basic, anna]


async def test_of_very_many_rows_five_hundred_are_shown(stage: Stage) -> None:
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO budgets (workspace_id, axis, subject, span, period)
            SELECT %(id)s, 'agent', gen_random_uuid(), 'month', openloop.month()
            FROM generate_series(1, 501)
            """,
            {"id": stage.workspace},
        )
        assert len(await usage.list_current(tx)) == 500


# --- models --------------------------------------------------------------------------------------


async def spend(tx: Transaction, stage: Stage, run: UUID, **given: Any) -> None:
    """A reservation of an agent: settled at its amount, unless something else is given."""
    values: dict[str, Any] = {
        "workspace_id": stage.workspace,
        "id": new_id(),
        "run_id": run,
        "step_seq": 1,
        "epoch": 1,
        "state": "settled",
        "amount_usd": 1,
        "amount_tokens": 30,
        "cost_usd": 1,
        "usage": make.as_json({"input_tokens": 10, "output_tokens": 20}),
        "assumed": False,
        "place": new_id(),
        "principal": new_id(),
        **given,
    }
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    await tx.run(
        f"INSERT INTO reservations (lease_until, {names}) VALUES (openloop.now(), {places})",  # noqa: S608  # pyright: ignore
        values,
    )


async def test_each_model_of_each_agent_is_added_up_the_dearest_first(stage: Stage) -> None:
    elsewhere = {"surfaces": [{"type": "slack", "channel": "#QA"}]}
    await make.applied_agent(stage.database, stage.workspace, elsewhere, name="quality")
    [work] = await claimed(stage, 1)
    assert work.run is not None
    run = work.run.id
    async with stage.tx() as tx:
        agents: dict[str, UUID] = dict(await tx.tuples("SELECT name, id FROM agents"))
        day: date = await usage.month(tx)
        dev, quality = agents["dev-platform"], agents["quality"]
        for model, cost in (("small", 2), ("large", 6), ("small", 1)):
            await spend(tx, stage, run, agent_id=dev, model=model, day=day, cost_usd=cost)
        await spend(tx, stage, run, agent_id=quality, model="small", day=day, cost_usd=4)
        await spend(
            tx, stage, run, agent_id=quality, model="small", day=day, assumed=True, usage=None
        )
        for other in ({"day": day - timedelta(days=1)}, {"state": "held", "cost_usd": None}):
            await spend(tx, stage, run, **{"agent_id": dev, "model": "huge", "day": day, **other})
        found = await usage.list_models(tx)
    assert [(each.agent, each.model, each.calls, each.cost_usd) for each in found] == [
        ("dev-platform", "large", 1, 6),
        ("quality", "small", 2, 5),
        ("dev-platform", "small", 2, 3),
    ]
    assert [(each.input_tokens, each.output_tokens) for each in found] == [
        (10, 20),
        (10, 20),
        (20, 40),
    ]
    assert [(each.assumed_calls, each.assumed_usd) for each in found] == [(0, 0), (1, 1), (0, 0)]


# --- extensions ----------------------------------------------------------------------------------


async def test_extensions_are_counted_on_the_month_of_their_owner(stage: Stage) -> None:
    async with stage.tx() as tx:
        month = await usage.month(tx)
        await add(tx, stage, "agent", "month", month, extensions=7)
        owner = await add(tx, stage, "agent", "day", month, extensions=8)
        await add(tx, stage, "agent", "month", ELSEWHERE, subject=owner, extensions=9)
        assert await extensions.count_extensions(tx, owner) == 0
        await add(tx, stage, "agent", "month", month, subject=owner, extensions=3)
        assert await extensions.count_extensions(tx, owner) == 3


async def test_an_extension_waits_for_no_row_but_its_own(stage: Stage) -> None:
    async with stage.tx() as tx:
        month = await usage.month(tx)
        owner = await add(tx, stage, "agent", "month", month)
        await add(tx, stage, "agent", "month", ELSEWHERE, subject=owner)
        await add(tx, stage, "agent", "day", ELSEWHERE, subject=owner)
        await add(tx, stage, "agent", "month", month)
    async with stage.tx() as busy, stage.tx() as tx:
        await busy.run(
            """
            UPDATE budgets SET told = 50
            WHERE (subject, span, period) <> (%(owner)s, 'month', %(month)s)
            """,
            {"owner": owner, "month": month},
        )
        await tx.run("SET LOCAL lock_timeout = '200ms'")
        assert await extended(tx, tight(owner, month), owner)
