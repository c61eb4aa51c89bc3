"""Approvals at full size: the state machine, its mutants, and races of processes for held calls.

What is compared, and with what, stands in tests/guarantees; CI runs the same at a smaller size.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measuring import Figure, Kind, Outcome, exactly, note
from bench.stage import home
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from tests.guarantees import approval_mutants
from tests.guarantees.approval_beside_mutants import BESIDE
from tests.guarantees.approval_machine import Theatre, theatre
from tests.guarantees.approval_rules import Broken
from tests.guarantees.races import CAME, Tally, race

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.storage.embedded import Running
    from tests.guarantees.approval_mutants import Mutant

MUTANTS = (*approval_mutants.MUTANTS, *BESIDE)
EXAMPLES, STEPS = 150, 20
WANDERING, WANDERED_STEPS = 10, 12
MEANWHILE = ("edit", "withdraw", "deny", "leave", "lose their role", "expire")
"""What races the votes, beside workers that are killed."""
PROCESSES, VOTERS, ROUNDS, WORKERS = 4, 50, 18, 3


async def measure() -> Outcome:
    """One server, a database for each part."""
    async with home() as folder:
        postgres = EmbeddedPostgres(folder, settings={"fsync": "off"})
        await asyncio.to_thread(postgres.start)
        try:
            played = await _database(postgres, "played")
            raced = await _database(postgres, "raced")
            figures = await asyncio.to_thread(_play, played.dsn)
            tally = await _race(raced, folder / "effects")
        finally:
            await asyncio.to_thread(postgres.leave)
    return Outcome(
        figures=[*figures, *_raced(tally)],
        remarks=tally.broken[:5],
        details={
            "states": dict(tally.states),
            "came": dict(tally.came),
            "mutants": [each.name for each in MUTANTS],
        },
    )


async def _database(postgres: EmbeddedPostgres, name: str) -> Running:
    running = await asyncio.to_thread(postgres.create_database, name)
    await migrate(running.dsn)
    return running


def _play(conninfo: str) -> Sequence[Figure]:
    with theatre(conninfo) as opened:
        opened.wander(examples=EXAMPLES, steps=STEPS)
        spared = [each.name for each in MUTANTS if _is_spared(opened, each)]
        killed = [_is_killed(opened, each) for each in MUTANTS]
        found = [_is_found(opened, each) for each in MUTANTS]
    return [
        exactly("state machine: promises broken", 0, 0),
        note("state machine: examples", EXAMPLES),
        note("state machine: steps of each", STEPS),
        exactly("stories that fail with the real code", len(MUTANTS) - len(spared), 0),
        exactly("named mutants that survive their story", killed.count(False), 0),
        Figure(name="named mutants", kind=Kind.CORRECTNESS, measured=len(MUTANTS), at_least=20),
        note("of them killed by the wandering machine alone", sum(found)),
        note("its examples for each", WANDERING),
    ]


def _is_spared(opened: Theatre, mutant: Mutant) -> bool:
    opened.play(mutant, is_planted=False)
    return True


def _is_killed(opened: Theatre, mutant: Mutant) -> bool:
    try:
        opened.play(mutant, is_planted=True)
    except Broken:
        return True
    return False


def _is_found(opened: Theatre, mutant: Mutant) -> bool:
    """Whether the machine finds the mutant by itself, without its story."""
    with contextlib.redirect_stdout(None):
        try:
            with mutant.plant(opened.driver()):
                opened.wander(examples=WANDERING, steps=WANDERED_STEPS, shrink=False)
        except (Broken, AssertionError):
            return True
    return False


async def _race(running: Running, file: Path) -> Tally:
    database = Database(running.dsn, size=8, name="openloop-race")
    await database.open()
    try:
        return await race(
            database,
            file,
            processes=PROCESSES,
            voters=VOTERS,
            rounds=ROUNDS,
            workers=WORKERS,
        )
    finally:
        await database.close()


def _raced(tally: Tally) -> list[Figure]:
    return [
        exactly("race: promises broken", len(tally.broken), 0),
        exactly("race: held calls raced for", tally.rounds, ROUNDS),
        note("race: processes", PROCESSES),
        note("race: voters in each", VOTERS),
        *(
            Figure(
                name=f"race: rounds in which somebody may {what}",
                kind=Kind.CORRECTNESS,
                measured=tally.tried[what],
                at_least=1,
            )
            for what in MEANWHILE
        ),
        *(note(f"race: {kind} in time", tally.came[kind]) for kind in CAME),
        note("race: tries that were taken", tally.counted),
        Figure(
            name="race: effects that happened",
            kind=Kind.CORRECTNESS,
            measured=tally.effects,
            at_least=1,
            at_most=ROUNDS,
        ),
        note("race: shown as unknown", tally.unknown),
        Figure(
            name="race: workers killed right before or after an effect",
            kind=Kind.CORRECTNESS,
            measured=tally.kills,
            at_least=1,
        ),
    ]
