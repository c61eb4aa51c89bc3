"""What GitHub's runner writes around a step: stamps, groups, the first lines and the last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpus.build_logs.burying import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

FRAME = Path(__file__).parent / "frame"
BEGIN = datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC)
TICKS_PER_SECOND = 10_000_000


def opening() -> list[Line]:
    """Return what every job prints before its first own step."""
    return [Line(text) for text in (FRAME / "opening.txt").read_text().splitlines()]


def closing() -> list[Line]:
    """Return what every job prints after its last own step."""
    return [Line(text) for text in (FRAME / "closing.txt").read_text().splitlines()]


def step(run: str) -> list[Line]:
    """Return the folded lines that show a step's command."""
    commands = [Line(f"\x1b[36;1m{line}\x1b[0m") for line in run.split("\n")]
    shown = run.split("\n")[0]
    return [
        Line(f"##[group]Run {shown}"),
        *commands,
        Line("shell: /usr/bin/bash -e {0}"),
        Line("env:"),
        Line("  CI: true"),
        Line("##[endgroup]"),
    ]


def stamped(lines: Sequence[Line], random: Random) -> Iterator[str]:
    """Put the runner's UTC stamp, seven digits of a second, before each line."""
    ticks = random.randrange(TICKS_PER_SECOND)
    shown, second = "", -1
    for line in lines:
        pause = random.random()
        ticks += int(pause * (20_000 if pause < 0.99 else 2 * TICKS_PER_SECOND))
        if ticks // TICKS_PER_SECOND != second:
            second = ticks // TICKS_PER_SECOND
            shown = (BEGIN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
        yield f"{shown}.{ticks % TICKS_PER_SECOND:07d}Z {line.text}"
