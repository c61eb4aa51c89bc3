"""Limits of places, people and days, in dollars and tokens: each row is the sum of its reservations."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from openloop.actions.model_calls import BudgetExhausted, account_of
from openloop.domain.budget import Limit, subject_of
from openloop.storage import accounts, principals
from tests import make
from tests.actions.money import CALL, answer, begin, claimed, lapsed, used
from tests.runtime.fakes import reply
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.domain.budget import Axis, Limits, Span
    from openloop.domain.manifest_budget import OnExceeded
    from tests.make import Clock, Stage

SUMS = """
    SELECT count(*) FROM budgets b CROSS JOIN LATERAL (
        SELECT coalesce(sum(least(v.cost_usd, v.amount_usd))
                FILTER (WHERE v.state = 'settled'), 0) AS settled,
            coalesce(sum(v.amount_usd) FILTER (WHERE v.state = 'held'), 0) AS reserved,
            coalesce(sum(least(v.used_tokens, v.amount_tokens))
                FILTER (WHERE v.state = 'settled'), 0) AS settled_tokens,
            coalesce(sum(v.amount_tokens) FILTER (WHERE v.state = 'held'), 0) AS reserved_tokens
        FROM reservations v
        WHERE b.subject IN (v.workspace_id, v.agent_id, v.place, v.principal, v.run_id)
          AND openloop.covers(b.span, b.period, v.day)) s
    WHERE b.is_counted AND (b.settled_usd, b.reserved_usd, b.settled_tokens, b.reserved_tokens)
        <> (s.settled, s.reserved, s.settled_tokens, s.reserved_tokens)
"""
"""How many rows are not the sum of the reservations of their subject in their span."""


async def wrong_rows(stage: Stage) -> int:
    async with stage.tx() as tx:
        return await tx.value(SUMS)


def limits(
    axis: Axis,
    span: Span,
    usd: str | None = None,
    *,
    tokens: int | None = None,
    on_exceeded: OnExceeded = "block",
) -> Limits:
    """The rows that are always there, without a limit, and this one."""
    own = Limit(
        axis=axis,
        span=span,
        usd=None if usd is None else Decimal(usd),
        tokens=tokens,
        on_exceeded=on_exceeded,
    )
    basic = (each for each in make.limits() if (each.axis, each.span) != (axis, span))
    return (*basic, own)


ROWS: list[tuple[Axis, Span]] = [
    ("workspace", "month"),
    ("workspace", "day"),
    ("agent", "month"),
    ("agent", "day"),
    ("place", "month"),
    ("place", "day"),
    ("principal", "month"),
    ("principal", "day"),
]


@pytest.mark.parametrize(("axis", "span"), ROWS)
async def test_every_axis_is_bounded_in_dollars(stage: Stage, axis: Axis, span: Span) -> None:
    first, second, third = await claimed(stage, 3)
    bounded = limits(axis, span, "1.7")

    assert (await begin(stage, first, bounded)).max_tokens == 1000
    assert (
        await begin(stage, second, bounded)
    ).max_tokens == 500  # 0.6 are left, 0.1 for the input
    with pytest.raises(BudgetExhausted) as refused:
        await begin(stage, third, bounded)

    assert (refused.value.tight.axis, refused.value.tight.span) == (axis, span)
    assert await wrong_rows(stage) == 0


@pytest.mark.parametrize(("axis", "span"), [*ROWS, ("run", "run")])
async def test_every_axis_is_bounded_in_tokens(stage: Stage, axis: Axis, span: Span) -> None:
    [work] = await claimed(stage, 1)

    begun = await begin(stage, work, limits(axis, span, tokens=600))
    await answer(stage, work, begun, used(100, 400))

    assert begun.max_tokens == 500
    async with stage.tx() as tx:
        rows = await tx.tuples("SELECT DISTINCT settled_tokens, reserved_tokens FROM budgets")
    assert rows == [(500, 0)]
    [other] = [await stage.claim(await stage.mention(root="root-7"))]
    if axis != "run":
        with pytest.raises(BudgetExhausted) as refused:
            await begin(stage, other, limits(axis, span, tokens=600))
        assert refused.value.tight.unit == "tokens"


async def test_tokens_bound_what_costs_nothing(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, limits("agent", "month", "1000", tokens=700))
    assert begun.max_tokens == 600


async def test_without_further_limits_a_call_has_three_rows(stage: Stage) -> None:
    await stage.work(await stage.mention())

    async with stage.tx() as tx:
        rows = await tx.tuples("SELECT axis, span FROM budgets ORDER BY axis")
    assert rows == [("agent", "month"), ("run", "run"), ("workspace", "month")]


async def test_people_and_places_have_budgets_of_their_own(stage: Stage) -> None:
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    ben_again = await stage.claim(await stage.mention(root="b", by="ben"))
    anna = await stage.claim(await stage.mention(root="c", by="anna"))
    bounded = limits("principal", "day", "1.1")

    await begin(stage, ben, bounded)
    with pytest.raises(BudgetExhausted):
        await begin(stage, ben_again, bounded)
    assert (await begin(stage, anna, bounded)).reserved_usd == CALL


async def test_a_new_day_is_a_new_budget(stage: Stage, clock: Clock) -> None:
    first, second = await claimed(stage, 2)
    bounded = limits("agent", "day", "1.2")
    begun = await begin(stage, first, bounded)
    with pytest.raises(BudgetExhausted):
        await begin(stage, second, bounded)

    await clock.advance(days=1)
    await stage.lapse(second.claim.ref)
    again = await stage.claim(second.claim.ref)
    await begin(stage, again, bounded)
    await stage.lapse(first.claim.ref)
    first = await stage.claim(first.claim.ref)
    await answer(stage, first, begun, used(100, 400))

    async with stage.tx() as tx:
        days = await tx.tuples(
            "SELECT settled_usd, reserved_usd FROM budgets WHERE span = 'day' ORDER BY period"
        )
    assert days == [(Decimal("0.5"), 0), (0, CALL)]


async def test_the_first_day_of_a_month_is_not_the_month(stage: Stage, clock: Clock) -> None:
    """Both rows begin on the same date."""
    async with stage.tx() as tx:
        days = await tx.value(
            "SELECT (openloop.month() + interval '1 month')::date - openloop.day()"
        )
    bounded = limits("agent", "day", "1.2")
    for root, later in (("a", days), ("b", 1)):
        await clock.advance(days=later)
        work = await stage.claim(await stage.mention(root=root))
        begun = await begin(stage, work, bounded)
        assert begun.reserved_usd == CALL
        assert await wrong_rows(stage) == 0
        await answer(stage, work, begun, used(100, 400))
        assert await wrong_rows(stage) == 0


# --- a limit that comes later --------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "span"), [row for row in ROWS if row[1] == "day"])
async def test_a_limit_that_comes_later_counts_what_was_settled_and_is_held(
    stage: Stage, axis: Axis, span: Span
) -> None:
    settled, held, later = await claimed(stage, 3)
    await answer(stage, settled, await begin(stage, settled, make.limits()), used(100, 400))
    open_one = await begin(stage, held, make.limits())

    begun = await begin(stage, later, limits(axis, span, "2.2"))

    assert begun.reserved_usd == Decimal("0.6")  # 2.2 less 0.5 settled and 1.1 held
    assert await wrong_rows(stage) == 0
    await answer(stage, held, open_one, used(100, 900))
    assert await wrong_rows(stage) == 0


async def test_a_row_is_kept_up_by_calls_that_know_nothing_of_its_limit(stage: Stage) -> None:
    """A run that read the manifests before the limit was there, or after it has gone."""
    one, two, three, four = await claimed(stage, 4)
    bounded = limits("place", "day", "2.9")
    await begin(stage, one, bounded)
    await begin(stage, two, make.limits())

    with pytest.raises(BudgetExhausted):
        await begin(stage, three, limits("place", "day", "2.5"))
    assert (await begin(stage, four, bounded)).reserved_usd == Decimal("0.7")
    assert await wrong_rows(stage) == 0


async def test_a_row_is_counted_while_nobody_reserves(stage: Stage) -> None:
    """Else a reservation that began before it and commits after it would be missing for ever."""
    reserving, counting = await claimed(stage, 2)
    bounded = limits("place", "day", "2.2")
    await begin(stage, counting, make.limits())

    async with stage.tx() as tx:  # somebody is reserving, and has not come to the money yet...
        await tx.run("SELECT openloop.hold_off_pauses()")
        call = asyncio.create_task(begin(stage, reserving, bounded))
        await until_someone_waits_for(tx)  # ...when a row is to be counted
        assert not call.done()
        await tx.run(
            "UPDATE reservations SET amount_usd = 1.6, amount_tokens = 1600 WHERE state = 'held'"
        )
        await tx.run(
            "UPDATE budgets SET reserved_usd = 1.6, reserved_tokens = 1600 WHERE reserved_usd > 0"
        )

    assert (await call).reserved_usd == Decimal("0.6")
    assert await wrong_rows(stage) == 0


async def test_whoever_begins_while_a_row_is_counted_sees_it(stage: Stage) -> None:
    first, second = await claimed(stage, 2)
    bounded = limits("place", "day", "1.2")
    account = account_of(first, first.run)  # type: ignore[arg-type]

    async with stage.tx() as tx:  # the row is counted...
        await accounts.count_rows(tx, account, bounded)
        await tx.settle()
        other = asyncio.create_task(begin(stage, second, make.limits()))
        await until_someone_waits_for(tx)  # ...when a call begins that needs no such row

    await other
    async with stage.tx() as tx:
        held = await tx.value("SELECT reserved_usd FROM budgets WHERE axis = 'place'")
    assert held == CALL
    with pytest.raises(BudgetExhausted):
        await begin(stage, first, bounded)


async def test_fifty_calls_at_once_under_a_limit_that_is_new_get_what_it_affords(
    stage: Stage,
) -> None:
    works = await claimed(stage, 50)
    mixed = [limits("place", "day", "5.7"), limits("principal", "day", "5.7")]

    begun = await asyncio.gather(
        *(begin(stage, work, mixed[n % 2]) for n, work in enumerate(works)), return_exceptions=True
    )

    admitted = [each for each in begun if not isinstance(each, BaseException)]
    assert len(admitted) == 5
    refused = [each for each in begun if isinstance(each, BaseException)]
    assert all(isinstance(each, BudgetExhausted) for each in refused), refused
    async with stage.tx() as tx:
        spent = await tx.tuples(
            "SELECT axis, reserved_usd FROM budgets WHERE span = 'day' ORDER BY axis"
        )
    # Rows of both are kept up by all of them, so both limits hold together where both are known.
    assert [axis for axis, _ in spent] == ["place", "principal"]
    assert {usd for _, usd in spent} == {CALL * len(admitted)}
    assert await wrong_rows(stage) == 0


# --- two ids of one person -----------------------------------------------------------------------


async def test_two_ids_of_one_person_are_one_budget(stage: Stage) -> None:
    bounded = limits("principal", "month", "1.7")
    async with stage.tx() as tx:
        ben = await principals.find_by_name(tx, "ben")
        assert ben is not None
        await principals.set_identity(
            tx, stage.workspace, ben.id, surface="slack", tenant="", external_id="U0BENTWO"
        )
    one = await stage.claim(await stage.mention(root="a", by="ben"))
    two = await stage.claim(await stage.mention(root="b", by="bentwo"))

    await begin(stage, one, bounded)

    assert (await begin(stage, two, bounded)).reserved_usd == Decimal("0.6")


async def test_what_an_id_has_used_goes_with_it_when_it_is_linked(stage: Stage) -> None:
    bounded = limits("principal", "month", "2.8")
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    stranger = await stage.claim(await stage.mention(root="b", by="someone"))
    held = await begin(stage, stranger, bounded)
    await begin(stage, ben, bounded)
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM budgets WHERE axis = 'principal'") == 2
        person = await principals.find_by_name(tx, "ben")
        assert person is not None
        await principals.set_identity(
            tx, stage.workspace, person.id, surface="slack", tenant="", external_id="U0SOMEONE"
        )

    again = await stage.claim(await stage.mention(root="c", by="someone"))
    assert (await begin(stage, again, bounded)).reserved_usd == Decimal("0.6")
    await answer(stage, stranger, held, used(100, 100))
    assert await wrong_rows(stage) == 0


async def test_both_derive_the_same_subject(stage: Stage) -> None:
    async with stage.tx() as tx:
        for ids in (("slack", "U0BEN"), ("slack", "T1", "Ünïcode\\"), ("a", "")):
            made = await tx.value(
                "SELECT openloop.subject_of(VARIADIC %(ids)s)", {"ids": list(ids)}
            )
            assert made == subject_of(*ids)


# --- what is warned of ---------------------------------------------------------------------------


async def test_a_limit_that_warns_refuses_nothing_and_counts(stage: Stage) -> None:
    works = await claimed(stage, 3)
    warns = limits("agent", "day", "1.2", on_exceeded="warn")

    for work in works:
        await answer(stage, work, await begin(stage, work, warns), used(100, 1000))

    async with stage.tx() as tx:
        settled = await tx.value("SELECT settled_usd FROM budgets WHERE span = 'day'")
    assert settled == CALL * 3
    [told] = [e for e in await stage.audit("budget.threshold") if e.detail["percent"] == 100]
    assert told.detail["span"] == "day"


async def test_each_threshold_is_told_once_in_the_audit_and_in_the_thread(stage: Stage) -> None:
    works = await claimed(stage, 6)
    bounded = limits("workspace", "month", "5.5")

    for work in works[:5]:
        await answer(stage, work, await begin(stage, work, bounded), used(100, 1000))
    for ref in (work.claim.ref for work in works):
        await stage.work(ref)

    told = [event.detail["percent"] for event in await stage.audit("budget.threshold")]
    assert told == [50, 80, 100]  # 1.1 of 5.5 each: after the third, the fourth and the fifth
    texts = [text for text in stage.surface.said if "budget" in text]
    assert [text.split(" of the budget")[0] for text in texts] == ["50 %", "80 %", "All"]
    assert "this workspace for " in texts[0]
    async with stage.tx() as tx:
        assert await tx.value("SELECT told FROM budgets WHERE axis = 'workspace'") == 100


async def test_of_a_limit_that_was_raised_people_are_told_anew(stage: Stage) -> None:
    works = await claimed(stage, 4)
    told: list[list[int]] = []
    for work, limit in zip(works, ("2.2", "2.2", "5", "5"), strict=True):
        await answer(
            stage, work, await begin(stage, work, make.limits(workspace=limit)), used(100, 1000)
        )
        events = await stage.audit("budget.threshold")
        told.append([int(str(event.detail["percent"])) for event in events])

    assert told == [[50], [50, 100], [50, 100, 50], [50, 100, 50, 80]]


async def test_of_two_that_cross_a_threshold_at_once_one_tells(stage: Stage) -> None:
    works = await claimed(stage, 8)
    bounded = limits("agent", "month", "17.6")
    begun = [await begin(stage, work, bounded) for work in works]

    await asyncio.gather(
        *(
            answer(stage, work, each, used(100, 1000))
            for work, each in zip(works, begun, strict=True)
        )
    )

    told = [event.detail["percent"] for event in await stage.audit("budget.threshold")]
    assert told == [50]


async def test_what_refuses_a_call_is_told_once_as_used_up(stage: Stage) -> None:
    money = {"monthly_usd": "50", "daily_usd": "0.001", "per_task_usd": "0.001"}
    await stage.revise({"budget": money})
    for root in ("a", "b"):
        await stage.work(await stage.mention(root=root))

    told = [(e.detail["span"], e.detail["percent"]) for e in await stage.audit("budget.threshold")]
    assert told == [("day", 100)]
    assert len(stage.surface.said) == 2
    for text in stage.surface.said:
        assert text.startswith("The agent budget for ")
        assert text.endswith("(UTC) does not afford another step.")


async def test_usage_in_the_thread_names_no_amounts(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    bounded = limits("principal", "day", "1.2")
    await answer(stage, work, await begin(stage, work, bounded), used(100, 900))
    await stage.work(work.claim.ref)

    [text] = stage.surface.said
    assert text.startswith("80 % of the budget of whoever asked for ")
    assert "$" not in text
    assert "1.2" not in text


# --- what was left behind ------------------------------------------------------------------------


async def test_what_a_dead_attempt_left_is_settled_before_the_next_reserves(stage: Stage) -> None:
    """In a transaction of its own: the rows of the next one may be others."""
    ref = await stage.mention()
    work = await stage.claim(ref)
    await begin(stage, work, make.limits())
    await stage.lapse(ref)

    again = await stage.claim(ref)
    begun = await begin(stage, again, limits("place", "month", "1.7"))

    assert begun.reserved_usd == Decimal("0.6")  # the first was charged in full
    await lapsed(stage)
    assert await wrong_rows(stage) == 0


async def test_a_free_answer_still_counts_its_tokens(stage: Stage) -> None:
    stage.models.turns = [reply("All done.", usage=None)]
    ref = await stage.mention()

    await stage.work(ref)

    async with stage.tx() as tx:
        [(amount, counted)] = await tx.tuples("SELECT amount_tokens, used_tokens FROM reservations")
        assumed = await tx.value("SELECT assumed FROM reservations")
    assert (assumed, amount) == (True, counted)
    assert await wrong_rows(stage) == 0
