"""Of several limits, which one a refused call is told about, and whether waiting may help."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, LiteralString

import pytest

from openloop.actions.model_calls import BudgetExhausted, BudgetTaken, HeldBack
from openloop.domain.audit import SYSTEM
from openloop.domain.budget import Limit
from openloop.domain.pause import PauseScope
from openloop.storage import pauses
from tests import make
from tests.actions.money import FACTS, answer, begin, claimed, used

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.budget import Axis, Limits, Unit
    from tests.make import Stage

USED_UP, ROOMY = "0.2", "100"


def limits(**rows: dict[str, Any]) -> Limits:
    """The rows that are always there, with these things said of them."""
    return tuple(
        Limit(
            axis=axis,
            span="run" if axis == "run" else "month",
            usd=None if "usd" not in said else Decimal(said["usd"]),
            tokens=said.get("tokens"),
            on_exceeded=said.get("on_exceeded", "block"),
        )
        for axis in ("workspace", "agent", "run")
        for said in (rows.get(axis, {}),)
    )


async def refused(stage: Stage, work: Work, within: Limits, **call: Any) -> BudgetExhausted:
    with pytest.raises(BudgetExhausted) as refusal:
        await begin(stage, work, within, **call)
    return refusal.value


@pytest.mark.parametrize(
    ("rows", "axis", "unit"),
    [
        # What is used up comes before what has room, whichever it is.
        ({"workspace": {"usd": ROOMY}, "agent": {"usd": USED_UP}}, "agent", "usd"),
        ({"workspace": {"usd": USED_UP}, "agent": {"usd": ROOMY}}, "workspace", "usd"),
        # Of that, what no approval extends.
        (
            {"agent": {"usd": "0.1", "on_exceeded": "ask"}, "workspace": {"usd": USED_UP}},
            "workspace",
            "usd",
        ),
        (
            {"workspace": {"usd": "0.1", "on_exceeded": "ask"}, "agent": {"usd": USED_UP}},
            "agent",
            "usd",
        ),
        # Of those, what affords the least.
        ({"workspace": {"usd": "0.3"}, "agent": {"usd": "0.25"}}, "agent", "usd"),
        ({"workspace": {"usd": "0.25"}, "agent": {"usd": "0.3"}}, "workspace", "usd"),
        ({"workspace": {"usd": USED_UP}, "agent": {"usd": USED_UP}}, "agent", "usd"),
        # A limit that warns is none.
        (
            {"agent": {"usd": "0.1", "on_exceeded": "warn"}, "workspace": {"usd": USED_UP}},
            "workspace",
            "usd",
        ),
        # And in what it runs out.
        ({"agent": {"tokens": 300}}, "agent", "tokens"),
        ({"agent": {"tokens": 300, "usd": ROOMY}}, "agent", "tokens"),
        ({"agent": {"tokens": 10_000, "usd": USED_UP}}, "agent", "usd"),
        ({"agent": {"tokens": 300, "usd": "0.3"}}, "agent", "usd"),
    ],
)
async def test_the_row_that_is_told_is_the_one_that_has_to_change(
    stage: Stage, rows: dict[str, dict[str, Any]], axis: Axis, unit: Unit
) -> None:
    [work] = await claimed(stage, 1)
    refusal = await refused(stage, work, limits(**rows))
    assert (refusal.tight.axis, refusal.tight.unit) == (axis, unit)
    assert not isinstance(refusal, BudgetTaken)


@pytest.mark.parametrize("unit", ["usd", "tokens"])
async def test_what_is_set_aside_may_come_back_and_what_is_spent_does_not(
    stage: Stage, unit: str
) -> None:
    within = limits(agent={"usd": "1.3"} if unit == "usd" else {"tokens": 1300})
    first, second, third = await claimed(stage, 3)
    begun = await begin(stage, first, within)
    assert isinstance(await refused(stage, second, within), BudgetTaken)

    await answer(stage, first, begun, used(100, 1000))
    refusal = await refused(stage, third, within)
    assert not isinstance(refusal, BudgetTaken)
    assert refusal.tight.unit == unit


async def test_waiting_for_one_row_is_in_vain_where_another_is_used_up(stage: Stage) -> None:
    first, second = await claimed(stage, 2)
    await begin(stage, first, limits(workspace={"usd": "1.2"}))
    within = limits(workspace={"usd": "1.2"}, agent={"usd": "1.2"}, run={"usd": USED_UP})
    refusal = await refused(stage, second, within)
    assert not isinstance(refusal, BudgetTaken)
    assert refusal.tight.axis == "run"


@pytest.mark.parametrize(("left", "waits"), [("0.355999", False), ("0.356", True)])
async def test_waiting_has_to_afford_the_shortest_answer(
    stage: Stage, left: str, *, waits: bool
) -> None:
    within = limits(agent={"usd": left})
    first, second = await claimed(stage, 2)
    if waits:
        await begin(stage, first, within)
    else:
        await begin(stage, first, limits(), output_limit=10)
    refusal = await refused(stage, second, within)
    assert isinstance(refusal, BudgetTaken) is waits


async def test_a_short_answer_may_be_all_that_is_asked_for(stage: Stage) -> None:
    """Where the model or the manifest allows fewer tokens than the shortest answer, those do."""
    first, second, third = await claimed(stage, 3)
    short = replace(FACTS, max_output_tokens=100)
    within = limits(agent={"usd": "0.2"})
    assert (await begin(stage, first, within, facts=short)).max_tokens == 100
    assert isinstance(await refused(stage, second, within, facts=short), BudgetTaken)
    nothing = limits(agent={"usd": "0.199"})
    assert not isinstance(await refused(stage, third, nothing, facts=short), BudgetTaken)


async def test_what_an_approval_has_added_can_be_spent(stage: Stage) -> None:
    first, second = await claimed(stage, 2)
    within = limits(agent={"usd": "0.2", "tokens": 200})
    await refused(stage, first, within)
    async with stage.tx() as tx:
        added = "UPDATE budgets SET extra_usd = 5, extra_tokens = 5000 WHERE axis = 'agent'"
        await tx.run(added)
    begun = await begin(stage, second, within)
    assert begun.max_tokens == 1000


@pytest.mark.parametrize("what", ["state = 'finished'", "kind = 'tool'"])
async def test_a_step_that_is_on_record_stays_as_it_is(stage: Stage, what: LiteralString) -> None:
    [work] = await claimed(stage, 1)
    await begin(stage, work, limits())
    async with stage.tx() as tx:
        await tx.run(f"UPDATE steps SET {what}, epoch = 77 WHERE kind = 'model'")  # noqa: S608
    await stage.lapse(work.claim.ref)
    again = await stage.claim(work.claim.ref)
    await begin(stage, again, limits())
    async with stage.tx() as tx:
        assert await tx.value("SELECT epoch FROM steps WHERE seq = 1") == 77


@pytest.mark.parametrize("scope", [PauseScope.AGENT, PauseScope.WORKSPACE])
async def test_in_a_pause_nothing_is_set_aside(stage: Stage, scope: PauseScope) -> None:
    [work] = await claimed(stage, 1)
    assert work.run is not None
    subject = work.run.agent_id if scope is PauseScope.AGENT else stage.workspace
    async with stage.tx() as tx:
        await pauses.put(
            tx, stage.workspace, scope=scope, subject=subject, reason="stop", by=SYSTEM
        )
    with pytest.raises(HeldBack):
        await begin(stage, work, limits())
    assert await stage.count("reservations") == 0
    assert {row.reserved_tokens for row in (await stage.budgets()).values()} == {0}


async def test_a_row_keeps_the_limit_that_it_was_last_used_under(stage: Stage) -> None:
    first, second = await claimed(stage, 2)
    asked = {"usd": "9", "tokens": 9000, "on_exceeded": "ask"}
    await begin(stage, first, limits(agent=asked, workspace={"usd": "8"}))
    rows = await stage.budgets()
    assert (rows["agent"].limit_usd, rows["agent"].limit_tokens) == (9, 9000)
    assert (rows["agent"].on_exceeded, rows["workspace"].on_exceeded) == ("ask", "block")
    assert (rows["agent"].reserved_usd, rows["agent"].reserved_tokens) == (Decimal("1.1"), 1100)
    await begin(stage, second, limits())
    rows = await stage.budgets()
    assert (rows["agent"].limit_usd, rows["agent"].on_exceeded) == (None, "block")
    assert rows["agent"].reserved_tokens == 2200


@pytest.mark.parametrize("cents", ["0.000001", "0.0000014", "0.0000016"])
async def test_a_reservation_is_rounded_up(stage: Stage, cents: str) -> None:
    [work] = await claimed(stage, 1)
    price = replace(FACTS.price, input_per_million=Decimal(cents), output_per_million=Decimal(0))
    begun = await begin(stage, work, make.limits(), facts=replace(FACTS, price=price))
    assert begun.reserved_usd == Decimal("0.000001")


@pytest.mark.parametrize("roomy", ["0.356", "0.6"])
async def test_what_affords_the_shortest_answer_is_not_used_up(stage: Stage, roomy: str) -> None:
    """The run's own limit would do; what another call has set aside is in the way."""
    first, second = await claimed(stage, 2)
    await begin(stage, first, limits(workspace={"usd": "1.2"}))
    within = limits(workspace={"usd": "1.2", "on_exceeded": "ask"}, run={"usd": roomy})
    refusal = await refused(stage, second, within)
    assert isinstance(refusal, BudgetTaken)
    assert refusal.tight.axis == "workspace"
