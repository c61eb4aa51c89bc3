"""Rows of budgets as they are made: whose they are, and that each is the sum of what was set aside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.model_calls import account_of
from openloop.domain.budget import Limit
from openloop.domain.ids import new_id
from openloop.storage import accounts, principals
from tests.actions.money import begin, claimed, open_rows
from tests.actions.test_limits import ROWS, limits

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.actions.claims import Work
    from openloop.domain.budget import Axis, Limits, Span
    from openloop.storage.accounts import Account
    from openloop.storage.database import Transaction
    from tests.make import Stage

FOR_EVER = date(1970, 1, 1)
ALL: list[tuple[Axis, Span]] = [*ROWS, ("run", "run")]
LIMITS: Limits = tuple(Limit(axis=axis, span=span, usd=Decimal(100)) for axis, span in ALL)


def account(work: Work) -> Account:
    assert work.run is not None
    return account_of(work, work.run)


# --- whose they are ------------------------------------------------------------------------------


async def link(stage: Stage, name: str, surface: str, tenant: str, **origin: Any) -> UUID:
    person = await stage.principal(name)
    async with stage.tx() as tx:
        await principals.set_identity(
            tx,
            stage.workspace,
            person.id,
            surface=surface,
            tenant=tenant,
            external_id="U0SOMEONE",
            **origin,
        )
    return person.id


async def principal_of(stage: Stage, name: str = "someone") -> UUID:
    """Whose budget a call of this person counts against."""
    work = await stage.claim(await stage.mention(by=name, root=str(new_id())))
    begun = await begin(stage, work, limits("principal", "day", "100"))
    async with stage.tx() as tx:
        return await tx.value(
            """
            SELECT b.subject FROM reservations v JOIN budgets b ON b.subject = v.principal
            WHERE v.id = %(id)s AND b.axis = 'principal'
            """,
            {"id": begun.reservation_id},
        )


async def test_an_id_is_somebodys_only_on_its_surface_and_in_its_tenant(stage: Stage) -> None:
    await link(stage, "anna", "github", "T0ACME")
    await link(stage, "priya", "slack", "T0OTHER")
    unlinked = await principal_of(stage)
    assert unlinked not in {(await stage.principal(name)).id for name in ("anna", "priya", "ben")}
    assert await principal_of(stage, "ben") == (await stage.principal("ben")).id


async def test_what_the_manifest_says_of_an_id_comes_before_what_people_have_linked(
    stage: Stage,
) -> None:
    anywhere = await link(stage, "anna", "slack", "", origin="link")
    assert await principal_of(stage) == anywhere
    here = await link(stage, "priya", "slack", "T0ACME", origin="link")
    assert await principal_of(stage) == here
    assert await link(stage, "anna", "slack", "", origin="manifest") == anywhere
    assert await principal_of(stage) == anywhere


# --- rows that are always there ------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["workspace", "agent", "run"])
async def test_a_row_that_is_missing_is_made_beside_those_that_are_there(
    stage: Stage, axis: str
) -> None:
    [work] = await claimed(stage, 1)
    async with stage.tx() as tx:
        await open_rows(tx, stage, work)
        await tx.run("DELETE FROM budgets WHERE axis = %(axis)s", {"axis": axis})
        await open_rows(tx, stage, work)
        found = await tx.tuples("SELECT axis, subject FROM budgets ORDER BY axis")
    assert work.run is not None
    assert found == [
        ("agent", work.run.agent_id),
        ("run", work.run.id),
        ("workspace", stage.workspace),
    ]


# --- rows that are counted -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A reservation, as the sums look at it."""

    subjects: dict[str, UUID]
    day: date
    amount: int
    used: int | None


def of_row(charges: list[Charge], axis: Axis, span: Span, subject: UUID, day: date) -> list[Any]:
    """What a row has to say: settled, set aside, and billed above; in thousandths, as in tokens."""
    mine = [
        each
        for each in charges
        if each.subjects[axis] == subject
        and (
            span == "run"
            or (each.day == day if span == "day" else each.day.replace(day=1) == day.replace(day=1))
        )
    ]
    settled = sum(min(each.used, each.amount) for each in mine if each.used is not None)
    held = sum(each.amount for each in mine if each.used is None)
    above = sum(max(each.used - each.amount, 0) for each in mine if each.used is not None)
    return [settled, held, above]


async def add_charge(tx: Transaction, stage: Stage, charge: Charge) -> None:
    said = charge.subjects
    await tx.run(
        """
        INSERT INTO reservations (workspace_id, id, run_id, step_seq, epoch, agent_id, model, day,
            place, principal, amount_usd, amount_tokens, state, lease_until, cost_usd, used_tokens)
        VALUES (%(workspace)s, %(id)s, %(run)s, 1, 1, %(agent)s, 'm', %(day)s, %(place)s,
            %(principal)s, %(amount)s / 1000.0, %(amount)s, %(state)s, openloop.now(),
            %(used)s::bigint / 1000.0, %(used)s::bigint)
        """,
        {
            **said,
            "workspace": stage.workspace,
            "id": new_id(),
            "day": charge.day,
            "amount": charge.amount,
            "state": "held" if charge.used is None else "settled",
            "used": charge.used,
        },
    )


async def test_a_row_is_counted_from_what_is_its_subjects_and_in_its_span(stage: Stage) -> None:
    work, other = await claimed(stage, 2)
    assert work.run is not None
    assert other.run is not None
    person = work.run.id  # an id counts on its own axis only, whatever else has it
    whose = replace(account(work), principal=person)
    mine = whose.parameters
    here: dict[str, Any] = {
        "workspace": stage.workspace,
        "agent": work.run.agent_id,
        "place": mine["place"],
        "principal": person,
        "run": work.run.id,
    }
    elsewhere: dict[str, Any] = {**{axis: new_id() for axis in here}, "run": other.run.id}
    elsewhere["workspace"] = stage.workspace
    async with stage.tx() as tx:
        today: date = await tx.value("SELECT openloop.day()")
        first = today.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
        days = [today, today - timedelta(days=1), today + timedelta(days=1)]
        days += [first, after - timedelta(days=1), first - timedelta(days=1), after]
        kinds = [here, elsewhere]
        kinds += [
            {**here, axis: elsewhere[axis]} for axis in ("agent", "place", "principal", "run")
        ]
        kinds += [
            {**elsewhere, axis: here[axis]} for axis in ("agent", "place", "principal", "run")
        ]
        kinds += [{**elsewhere, "place": here["agent"]}, {**elsewhere, "agent": here["place"]}]
        charges = [
            Charge(subjects=subjects, day=day, amount=1000, used=used)
            for subjects in kinds
            for day in days
            for used in (None, 700, 1000, 1300)
        ]
        charges = [_by(charge, number) for number, charge in enumerate(charges)]
        for charge in charges:
            await add_charge(tx, stage, charge)
        await tx.run(
            """
            INSERT INTO budgets (workspace_id, axis, subject, span, period, settled_usd, is_counted)
            VALUES (%(id)s, 'agent', %(agent)s, 'month', '2001-01-01', 77, true)
            """,
            {"id": stage.workspace, "agent": work.run.agent_id},
        )
    async with stage.tx() as tx:
        await accounts.count_rows(tx, whose, LIMITS)
        found = await tx.tuples(
            """
            SELECT axis, span, subject, period, label, is_counted,
                ARRAY[settled_usd, reserved_usd, overrun_usd],
                ARRAY[settled_tokens, reserved_tokens, overrun_tokens]
            FROM budgets WHERE period <> '2001-01-01'
            """
        )
        old = await tx.value("SELECT settled_usd FROM budgets WHERE period = '2001-01-01'")
    assert old == 77
    labels = {"place": "slack DEV", "principal": "slack U0BEN"}
    rows = {(axis, span): rest for axis, span, *rest in found}
    assert len(found) == len(rows) == len(ALL)
    for axis, span in ALL:
        subject, period, label, is_counted, usd, tokens = rows[axis, span]
        assert subject == here[axis]
        assert period == {"day": today, "month": first, "run": FOR_EVER}[span]
        assert (label, is_counted) == (labels.get(axis, ""), True)
        expected = of_row(charges, axis, span, subject, today)
        assert tokens == expected
        assert [each * 1000 for each in usd] == expected


def _by(charge: Charge, number: int) -> Charge:
    """Its own size, so that no two sums are alike by chance."""
    used = None if charge.used is None else charge.used + number
    return Charge(
        subjects=charge.subjects, day=charge.day, amount=charge.amount + 3 * number, used=used
    )


async def test_a_row_that_is_counted_is_not_counted_again(stage: Stage) -> None:
    """What it says may be ahead of what anybody else can see."""
    [work] = await claimed(stage, 1)
    bounded = limits("place", "day", "5")
    await begin(stage, work, bounded)
    async with stage.tx() as tx:
        await tx.run("UPDATE budgets SET settled_usd = 77 WHERE axis = 'place'")
        await accounts.count_rows(tx, account(work), bounded)
        assert await tx.value("SELECT settled_usd FROM budgets WHERE axis = 'place'") == 77
