"""How fast this machine is at the moment, against the machine the targets are for.

Two processes at once do the same fixed work, because the product uses two cores too. The work is
done in C code of the standard library, so that it depends on the machine and hardly on the version
of Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

REFERENCE_SECONDS = 0.43
"""The loop on the machine for which the targets are given: two idle cores of a virtual machine."""

TOLERANCE = 0.15

_PROCESSES = 2
_ROUNDS = 3
_REPETITIONS = 130


class Pace(StrEnum):
    """This machine beside the reference."""

    SAME = "same"
    SLOWER = "slower"
    FASTER = "faster"
    UNSTEADY = "unsteady"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the loop took before and after a bench, in seconds."""

    before_seconds: float
    after_seconds: float

    @property
    def pace(self) -> Pace:
        """SAME only where both loops were within the tolerance."""
        paces = {_pace(self.before_seconds), _pace(self.after_seconds)}
        if {Pace.SLOWER, Pace.FASTER} <= paces:
            return Pace.UNSTEADY
        return next((p for p in (Pace.SLOWER, Pace.FASTER) if p in paces), Pace.SAME)

    @property
    def speed(self) -> float:
        """This machine's speed as a share of the reference's: below 1 where it is slower.

        The loop's CPU time grows with its wall time where cores are shared: the same work costs more
        of both.
        """
        return 2 * REFERENCE_SECONDS / (self.before_seconds + self.after_seconds)

    def sentence(self) -> str:
        """What a reader has to know of the machine."""
        said = (
            f"calibration loop {self.before_seconds:.2f} s before and {self.after_seconds:.2f} s "
            f"after, reference {REFERENCE_SECONDS:.2f} s"
        )
        if self.pace is Pace.SAME:
            return said
        return f"{said}: more than {TOLERANCE:.0%} off, so wall-clock figures are not comparable"

    def as_json(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "before_seconds": self.before_seconds,
            "after_seconds": self.after_seconds,
            "reference_seconds": REFERENCE_SECONDS,
            "tolerance": TOLERANCE,
            "pace": self.pace,
        }


def calibrate() -> float:
    """Seconds for the loop: the median round, and in each round the slower of both processes."""
    return sorted(_round() for _ in range(_ROUNDS))[_ROUNDS // 2]


def _round() -> float:
    running = [
        subprocess.Popen([sys.executable, "-I", "-S", __file__], stdout=subprocess.PIPE, text=True)
        for _ in range(_PROCESSES)
    ]
    return max(float(process.communicate(timeout=60)[0]) for process in running)


def _pace(seconds: float) -> Pace:
    if seconds > REFERENCE_SECONDS * (1 + TOLERANCE):
        return Pace.SLOWER
    return Pace.FASTER if seconds < REFERENCE_SECONDS * (1 - TOLERANCE) else Pace.SAME


def _work() -> None:
    rows = [{"id": n, "text": f"row {n * 7919 % 1000}", "share": n / 7} for n in range(1000)]
    for _ in range(_REPETITIONS):
        text = json.dumps(sorted(rows, key=str)).encode()
        blake2b(zlib.compress(text, 6)).hexdigest()
        json.loads(text)


if __name__ == "__main__":
    started = time.perf_counter()
    _work()
    sys.stdout.write(str(time.perf_counter() - started))
