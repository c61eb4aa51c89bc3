"""`python -m bench.mutants`: judge what was played in parts, and keep it as the whole bench does."""

from __future__ import annotations

import sys

from bench.calibration import Calibration, calibrate
from bench.measuring import Report
from bench.mutants.figures import judged, played


def main() -> int:
    """Print the table and write bench/results/mutants.json."""
    found = played()
    seconds = sum(each.seconds for area in found.values() for each in area.values())
    outcome, speed = judged(found), calibrate()
    calibration = Calibration(before_seconds=speed, after_seconds=speed)
    report = Report(bench="mutants", outcome=outcome, calibration=calibration, seconds=seconds)
    report.save()
    print("\n".join(report.lines()))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
