"""Figures with targets: how they are computed, judged, printed and kept."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bench.calibration import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.calibration import Calibration

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"

EXIT_OK, EXIT_MISSED, EXIT_NOT_JUDGED = 0, 1, 77


class Kind(StrEnum):
    """What a figure is about, which decides how far it can be trusted on a busy machine.

    Correctness, CPU and memory figures are always judged; wall-clock figures only on a machine
    that is as fast as the reference. A note has no target.
    """

    CORRECTNESS = "correctness"
    CPU = "cpu"
    MEMORY = "memory"
    WALL = "wall"
    NOTE = "note"


class Verdict(StrEnum):
    """What a figure comes to."""

    OK = "ok"
    MISSED = "missed"
    NOT_JUDGED = "not judged"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value and what it must reach; `prototype` is what the public prototype does."""

    name: str
    kind: Kind
    measured: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    prototype: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the value is within its targets; true where there are none."""
        above = self.at_most is not None and self.measured > self.at_most
        below = self.at_least is not None and self.measured < self.at_least
        return not (above or below)

    @property
    def target(self) -> str:
        """The target as people read it."""
        if self.at_most is None and self.at_least is None:
            return ""
        if self.at_most == self.at_least:
            return f"= {shown(self.at_most)}{_unit(self.unit)}"
        limits = (("<=", self.at_most), (">=", self.at_least))
        words = [f"{sign} {shown(limit)}" for sign, limit in limits if limit is not None]
        return f"{', '.join(words)}{_unit(self.unit)}"

    def judge(self, pace: Pace) -> Verdict:
        """Compare with the target, as far as a machine of this pace allows.

        What a slower machine reaches and what a faster one misses is certain all the same.
        """
        if self.kind is Kind.NOTE:
            return Verdict.NONE
        uncertain = Pace.FASTER if self.is_met else Pace.SLOWER
        if self.kind is Kind.WALL and pace in (uncertain, Pace.UNSTEADY):
            return Verdict.NOT_JUDGED
        return Verdict.OK if self.is_met else Verdict.MISSED


def exactly(name: str, measured: float, wanted: float, unit: str = "") -> Figure:
    """A correctness figure that must be this number."""
    return Figure(
        name=name,
        kind=Kind.CORRECTNESS,
        measured=measured,
        unit=unit,
        at_most=wanted,
        at_least=wanted,
    )


def note(name: str, measured: float, unit: str = "", *, prototype: str = "") -> Figure:
    """A figure without a target, for whoever reads the others."""
    return Figure(name=name, kind=Kind.NOTE, measured=measured, unit=unit, prototype=prototype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a bench found: its figures, sentences that go below them, and rows for its JSON file."""

    figures: Sequence[Figure]
    remarks: Sequence[str] = ()
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An outcome, and the machine it was found on."""

    bench: str
    outcome: Outcome
    calibration: Calibration
    seconds: float

    @property
    def figures(self) -> list[Figure]:
        """The outcome's figures; beside CPU time, what it would be at the reference's speed."""
        found: list[Figure] = []
        for figure in self.outcome.figures:
            found.append(figure)
            if figure.kind is Kind.CPU:
                scaled = figure.measured * self.calibration.speed
                name = f"{figure.name}, at the reference's speed"
                found.append(note(name, scaled, figure.unit))
        return found

    @property
    def exit_code(self) -> int:
        """0, 1 where a target was missed, 77 where this machine could not tell."""
        verdicts = {figure.judge(self.calibration.pace) for figure in self.figures}
        if Verdict.MISSED in verdicts:
            return EXIT_MISSED
        return EXIT_NOT_JUDGED if Verdict.NOT_JUDGED in verdicts else EXIT_OK

    def lines(self) -> list[str]:
        """The table, as it is printed."""
        pace = self.calibration.pace
        rows = [("figure", "target", "measured", "prototype", "verdict")]
        rows += [
            (
                figure.name,
                figure.target,
                f"{shown(figure.measured)}{_unit(figure.unit)}",
                figure.prototype,
                figure.judge(pace).value,
            )
            for figure in self.figures
        ]
        lines = _table(rows)
        lines += [f"  {remark}" for remark in self.outcome.remarks]
        return [*lines, f"  {self.calibration.sentence()}; {self.seconds:.0f} s in all"]

    def save(self, folder: Path = RESULTS) -> Path:
        """Write the JSON file of this bench, in place of its last one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.bench}.json"
        pace = self.calibration.pace
        document = {
            "bench": self.bench,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _commit(),
            "machine": {
                "cores": os.cpu_count(),
                "platform": platform.platform(),
                "python": platform.python_version(),
            },
            "calibration": self.calibration.as_json(),
            "seconds": round(self.seconds, 1),
            "exit_code": self.exit_code,
            "figures": [
                {
                    "name": figure.name,
                    "kind": figure.kind,
                    "unit": figure.unit,
                    "measured": figure.measured,
                    "shown": f"{shown(figure.measured)}{_unit(figure.unit)}",
                    "target": figure.target,
                    "at_most": figure.at_most,
                    "at_least": figure.at_least,
                    "verdict": figure.judge(pace),
                }
                for figure in self.figures
            ],
            "remarks": list(self.outcome.remarks),
            "details": dict(self.outcome.details),
        }
        path.write_text(json.dumps(document, indent=2, default=str) + "\n")
        return path


def markdown(names: Sequence[str], folder: Path = RESULTS) -> str:
    """What is kept of these benches' results, as the table of docs/reference/benchmarks.md."""
    rows = ["| Bench | Figure | Target | Measured | Verdict |", "|---|---|---|---|---|"]
    for name in names:
        if not (folder / f"{name}.json").exists():
            continue
        kept = json.loads((folder / f"{name}.json").read_text())
        rows += [
            f"| `{name}` | {figure['name']} | {figure['target']} | {figure['shown']} "
            f"| {figure['verdict']} |"
            for figure in kept["figures"]
        ]
    return "\n".join(rows)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed (nearest rank).

    Nothing is interpolated: with 50 values, p99 is the largest.

    Raises:
        ValueError: there are no values
    """
    if not values:
        message = "There is no percentile of nothing"
        raise ValueError(message)
    if not 0 < percent <= 100:  # it is a percentage
        message = f"A percentile is above 0 and at most 100, not {percent}"
        raise ValueError(message)
    rank = -int(-len(values) * percent // 100)
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the lower of the two in the middle."""
    return percentile(values, 50)


def shown(value: float | None) -> str:
    """A number with three digits that mean something."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 100:  # three digits are there
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as they must be; those that are empty are left out."""
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
    return [lines[0], "  " + "-" * (len(max(lines, key=len)) - 2), *lines[1:]]


def _commit() -> str:
    """The commit that was measured, with a plus where files differ from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607  # as a person would call it
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}+" if changed else head
