"""Build logs with the line that says why: is it found, how much is shown, and what does that take?

The held-out half was made by somebody who had not seen the analyser, and nobody tunes on it: of that
half nothing but totals is ever printed or kept.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.measuring import Figure, Kind, Outcome, note
from openloop.domain.build_logs.analyser import analyse
from openloop.domain.build_logs.analysis import MOST_BYTES
from tests.corpus.build_logs.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.build_logs.analysis import Analysis
    from tests.corpus.build_logs.loading import Half, Log

HALVES: tuple[Half, ...] = ("develop", "held_out")
TOP_PERCENT, THREE_PERCENT = 85, 95
MOST_CPU_SECONDS = 1.0
TEN_MEGABYTES = 10_000_000
_CHUNK = 64 * 1024
_LAST_LINES = 200
_AROUND = 10


@dataclass(slots=True)
class Tally:
    """What became of the logs of one half."""

    half: Half
    failing: int = 0
    top: int = 0
    three: int = 0
    exact: int = 0
    silent: int = 0
    rightly_silent: int = 0
    tail: int = 0
    grep: int = 0
    grep_three: int = 0
    bytes_shown: list[int] = field(default_factory=list[int])
    seconds: float = 0.0
    size: int = 0
    slowest: float = 0.0
    missed: list[str] = field(default_factory=list[str])

    def count(self, log: Log, analysis: Analysis, *, seconds: float, size: int) -> None:
        """Compare one analysis with what is marked."""
        self.seconds += seconds
        self.size += size
        self.slowest = max(self.slowest, seconds * TEN_MEGABYTES / size)
        self.bytes_shown.append(sum(len(each.text.encode()) for each in analysis.excerpts))
        if not log.expected:
            self.silent += 1
            self.rightly_silent += analysis.cause is None
            right = analysis.cause is None
        else:
            right = self._count_failing(log, analysis)
        if not right:
            self.missed.append(log.name)

    def _count_failing(self, log: Log, analysis: Analysis) -> bool:
        shown = [{line.number for line in each.lines} for each in analysis.excerpts[:3]]
        hits = [not lines.isdisjoint(log.expected) for lines in shown]
        self.failing += 1
        self.top += hits[:1] == [True]
        self.three += any(hits)
        self.exact += analysis.cause is not None and analysis.cause.cause in log.expected
        self.tail += any(number > log.size - _LAST_LINES for number in log.expected)
        found = [_is_near(number, log.expected) for number in _with_error(log)]
        self.grep += found[:1] == [True]
        self.grep_three += any(found)
        return hits[:1] == [True]

    def figures(self) -> Iterator[Figure]:
        """Totals, and those of two simpler ways beside them."""
        half = self.half.replace("_", " ")
        yield self._percent(f"{half}: the cause is in the first excerpt", self.top, TOP_PERCENT)
        yield self._percent(f"{half}: ... in one of the first three", self.three, THREE_PERCENT)
        yield note(f"{half}: the marked line itself is named", self.exact, f"of {self.failing}")
        yield Figure(
            name=f"{half}: no cause is found where there is none",
            kind=Kind.CORRECTNESS,
            measured=self.rightly_silent,
            unit=f"of {self.silent}",
            at_least=self.silent,
        )
        yield note(
            f"{half}: the cause is in the last {_LAST_LINES} lines", self.tail, f"of {self.failing}"
        )
        yield note(
            f"{half}: ... within {_AROUND} lines of the first `error`",
            self.grep,
            f"of {self.failing}",
        )
        yield note(f"{half}: ... of the first three", self.grep_three, f"of {self.failing}")
        yield Figure(
            name=f"{half}: the most that is shown",
            kind=Kind.CORRECTNESS,
            measured=max(self.bytes_shown),
            unit="bytes",
            at_most=MOST_BYTES,
        )
        yield Figure(
            name=f"{half}: CPU for ten megabytes",
            kind=Kind.CPU,
            measured=self.seconds * TEN_MEGABYTES / self.size,
            unit="s",
            at_most=MOST_CPU_SECONDS,
        )
        yield note(f"{half}: ... of the slowest log", self.slowest, "s")

    def _percent(self, name: str, hits: int, wanted: int) -> Figure:
        return Figure(
            name=name,
            kind=Kind.CORRECTNESS,
            measured=100 * hits / self.failing,
            unit=f"% of {self.failing}",
            at_least=wanted,
        )


async def measure() -> Outcome:
    """Analyse both halves."""
    tallies = [await asyncio.to_thread(tally, half) for half in HALVES]
    return Outcome(
        figures=[figure for each in tallies for figure in each.figures()],
        remarks=[
            f"{each.half}: missed {', '.join(each.missed)}"
            for each in tallies
            if each.missed and each.half == "develop"
        ],
    )


def tally(half: Half) -> Tally:
    """Analyse one half, a log at a time."""
    found = Tally(half)
    for log in load(half):
        raw = log.text.encode()
        chunks = [raw[begin : begin + _CHUNK] for begin in range(0, len(raw), _CHUNK)]
        began = time.process_time()
        analysis = analyse(chunks)
        found.count(log, analysis, seconds=time.process_time() - began, size=len(raw))
    return found


def _with_error(log: Log) -> Sequence[int]:
    """The lines that a search for `error` finds first."""
    lines = enumerate(log.text.split("\n"), 1)
    found = (number for number, line in lines if "error" in line.lower())
    return [number for number, _ in zip(found, range(3), strict=False)]


def _is_near(number: int, expected: Sequence[int]) -> bool:
    return any(abs(number - each) <= _AROUND for each in expected)
