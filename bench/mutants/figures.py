"""`./run bench mutants`: how many mutants of each area were killed, and all that were not."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measuring import ROOT, Figure, Kind, Outcome, note
from bench.mutants.areas import AREAS
from bench.mutants.planting import Target
from bench.mutants.playing import CACHE, KILLED, Played, outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

KILLED_AT_LEAST = 0.95
EQUIVALENT = Path(__file__).parent / "equivalent.txt"


async def measure() -> Outcome:
    """Play every area anew, one process after the other."""
    for area in AREAS:
        (CACHE / f"{area}.jsonl").unlink(missing_ok=True)
        command = [sys.executable, "-m", "bench.mutants.playing", area]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    return judged(played())


def played() -> dict[str, dict[str, Played]]:
    """What was found last of every mutant that there is now, area by area."""
    kept = {area: outcomes(CACHE / f"{area}.jsonl") for area in AREAS}
    return {
        area: {
            each.name: kept[area].get(each.name) or _unplayed(area, each.name)
            for name in modules
            for each in Target.of(name).mutants()
        }
        for area, modules in AREAS.items()
    }


def _unplayed(area: str, name: str) -> Played:
    return Played(area=area, name=name, line=0, outcome="unplayed")


def equivalents() -> dict[str, str]:
    """Mutants that no test can tell from the code, each with the reason, as people have judged."""
    found: dict[str, str] = {}
    reason = ""
    for line in EQUIVALENT.read_text("utf-8").splitlines():
        if line.startswith("# "):
            reason = line.removeprefix("# ")
        elif line.strip():
            found[line.strip()] = reason
    return found


def judged(played_of: Mapping[str, Mapping[str, Played]]) -> Outcome:
    """How many were killed, and all that were not."""
    same = equivalents()
    figures: list[Figure] = []
    living: dict[str, list[str]] = {}
    modules: dict[str, dict[str, int]] = {}
    for area, found in played_of.items():
        counted = {name: each for name, each in found.items() if name not in same}
        alive = [name for name, each in counted.items() if each.outcome not in KILLED]
        living[area] = sorted(alive)
        share = 1 - len(alive) / len(counted) if counted else 0.0
        figures += [
            Figure(
                name=f"{area}: mutants killed",
                kind=Kind.CORRECTNESS,
                measured=round(100 * share, 1),
                unit="%",
                at_least=100 * KILLED_AT_LEAST,
            ),
            note(f"{area}: mutants", len(counted)),
            note(f"{area}: of them alive", len(alive)),
            note(f"{area}: judged to be equivalent", len(found) - len(counted)),
        ]
        modules |= _modules(counted, alive)
    names = {name for found in played_of.values() for name in found}
    stale = sorted(name for name in same if name not in names)
    return Outcome(
        figures=figures,
        remarks=[f"listed as equivalent, and not generated any more: {name}" for name in stale[:5]],
        details={"survivors": living, "modules": modules},
    )


def _modules(counted: Mapping[str, Played], alive: list[str]) -> dict[str, dict[str, int]]:
    made = Counter(name.partition(":")[0] for name in counted)
    left = Counter(name.partition(":")[0] for name in alive)
    return {name: {"mutants": made[name], "alive": left[name]} for name in made}
