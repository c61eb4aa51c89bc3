"""What a charge writes, row by row: on the budgets, on its run, in the audit and in the thread."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from openloop.domain.model import Usage
from openloop.storage import budgets
from tests import make
from tests.actions.money import CALL, begin, claimed
from tests.actions.test_tight_rows import limits

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.model_calls import Begun
    from openloop.storage.budgets import Settled
    from tests.make import Stage


async def settle(
    stage: Stage, begun: Begun, cost: str | None, usage: Usage | None = None
) -> Settled | None:
    async with stage.tx() as tx:
        settled = await budgets.settle(
            tx,
            begun.reservation_id,
            cost_usd=None if cost is None else Decimal(cost),
            usage=usage,
        )
    return await settled.first()


def tokens(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)


async def said(stage: Stage, work: Work) -> list[str]:
    """What waits to be said in the thread of a run."""
    assert work.run is not None
    async with stage.tx() as tx:
        rows = await tx.tuples(
            """
            SELECT op->>'op', op->>'markdown' FROM outbox
            WHERE conversation_id = %(id)s AND run_id = %(run)s AND state = 'queued'
            """,
            {"id": work.claim.ref.id, "run": work.run.id},
        )
    assert {op for op, _ in rows} <= {"Say"}
    return [text for _, text in rows]


async def test_what_a_call_used_is_booked_on_every_row_and_on_its_run(stage: Stage) -> None:
    above, below = await claimed(stage, 2)
    dear, cheap = [await begin(stage, work, make.limits()) for work in (above, below)]
    assert above.run is not None
    assert below.run is not None

    settled = await settle(stage, dear, "1.7", tokens(700, 1000))
    assert settled == budgets.Settled(run_id=above.run.id, charged_usd=Decimal("1.7"))
    settled = await settle(stage, cheap, "0.5", tokens(100, 400))
    assert settled == budgets.Settled(run_id=below.run.id, charged_usd=Decimal("0.5"))
    assert await settle(stage, cheap, "0.5", tokens(100, 400)) is None

    for axis in ("workspace", "agent"):
        row = (await stage.budgets())[axis]
        assert (row.settled_usd, row.reserved_usd) == (Decimal("1.6"), 0)
        assert (row.settled_tokens, row.reserved_tokens) == (1600, 0)
        assert (row.overrun_usd, row.overrun_tokens) == (Decimal("0.6"), 600)
    async with stage.tx() as tx:
        runs = await tx.tuples(
            "SELECT id, cost_usd, input_tokens, output_tokens FROM runs ORDER BY cost_usd DESC"
        )
    assert runs == [
        (above.run.id, Decimal("1.7"), 700, 1000),
        (below.run.id, Decimal("0.5"), 100, 400),
    ]


@pytest.mark.parametrize(
    ("cost", "usage", "used", "assumed"),
    [
        (None, None, 1100, True),
        (None, tokens(1, 2), 1100, True),  # what nobody can price counts in full
        ("0.5", None, 1100, False),
        ("0.5", tokens(100, 400), 500, False),
    ],
)
async def test_a_reservation_keeps_what_was_said_of_it(
    stage: Stage, cost: str | None, usage: Usage | None, used: int, *, assumed: bool
) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits())
    await settle(stage, begun, cost, usage)
    async with stage.tx() as tx:
        [row] = await tx.tuples(
            "SELECT state, cost_usd, used_tokens, assumed, usage, usage IS NULL FROM reservations"
        )
    assert row[:4] == ("settled", CALL if cost is None else Decimal(cost), used, assumed)
    assert row[5] is (usage is None)
    if usage is not None:
        assert (row[4]["input_tokens"], row[4]["output_tokens"]) == (
            usage.input_tokens,
            usage.output_tokens,
        )


@pytest.mark.parametrize(
    ("cost", "kind"),
    [
        (None, "budget.assumed"),
        ("1.100001", "budget.overrun"),
        ("1.1", None),
        ("0.5", None),
    ],
)
async def test_a_charge_is_told_where_it_is_assumed_or_above_what_was_set_aside(
    stage: Stage, cost: str | None, kind: str | None
) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits())
    await settle(stage, begun, cost)
    told = await stage.audit("budget")
    assert [each.kind for each in told] == ([] if kind is None else [kind])
    assert await said(stage, work) == []
    if kind is not None:
        [event] = told
        assert work.run is not None
        assert (event.subject, event.run_id) == (begun.reservation_id, work.run.id)
        assert event.actor.kind == "system"
        assert event.detail == {
            "reserved_usd": "1.100000",
            "charged_usd": f"{Decimal(cost or '1.1'):.6f}",
            "model": make.MODEL,
        }


@pytest.mark.parametrize("unit", ["usd", "tokens"])
async def test_a_threshold_is_of_the_limit_with_what_approvals_have_added(
    stage: Stage, unit: str
) -> None:
    """A quarter of it is not told; half of it is, in the thread of the call that made it half."""
    first, second = await claimed(stage, 2)
    within = limits(agent={"usd": "3"} if unit == "usd" else {"tokens": 3000})
    begun = [await begin(stage, work, within) for work in (first, second)]
    async with stage.tx() as tx:
        added = "UPDATE budgets SET extra_usd = 1.4, extra_tokens = 1400 WHERE axis = 'agent'"
        await tx.run(added)

    await settle(stage, begun[0], "1.1", tokens(100, 1000))
    assert await stage.audit("budget.threshold") == []
    await settle(stage, begun[1], "1.1", tokens(100, 1000))

    [event] = await stage.audit("budget.threshold")
    row = (await stage.budgets())["agent"]
    assert second.run is not None
    assert (event.subject, event.run_id) == (row.subject, second.run.id)
    assert event.detail == {
        "axis": "agent",
        "span": "month",
        "period": str(row.period),
        "percent": 50,
        "settled_usd": "2.200000",
        "limit_usd": "4.400000" if unit == "usd" else None,
        "settled_tokens": 2200,
        "limit_tokens": 4400 if unit == "tokens" else None,
    }
    assert row.told == 50
    assert await said(stage, first) == []
    [line] = await said(stage, second)
    assert line.startswith("50 % of the budget of this agent for ")


async def test_what_reaches_several_limits_says_so_in_one_message(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    within = limits(agent={"usd": "1.1"}, workspace={"usd": "2.2"})
    await settle(stage, await begin(stage, work, within), "1.1")
    [text] = await said(stage, work)
    all_of_it, half = text.split("\n")
    assert all_of_it.startswith("All of the budget of this agent for ")
    assert half.startswith("50 % of the budget of this workspace for ")
    assert len(await stage.audit("budget.threshold")) == 2
