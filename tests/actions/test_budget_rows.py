"""Rows of budgets: which of them people see, what is left of them, and whose an extension is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from openloop.domain.budget import Tight
from openloop.domain.ids import RunId, new_id
from openloop.storage import budgets, extensions, usage
from openloop.storage.usage import Budget
from tests import make
from tests.actions.money import answer, begin, claimed, lapsed, used
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.budget import Axis, Span
    from openloop.storage.database import Transaction
    from tests.make import Clock, Stage

FOR_EVER = date(1970, 1, 1)
ELSEWHERE = date(2001, 1, 1)


async def add(
    tx: Transaction, stage: Stage, axis: Axis, span: Span, period: date, **more: Any
) -> UUID:
    """A row of its own subject, unless one is given."""
    subject = more.pop("subject", new_id())
    values: dict[str, Any] = {
        "workspace_id": stage.workspace,
        "axis": axis,
        "subject": subject,
        "span": span,
        "period": period,
        **more,
    }
    names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    await tx.run(f"INSERT INTO budgets ({names}) VALUES ({places})", values)  # noqa: S608  # pyright: ignore
    return subject


async def rows(tx: Transaction) -> dict[tuple[UUID, str], dict[str, Any]]:
    found = await tx.tuples("SELECT subject, span, period, to_jsonb(b) FROM budgets b")
    return {(subject, f"{span} {period}"): row for subject, span, period, row in found}


async def changed(tx: Transaction, before: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """What is different by now, row by row."""
    after = await rows(tx)
    assert after.keys() == before.keys()
    return {
        key: {name: value for name, value in row.items() if value != before[key][name]}
        for key, row in after.items()
        if row != before[key]
    }


# --- what is left --------------------------------------------------------------------------------


def budget(**changes: Any) -> Budget:
    given: dict[str, Any] = {
        "axis": "agent",
        "span": "month",
        "subject": UUID(int=1),
        "period": date(2026, 11, 1),
        "on_exceeded": "block",
        "limit_usd": Decimal(10),
        "extra_usd": Decimal(5),
        "settled_usd": Decimal(4),
        "reserved_usd": Decimal(2),
        "overrun_usd": Decimal(1),
        "limit_tokens": 100,
        "extra_tokens": 50,
        "settled_tokens": 40,
        "reserved_tokens": 20,
        "overrun_tokens": 10,
        "told": 0,
    }
    return Budget(**{**given, **changes})


def test_what_is_left_is_the_limit_with_what_was_added_less_what_is_gone() -> None:
    assert (budget().remaining_usd, budget().remaining_tokens) == (9, 90)
    assert budget().name == ""
    gone = budget(settled_usd=Decimal(14), settled_tokens=140)
    assert (gone.remaining_usd, gone.remaining_tokens) == (0, 0)
    unlimited = budget(limit_usd=None, limit_tokens=None)
    assert (unlimited.remaining_usd, unlimited.remaining_tokens) == (None, None)


def test_a_month_goes_on_as_it_went_with_what_was_billed_above() -> None:
    at = datetime(2026, 11, 16, tzinfo=UTC)
    assert budget().projected_usd(at) == 10
    for span in ("day", "run"):
        assert budget(span=span).projected_usd(at) is None


# --- which rows people see -----------------------------------------------------------------------


async def test_rows_of_now_are_shown_and_no_others(stage: Stage) -> None:
    async with stage.tx() as tx:
        month, day = await usage.month(tx), await tx.value("SELECT openloop.day()")
        assert month == day.replace(day=1)
        shown = [
            await add(tx, stage, "agent", "month", month),
            await add(tx, stage, "agent", "day", day),
            await add(tx, stage, "place", "month", month, label="slack DEV", is_counted=True),
        ]
        for span, period in (("month", ELSEWHERE), ("day", ELSEWHERE), ("run", FOR_EVER)):
            await add(tx, stage, "agent", span, period)  # pyright: ignore[reportArgumentType]
        await add(tx, stage, "place", "month", month, label="slack OPS", is_counted=False)
        found = await usage.list_current(tx)
    assert {each.subject for each in found} == set(shown)


async def test_they_come_in_the_order_of_their_axes_with_their_names(stage: Stage) -> None:
    ref = await stage.mention()
    await stage.work(ref)
    run = await stage.run_of(ref)
    anna = await stage.principal("anna")
    async with stage.tx() as tx:
        month, day = await usage.month(tx), await tx.value("SELECT openloop.day()")
        await add(tx, stage, "agent", "day", day, subject=run.agent_id)
        await add(tx, stage, "principal", "month", month, subject=anna.id, is_counted=False)
        await add(tx, stage, "principal", "month", month, label="slack U0EVE", is_counted=True)
        place = await tx.value("SELECT openloop.subject_of('slack', 'T0ACME', 'DEV')")
        await add(tx, stage, "place", "month", month, subject=place, label="slack DEV")
        await tx.run("UPDATE runs SET state = 'waiting'")
        found = await usage.list_current(tx)
        assert [(each.axis, each.span, each.name) for each in found] == [
            ("workspace", "month", ""),
            ("agent", "month", "dev-platform"),
            ("agent", "day", "dev-platform"),
            ("place", "month", found[3].name),
            ("principal", "month", "anna"),
            ("principal", "month", "slack U0EVE"),
            ("run", "run", ""),
        ]
        assert "DEV" in found[3].name
        await tx.run("UPDATE runs SET state = 'done'")
        assert "run" not in {each.axis for each in await usage.list_current(tx)}


async def test_models_are_added_up_by_agent_for_this_month(stage: Stage, clock: Clock) -> None:
    first, second, third = await claimed(stage, 3)
    old = await begin(stage, third, make.limits())
    await answer(stage, third, old, used(1, 2))
    await clock.advance(hours=24 * 40)
    await stage.lapse(first.claim.ref)
    await stage.lapse(second.claim.ref)
    for work, said in ((first, used(100, 900)), (second, reply("done", usage=None))):
        taken = await stage.claim(work.claim.ref)
        begun = await begin(stage, taken, make.limits())
        await answer(stage, taken, begun, said)
    async with stage.tx() as tx:
        [found] = await usage.list_models(tx)
    assert (found.agent, found.model, found.calls) == ("dev-platform", make.MODEL, 2)
    assert (found.assumed_calls, found.assumed_usd) == (1, Decimal("1.1"))
    assert found.cost_usd == Decimal("2.1")
    assert (found.input_tokens, found.output_tokens) == (100, 900)


# --- extensions ----------------------------------------------------------------------------------


def tight(subject: UUID, period: date, *, span: Span = "month") -> Tight:
    return Tight(axis="agent", span=span, subject=subject, period=period, unit="usd")


async def extended(tx: Transaction, row: Tight, owner: UUID, *, at_most: int = 2) -> bool:
    return await extensions.extend(
        tx, row, owner=owner, usd=Decimal(5), tokens=7, at_most_per_month=at_most
    )


async def test_an_extension_adds_to_its_row_and_counts_for_the_month_of_its_owner(
    stage: Stage,
) -> None:
    async with stage.tx() as tx:
        month, day = await usage.month(tx), await tx.value("SELECT openloop.day()")
        owner = await add(tx, stage, "agent", "month", month)
        await add(tx, stage, "agent", "month", ELSEWHERE, subject=owner, extensions=9)
        await add(tx, stage, "agent", "day", day, subject=owner)
        await add(tx, stage, "agent", "day", ELSEWHERE, subject=owner)
        await add(tx, stage, "agent", "month", month)
        before = await rows(tx)
        assert await extended(tx, tight(owner, day, span="day"), owner)
        assert await changed(tx, before) == {
            (owner, f"day {day}"): {"extra_usd": 5, "extra_tokens": 7},
            (owner, f"month {month}"): {"extensions": 1},
        }
        assert await extended(tx, tight(owner, month), owner)
        assert await extensions.count_extensions(tx, owner) == 2
        before = await rows(tx)
        assert before[owner, f"month {month}"]["extra_usd"] == 5
        assert not await extended(tx, tight(owner, month), owner)
        assert await changed(tx, before) == {}
        assert await extensions.count_extensions(tx, new_id()) == 0


async def test_what_is_over_or_not_there_is_not_extended_and_counts_nothing(stage: Stage) -> None:
    async with stage.tx() as tx:
        month = await usage.month(tx)
        owner = await add(tx, stage, "agent", "month", month)
        await add(tx, stage, "agent", "day", ELSEWHERE, subject=owner)
        await add(tx, stage, "agent", "month", ELSEWHERE, subject=owner)
        before = await rows(tx)
        for row in (
            tight(owner, ELSEWHERE, span="day"),
            tight(owner, ELSEWHERE),
            tight(new_id(), month),
        ):
            assert not await extended(tx, row, owner)
        assert not await extended(tx, tight(owner, month), new_id())
        assert await changed(tx, before) == {}


async def test_a_limit_that_is_used_up_is_told_once_with_what_was_spent(stage: Stage) -> None:
    async with stage.tx() as tx:
        month, run = await usage.month(tx), RunId(new_id())
        money = {
            "limit_usd": 10,
            "extra_usd": 5,
            "settled_usd": 14,
            "limit_tokens": 100,
            "extra_tokens": 50,
            "settled_tokens": 60,
            "told": 80,
        }
        subject = await add(tx, stage, "agent", "month", month, **money)
        await add(tx, stage, "agent", "month", ELSEWHERE, subject=subject, **money)
        of_run = await add(tx, stage, "run", "run", FOR_EVER, **money)
        before = await rows(tx)
        for _ in range(2):
            await extensions.tell_used_up(tx, stage.workspace, tight(subject, month), run)
            ends = Tight(axis="run", span="run", subject=of_run, period=FOR_EVER, unit="usd")
            await extensions.tell_used_up(tx, stage.workspace, ends, run)
        assert await changed(tx, before) == {(subject, f"month {month}"): {"told": 100}}
    [told] = await stage.audit("budget.threshold")
    assert (told.subject, told.run_id, told.actor.kind) == (subject, run, "system")
    assert told.detail == {
        "axis": "agent",
        "span": "month",
        "period": str(month),
        "percent": 100,
        "settled_usd": "14.000000",
        "limit_usd": "15.000000",
        "settled_tokens": 60,
        "limit_tokens": 150,
    }


# --- what was left behind ------------------------------------------------------------------------


async def test_a_step_finds_what_it_has_left_and_the_sweep_what_has_lapsed(stage: Stage) -> None:
    first, second, settled = await claimed(stage, 3)
    begun = [await begin(stage, work, make.limits()) for work in (first, second, settled)]
    await answer(stage, settled, begun[2], used(1, 2))
    assert first.run is not None
    assert settled.run is not None
    async with stage.tx() as tx:
        assert await budgets.find_held(tx, first.run.id, 1) == [begun[0].reservation_id]
        assert await budgets.find_held(tx, first.run.id, 2) == []
        assert await budgets.find_held(tx, settled.run.id, 1) == []
        assert await budgets.list_lapsed(tx, limit=9) == []
    await lapsed(stage)
    async with stage.tx() as tx:
        await tx.run(
            "UPDATE reservations SET lease_until = lease_until - interval '1 minute' WHERE id = %(id)s",
            {"id": begun[1].reservation_id},
        )
        found = await budgets.list_lapsed(tx, limit=9)
        assert await budgets.list_lapsed(tx, limit=1) == found[:1]
    assert found == [
        (begun[1].reservation_id, second.claim.ref.id),
        (begun[0].reservation_id, first.claim.ref.id),
    ]


@pytest.mark.parametrize("minutes", [9.5, 10.5])
async def test_a_reservation_is_kept_for_ten_minutes(
    stage: Stage, clock: Clock, minutes: float
) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits())
    await clock.advance(minutes=minutes)
    async with stage.tx() as tx:
        found = [id for id, _ in await budgets.list_lapsed(tx, limit=9)]
    assert found == ([begun.reservation_id] if minutes > 10 else [])


async def test_a_lease_lasts_until_its_last_instant(stage: Stage, clock: Clock) -> None:
    [work] = await claimed(stage, 1)
    await begin(stage, work, make.limits())
    async with stage.tx() as tx:
        ends_at = await tx.value("SELECT lease_until FROM reservations")
    await clock.stop(at=ends_at)
    async with stage.tx() as tx:
        assert await budgets.list_lapsed(tx, limit=9) == []
