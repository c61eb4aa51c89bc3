"""Fifty runs at once against money for five: what was spent, reserved and refused, from the rows.

Every reservation is of the same size, and each call uses a tenth to the whole of it. As many runs
have to be answered as the settled cost affords: money that is merely reserved refuses nobody, since
most of it comes back. And at no moment is more settled and reserved than the limit.

Then four processes on one hot row, which die in every gap (`hot_row`).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from bench import hot_row
from bench.load import STAGGER_SECONDS, exchange
from bench.measuring import Figure, Kind, Outcome, exactly, note
from bench.stage import stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bench.stage import Rows, Stage

RUNS = 50
_SAMPLE_SECONDS = 0.002
_THRESHOLD = re.compile(r"(?:All|\d+ %) of the budget of .+ is used\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row of money at one moment, as another connection saw it."""

    axis: str
    limit_usd: Decimal | None
    settled_usd: Decimal
    reserved_usd: Decimal

    @property
    def excess_usd(self) -> Decimal:
        """What is above the limit; negative below it."""
        if self.limit_usd is None:
            return Decimal(-1)
        return self.settled_usd + self.reserved_usd - self.limit_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A settled reservation as its row tells it."""

    reserved_usd: Decimal
    cost_usd: Decimal
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every charge, and for how much more there was room at a moment."""

    limit_usd: Decimal
    charges: Sequence[Charge]

    @property
    def each_usd(self) -> Decimal:
        """The size of a reservation: all have the same."""
        sizes = {charge.reserved_usd for charge in self.charges}
        assert len(sizes) == 1, f"reservations differ: {sizes}"
        return sizes.pop()

    def room(self, at: datetime) -> int:
        """How many more reservations the money that was settled by then affords."""
        settled = sum(charge.cost_usd for charge in self.charges if charge.settled_at <= at)
        return max(0, int((self.limit_usd - settled) / self.each_usd))


async def measure() -> Outcome:
    """Ask fifty questions at once, watch the money meanwhile, and read the rows afterwards."""
    async with stage("budget", environ={"OPENLOOP_CONCURRENCY": "64"}) as on, on.rows() as rows:
        over = asyncio.Event()
        watching = asyncio.create_task(_watch(on, over))
        async with asyncio.TaskGroup() as asking:
            for number in range(RUNS):
                asking.create_task(_ask(on, number))
        await on.idle()
        over.set()
        samples, active = await watching
        ledger = await _ledger(rows)
        figures = [
            *await _runs(rows, ledger, active),
            *await _money(rows, ledger, samples),
            *await _threads(on),
        ]
    figures += await hot_row.measure()
    return Outcome(
        figures=figures,
        remarks=[f"a reservation is ${ledger.each_usd}, the month ${ledger.limit_usd}"],
        details={"shares": [float(one.cost_usd / one.reserved_usd) for one in ledger.charges]},
    )


async def _ask(on: Stage, number: int) -> None:
    await asyncio.sleep(number * STAGGER_SECONDS / 5)
    await exchange(on.slack, f"question {number:03d}")


async def _watch(on: Stage, over: asyncio.Event) -> tuple[list[Sample], int]:
    """Every state of the money that could be seen, and the most runs that were under way."""
    samples: set[Sample] = set()
    most = 0
    async with on.rows() as rows:
        while not over.is_set():
            found = await rows.all(
                "SELECT axis, limit_usd, settled_usd, reserved_usd,"
                " (SELECT count(*) FROM runs WHERE state IN ('queued', 'working')) FROM budgets"
            )
            for axis, limit, settled, reserved, active in found:
                samples.add(
                    Sample(axis=axis, limit_usd=limit, settled_usd=settled, reserved_usd=reserved)
                )
                most = max(most, active)
            await asyncio.sleep(_SAMPLE_SECONDS)
    return list(samples), most


async def _ledger(rows: Rows) -> Ledger:
    limit = await rows.value("SELECT limit_usd FROM budgets WHERE axis = 'agent'")
    found = await rows.all(
        "SELECT amount_usd, cost_usd, settled_at FROM reservations"
        " WHERE state = 'settled' ORDER BY settled_at"
    )
    return Ledger(
        limit_usd=limit,
        charges=[
            Charge(reserved_usd=amount, cost_usd=cost, settled_at=settled)
            for amount, cost, settled in found
        ],
    )


async def _runs(rows: Rows, ledger: Ledger, active: int) -> list[Figure]:
    answered = await rows.number("SELECT count(*) FROM runs WHERE outcome = 'answered'")
    landed = await rows.all(
        "SELECT ended_at FROM runs WHERE outcome = 'landed' AND error_code = 'budget_exhausted'"
    )
    unjust = [ended_at for (ended_at,) in landed if ledger.room(ended_at)]
    last = max(charge.settled_at for charge in ledger.charges)
    return [
        exactly("runs that ended, answered or refused", answered + len(landed), RUNS),
        note("runs answered", answered),
        exactly(
            "runs answered without a settled reservation, or the reverse",
            abs(answered - len(ledger.charges)),
            0,
        ),
        exactly("runs refused while settled cost left room", len(unjust), 0),
        exactly("runs that settled cost would have allowed in the end", ledger.room(last), 0),
        Figure(
            name="runs under way at once", kind=Kind.CORRECTNESS, measured=active, at_least=RUNS / 2
        ),
    ]


async def _money(rows: Rows, ledger: Ledger, samples: Sequence[Sample]) -> list[Figure]:
    charged = await rows.value("SELECT coalesce(sum(cost_usd), 0) FROM reservations")
    on_runs = await rows.value("SELECT coalesce(sum(cost_usd), 0) FROM runs")
    settled, reserved, overrun = (
        await rows.all(
            "SELECT max(settled_usd) FILTER (WHERE axis = 'agent'), sum(reserved_usd),"
            " sum(overrun_usd) FROM budgets"
        )
    )[0]
    workspace = await rows.value("SELECT settled_usd FROM budgets WHERE axis = 'workspace'")
    above = [sample for sample in samples if sample.excess_usd > 0]
    shares = [one.cost_usd / one.reserved_usd for one in ledger.charges]
    return [
        exactly("states seen with settled + reserved above a limit", len(above), 0),
        note("states of the money that were seen", len(samples)),
        exactly("reserved at the end", float(reserved), 0, "$"),
        exactly("booked above a reservation", float(overrun), 0, "$"),
        Figure(
            name="settled at the end",
            kind=Kind.CORRECTNESS,
            measured=float(settled),
            unit="$",
            at_most=float(ledger.limit_usd),
        ),
        exactly(
            "axes whose settled money is not the sum of the charges",
            sum(amount != settled for amount in (charged, on_runs, workspace)),
            0,
        ),
        note("smallest share that was used of a reservation", float(min(shares))),
        note("largest share that was used of a reservation", float(max(shares))),
    ]


async def _threads(on: Stage) -> list[Figure]:
    """People see one message each, an answer or why there is none, and each threshold is told once."""
    replies = (await on.slack.state()).replies()
    texts = [[str(message["text"]) for message in thread] for thread in replies.values()]
    told = [text for thread in texts for text in thread if _THRESHOLD.search(text)]
    answers = [[text for text in thread if not _THRESHOLD.search(text)] for thread in texts]
    return [
        exactly("threads with one answer of the agent", sum(len(a) == 1 for a in answers), RUNS),
        exactly("thresholds that were told more than once", len(told) - len(set(told)), 0),
        note("thresholds that were told", len(told)),
        note(
            "threads told that the budget is used up",
            sum("budget" in str(each) for each in answers),
        ),
    ]
