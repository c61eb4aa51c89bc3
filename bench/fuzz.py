"""Whatever strangers may send, changed at random for some minutes: no crash, no 500, nothing slow.

`./run bench fuzz --minutes N`; each start has another seed, which stands in the result. What is found
is written below .cache/fuzz: an input that has been repaired belongs into tests/guarantees/corpus.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING

from bench.calibration import REFERENCE_SECONDS, calibrate
from bench.measuring import ROOT, Figure, Kind, Outcome, exactly, note
from openloop.testing.databases import temporary_database
from tests import make
from tests.api.conftest import open_api
from tests.guarantees import fuzzing, fuzzing_api

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.guarantees.fuzzing import Finding, Tally

FOUND = ROOT / ".cache" / "fuzz"
MINUTES = 3
_MS = 1000


async def measure(minutes: float = MINUTES) -> Outcome:
    """Share the time among the targets; the API gets as much as two of them."""
    seed = random.SystemRandom().randrange(10**9)
    each = 60 * minutes / (len(fuzzing.TARGETS) + 2)
    slowness = max(1.0, calibrate() / REFERENCE_SECONDS)
    most = slowness * fuzzing.MOST_CPU_SECONDS
    tallies = [
        await asyncio.to_thread(fuzzing.run, target, seconds=each, seed=seed, most_seconds=most)
        for target in fuzzing.TARGETS
    ]
    async with temporary_database() as database:
        stage = await make.stage(database)
        async with open_api(database, stage.workspace) as api:
            tallies.append(
                await fuzzing_api.run(api, seconds=2 * each, seed=seed, most_seconds=most)
            )
    findings = [finding for tally in tallies for finding in tally.findings]
    _keep(findings)
    return Outcome(
        figures=[
            *(figure for tally in tallies for figure in _figures(tally, slowness)),
            exactly("crashes, answers with 500, and inputs over 100 ms", len(findings), 0),
        ],
        remarks=[
            f"at most 100 ms on a machine like the reference; this one is {slowness:.2f} times slower",
            f"seed {seed}, {minutes:g} minutes",
            *map(str, findings[:10]),
        ],
        details={"seed": seed},
    )


def _figures(tally: Tally, slowness: float) -> Sequence[Figure]:
    [(target, inputs)] = tally.inputs.items()
    slowest = Figure(
        name=f"{target}: slowest input",
        kind=Kind.CPU,
        measured=_MS * tally.slowest_seconds[target],
        unit="ms",
        at_most=round(_MS * slowness * fuzzing.MOST_CPU_SECONDS),
    )
    return [note(f"{target}: inputs", inputs), slowest]


def _keep(findings: Sequence[Finding]) -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    for finding in findings:
        digest = hashlib.sha256(finding.input).hexdigest()[:16]
        (FOUND / f"{finding.target}-{digest}").write_bytes(finding.input)
