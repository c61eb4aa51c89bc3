"""How figures are computed and judged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from bench.budget import Charge, Ledger
from bench.calibration import REFERENCE_SECONDS, Calibration, Pace
from bench.measuring import (
    Figure,
    Kind,
    Outcome,
    Report,
    Verdict,
    exactly,
    median,
    note,
    percentile,
    shown,
)

if TYPE_CHECKING:
    from pathlib import Path

SAME = Calibration(before_seconds=REFERENCE_SECONDS, after_seconds=REFERENCE_SECONDS)
SLOWER = Calibration(before_seconds=REFERENCE_SECONDS, after_seconds=REFERENCE_SECONDS * 1.2)
FASTER = Calibration(before_seconds=REFERENCE_SECONDS * 0.8, after_seconds=REFERENCE_SECONDS)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def wall(measured: float) -> Figure:
    return Figure(name="latency", kind=Kind.WALL, measured=measured, unit="ms", at_most=40)


def report(calibration: Calibration, *figures: Figure) -> Report:
    return Report(
        bench="example", outcome=Outcome(figures=figures), calibration=calibration, seconds=1
    )


@pytest.mark.parametrize(
    ("percent", "value"), [(1, 1), (50, 50), (50.5, 51), (99, 99), (99.1, 100), (100, 100)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    percent: float, value: float
) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_a_percentile_of_few_values_is_one_of_them() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.0


def test_there_is_no_percentile_of_nothing_and_none_of_zero() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)
    with pytest.raises(ValueError, match="above 0"):
        percentile([1.0], 0)


@pytest.mark.parametrize(
    ("seconds", "pace"),
    [
        ((1.0, 1.0), Pace.SAME),
        ((1.14, 0.86), Pace.SAME),
        ((1.0, 1.16), Pace.SLOWER),
        ((0.84, 1.0), Pace.FASTER),
        ((0.84, 1.16), Pace.UNSTEADY),
    ],
)
def test_the_pace_is_that_of_the_reference_only_where_both_loops_were_near_it(
    seconds: tuple[float, float], pace: Pace
) -> None:
    before, after = (REFERENCE_SECONDS * share for share in seconds)
    assert Calibration(before_seconds=before, after_seconds=after).pace is pace


@pytest.mark.parametrize(
    ("pace", "met", "missed"),
    [
        (Pace.SAME, Verdict.OK, Verdict.MISSED),
        (Pace.SLOWER, Verdict.OK, Verdict.NOT_JUDGED),
        (Pace.FASTER, Verdict.NOT_JUDGED, Verdict.MISSED),
        (Pace.UNSTEADY, Verdict.NOT_JUDGED, Verdict.NOT_JUDGED),
    ],
)
def test_a_wall_clock_figure_is_judged_as_far_as_the_machine_allows(
    pace: Pace, met: Verdict, missed: Verdict
) -> None:
    assert wall(39).judge(pace) is met
    assert wall(41).judge(pace) is missed


@pytest.mark.parametrize("kind", [Kind.CORRECTNESS, Kind.CPU, Kind.MEMORY])
def test_other_figures_are_judged_on_every_machine(kind: Kind) -> None:
    figure = Figure(name="lost", kind=kind, measured=1, at_most=0)
    assert {figure.judge(pace) for pace in Pace} == {Verdict.MISSED}


def test_the_exit_status_is_that_of_the_worst_verdict() -> None:
    good, bad = exactly("answered", 50, 50), exactly("answered", 49, 50)
    assert report(SAME, good, wall(39), note("notes have no target", 1e9)).exit_code == 0
    assert report(SAME, good, wall(41)).exit_code == 1
    assert report(SLOWER, good, wall(41)).exit_code == 77
    assert report(FASTER, good, wall(39)).exit_code == 77
    assert report(SLOWER, bad, wall(41)).exit_code == 1


def test_the_table_shows_target_measured_and_verdict_and_no_empty_column() -> None:
    lines = report(SLOWER, wall(41.25), exactly("answered", 50, 50)).lines()
    assert lines[0].split() == ["figure", "target", "measured", "verdict"]
    assert "<= 40 ms" in lines[2]
    assert lines[2].endswith("not judged")
    assert "= 50" in lines[3]
    assert "not comparable" in lines[-1]


def test_the_file_holds_what_the_table_shows(tmp_path: Path) -> None:
    kept = json.loads(report(SAME, wall(39), exactly("lost", 0, 0)).save(tmp_path).read_text())
    assert kept["exit_code"] == 0
    assert kept["calibration"]["pace"] == "same"
    assert [figure["verdict"] for figure in kept["figures"]] == ["ok", "ok"]
    assert kept["figures"][0]["measured"] == 39


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0312, "0.0312"), (7, "7"), (7.46, "7.5"), (216.4, "216"), (2000, "2,000")],
)
def test_numbers_are_shown_with_the_digits_that_mean_something(value: float, text: str) -> None:
    assert shown(value) == text


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def charge(cost: str, *, settled: float) -> Charge:
    return Charge(reserved_usd=Decimal(1), cost_usd=Decimal(cost), settled_at=at(settled))


def test_a_ledger_has_room_for_as_many_reservations_as_settled_cost_leaves() -> None:
    ledger = Ledger(
        limit_usd=Decimal("2.5"), charges=[charge("0.5", settled=5), charge("1", settled=9)]
    )
    assert [ledger.room(at(moment)) for moment in (0, 5, 8, 9)] == [2, 2, 2, 1]


def test_a_ledger_that_is_used_up_has_no_room() -> None:
    ledger = Ledger(limit_usd=Decimal("1.5"), charges=[charge("0.7", settled=1)])
    assert ledger.room(at(0)) == 1
    assert ledger.room(at(1)) == 0


def test_cpu_time_is_judged_as_counted_whatever_the_machine() -> None:
    slow = Calibration(
        before_seconds=REFERENCE_SECONDS * 1.5, after_seconds=REFERENCE_SECONDS * 1.5
    )
    spent = Figure(name="CPU", kind=Kind.CPU, measured=27, unit="ms", at_most=20)

    report = Report(bench="x", outcome=Outcome(figures=[spent]), calibration=slow, seconds=1)

    counted, scaled = report.figures
    assert (counted.measured, counted.judge(slow.pace)) == (27, Verdict.MISSED)
    assert (round(scaled.measured), scaled.kind) == (18, Kind.NOTE)
