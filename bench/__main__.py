"""`./run bench [NAME]`: run one bench, `guarantees`, or `all`; without a name, list them."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bench import (
    approvals,
    audit,
    budget,
    configuration,
    fairness,
    fuzz,
    gate,
    github,
    logs,
    overhead,
    recovery,
    start,
    tenancy,
)
from bench.agentdojo.figures import measure as measure_agentdojo
from bench.calibration import Calibration, calibrate
from bench.measuring import EXIT_MISSED, EXIT_NOT_JUDGED, EXIT_OK, Report, markdown
from bench.mutants.figures import measure as measure_mutants

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.measuring import Outcome

EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class Bench:
    """What it measures, in a line, how long it may take, and how it is run."""

    summary: str
    seconds: float
    measure: Callable[[], Awaitable[Outcome]]


BENCHES = {
    "overhead": Bench(
        "what OpenLoop adds to a model: latency, acks, CPU per run, runs a second",
        300,
        overhead.measure,
    ),
    "start": Bench("from `openloop up` to ready, and what it weighs then", 240, start.measure),
    "github": Bench(
        "1,000 mentions on GitHub, doubled, out of order, limited, under kill -9",
        600,
        github.measure,
    ),
    "recovery": Bench(
        "kills, clicks and outages: nothing lost, nothing twice, nothing stuck",
        300,
        recovery.measure,
    ),
    "configuration": Bench(
        "ten thousand mutated manifests: rights never widen silently", 900, configuration.measure
    ),
    "audit": Bench(
        "sealing and verifying the audit: CPU per event, and nothing is missed", 120, audit.measure
    ),
    "agentdojo": Bench(
        "AgentDojo's attackers against the gate, in every order: what is let through",
        3600,
        measure_agentdojo,
    ),
    "approvals": Bench(
        "the machine, its mutants, and 200 voters at every door: one effect at most",
        3600,
        approvals.measure,
    ),
    "mutants": Bench(
        "every mutant of policy, approvals and budgets: which of them the tests let live",
        4 * 3600,
        measure_mutants,
    ),
    "budget": Bench(
        "fifty runs against money for five, then four processes that die on one hot row: never above "
        "the limit",
        300,
        budget.measure,
    ),
    "fairness": Bench(
        "a neighbour with two thousand runs queued, and one run a second beside it",
        400,
        fairness.measure,
    ),
    "tenancy": Bench(
        "a hundred thousand random transactions of eight workspaces in one pool: no foreign row",
        1800,
        tenancy.measure,
    ),
    "gate": Bench("what gate, journal and audit add to a read tool call", 120, gate.measure),
    "logs": Bench(
        "build logs with a marked cause: is it found, and what does that take", 600, logs.measure
    ),
    "fuzz": Bench(
        "what strangers may send, changed at random (`fuzz --minutes N`): no crash, nothing slow",
        600,
        fuzz.measure,
    ),
}


GUARANTEES = (
    *("agentdojo", "approvals", "budget", "audit", "tenancy", "configuration", "fairness"),
    *("gate", "fuzz", "mutants"),
)
"""What docs/reference/guarantees.md promises, at full size: some hours, most of them for mutants."""


def fuzz_for(minutes: int) -> Bench:
    """The same bench for as long as somebody wants."""
    measure = partial(fuzz.measure, minutes=minutes)
    return replace(BENCHES["fuzz"], seconds=120 * minutes + 120, measure=measure)


def run(name: str, chosen: Bench | None = None) -> int:
    """Measure, print the table, write the JSON file; the exit status."""
    bench = chosen or BENCHES[name]
    print(f"bench {name}: {bench.summary}", flush=True)
    before, began = calibrate(), time.monotonic()
    outcome = asyncio.run(_bounded(bench))
    seconds = time.monotonic() - began
    report = Report(
        bench=name,
        outcome=outcome,
        calibration=Calibration(before_seconds=before, after_seconds=calibrate()),
        seconds=seconds,
    )
    path = report.save()
    print("\n".join(report.lines()))
    verdict = {EXIT_OK: "ok", EXIT_MISSED: "missed", EXIT_NOT_JUDGED: "not judged"}
    print(f"bench {name}: {verdict[report.exit_code]} ({path.relative_to(path.parents[2])})\n")
    return report.exit_code


async def _bounded(bench: Bench) -> Outcome:
    async with asyncio.timeout(bench.seconds):
        return await bench.measure()


def list_benches() -> str:
    """One line each."""
    width = max(map(len, BENCHES))
    lines = [f"  {name.ljust(width)}  {bench.summary}" for name, bench in BENCHES.items()]
    usage = "usage: ./run bench [NAME|guarantees|all|table]"
    return "\n".join(
        [
            usage,
            "",
            *lines,
            "",
            "guarantees runs what docs/reference/guarantees.md promises; table prints the last results.",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    """Of several benches the worst outcome counts: missed, then not judged, then ok."""
    match arguments:
        case [] | ["-h"] | ["--help"]:
            print(list_benches())
            return EXIT_OK
        case ["all"] | ["guarantees"]:
            chosen = GUARANTEES if arguments == ["guarantees"] else BENCHES
            codes = {run(name) for name in chosen}
            return next(code for code in (EXIT_MISSED, EXIT_NOT_JUDGED, EXIT_OK) if code in codes)
        case ["table"]:
            print(markdown([*BENCHES]))
            return EXIT_OK
        case ["fuzz", "--minutes", minutes] if minutes.isdecimal() and int(minutes):
            return run("fuzz", fuzz_for(int(minutes)))
        case [name] if name in BENCHES:
            return run(name)
        case _:
            print(list_benches(), file=sys.stderr)
            return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
