"""Running a race: the processes, what happens around them, and what has to be true afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openloop.actions import tokens
from openloop.domain.audit import SYSTEM
from openloop.domain.principal import Role
from openloop.runtime import binding
from openloop.storage import approvals
from tests import make
from tests.guarantees.racing import effects_in
from tests.runtime.fakes import FakeSurface, reply
from tests.waiting import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Collection, Sequence

    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Stage

ROOT = Path(__file__).resolve().parents[2]
QUORUM = 2
PATIENCE_SECONDS = 240
LAPSE_SECONDS, LONGEST_LAPSE_SECONDS = 1.0, 10.0
CAME = ("edited", "withdrawn", "denied", "expired", "reopened", "stale")
ENDED = {"executed", "denied", "withdrawn", "expired", "stale", "unknown", "pending", "failed"}


@dataclass
class Tally:
    """What a race came to; everything in `broken` is a promise that was not kept.

    `tried` are the rounds into which somebody put an edit and the like, `came` those in which it came
    in time, by the events on record.
    """

    rounds: int = 0
    effects: int = 0
    unknown: int = 0
    kills: int = 0
    counted: int = 0
    tried: Counter[str] = field(default_factory=Counter[str])
    came: Counter[str] = field(default_factory=Counter[str])
    states: Counter[str] = field(default_factory=Counter[str])
    broken: list[str] = field(default_factory=list[str])


def people_of(voters: int) -> dict[str, dict[str, str]]:
    """Two voters are one person: they come through different doors."""
    return {f"p{n}": {"slack": f"U0P{n}"} for n in range((voters + 1) // 2)}


async def race(
    database: Database,
    file: Path,
    *,
    processes: int,
    voters: int,
    rounds: int,
    workers: int,
    seed: int = 1,
) -> Tally:
    """Let `processes` of `voters` each race for `rounds` held calls."""
    dice, tally = random.Random(seed), Tally()  # a race, no secret
    people = people_of(processes * voters)
    stage = await _stage(database, people)
    tokens_of = await _tokens(stage, people)
    given = {"dsn": database.conninfo, "workspace": str(stage.workspace), "file": str(file)}
    async with _voting(given, processes) as booths, _working(given, workers, tally):
        for number in range(rounds):
            ref, approval, token = await _ask(stage, number)
            crowds = [
                _voters(people, tokens_of, dice, booth, voters, number)
                for booth in range(processes)
            ]
            turns = [
                json.dumps(
                    {
                        "approval": str(approval.id),
                        "hash": approval.hash,
                        "button": token,
                        "root": f"1700000000.{number:06d}",
                        "voters": crowd,
                    }
                )
                for crowd in crowds
            ]
            tally.tried.update({voter["does"] for crowd in crowds for voter in crowd})
            tally.tried.update(_happens(number))
            over = asyncio.Event()
            around = asyncio.create_task(_around(stage, number, people, approval, ref, over))
            for booth, turn in zip(booths, turns, strict=True):
                await _tell(booth, turn)
            for booth in booths:
                tally.counted += json.loads(await _said(booth))["counted"]
            over.set()
            await around
            await _settle(stage, ref)
            tally.rounds += 1
            await _judge(stage, ref, file, tally)
    tally.came.update({kind: len(await stage.audit(f"approval.{kind}")) for kind in CAME})
    return tally


def _voters(
    people: dict[str, dict[str, str]],
    tokens_of: dict[str, str],
    dice: random.Random,
    booth: int,
    voters: int,
    number: int,
) -> list[dict[str, str]]:
    """Most approve; in some rounds somebody rejects, edits or takes it back."""
    found: list[dict[str, str]] = []
    for voter in range(voters):
        index = booth * voters + voter
        name = f"p{index // 2}"
        door = ("slack", "api", "cli")[index % 3] if voter % 10 else "slack"
        does = "approve"
        if voter == 1 and booth == number % 2 and number % 4 in (1, 2):
            door, does = "api", "edit"
        if voter == 3 and booth == 0 and number % 5 == 3:
            door, does = "api", "withdraw"
        if voter == 5 and booth == 0 and number % 7 == 5:
            does = "deny"
        token = tokens_of["operator"] if does == "withdraw" else tokens_of[name]
        slack = people[name]["slack"]
        found.append({"name": name, "slack": slack, "token": token, "door": door, "does": does})
    dice.shuffle(found)
    if number % 2:  # else those who approve are nearly always faster
        found.sort(key=lambda voter: voter["does"] == "approve")
    return found


def _happens(number: int) -> set[str]:
    """What else happens in a round: one thing at most, or the second would always be too late."""
    if number % 3 == 1:
        return {"leave" if number % 2 else "lose their role"}
    return {"expire"} if number % 6 == 2 else set()


async def _around(
    stage: Stage,
    number: int,
    people: dict[str, Any],
    approval: Approval,
    ref: ConversationRef,
    over: asyncio.Event,
) -> None:
    """What else happens meanwhile: people leave the group or lose the role, or the time is over."""
    happens = _happens(number)
    after = (number // 6) % QUORUM if "expire" in happens else number % 4

    async def have_voted() -> bool:
        async with stage.tx() as tx:
            votes = await approvals.list_votes(tx, approval.id)
        return over.is_set() or len(votes) >= after

    await until(have_voted, seconds=PATIENCE_SECONDS)
    if "leave" in happens or "lose their role" in happens:
        await stage.revise_workspace(_workspace(people, without=happens))
        await stage.revise_workspace(_workspace(people))
    if "expire" in happens:
        async with stage.tx() as tx:
            await tx.run(  # the conversation first, as everybody locks it
                "UPDATE conversations SET wake_at = openloop.now() WHERE id = %(id)s",
                {"id": ref.id},
            )
            await tx.run(
                "UPDATE approvals SET expires_at = openloop.now() WHERE id = %(id)s",
                {"id": approval.id},
            )


def _workspace(people: dict[str, Any], *, without: Collection[str] = ()) -> dict[str, Any]:
    names = sorted(people)
    half = names[: len(names) // 2]
    members = half if "leave" in without else names
    approvers = half if "lose their role" in without else names
    return {
        "people": {**people, "ben": {"slack": "U0BEN"}, "priya": {"slack": "U0PRIYA"}},
        "groups": {"maintainers": [f"@{name}" for name in members]},
        "roles": {
            "owner": ["@priya"],
            "approver": [f"@{name}" for name in approvers],
            "operator": ["@ben"],
        },
        "asks": {"per_approver": 1000},
    }


async def _stage(database: Database, people: dict[str, Any]) -> Stage:
    rule = {
        "match": {"permission": "github.issues:write"},
        "approvers": ["@maintainers"],
        "quorum": QUORUM,
        "may_edit": True,
    }
    return await make.stage(
        database,
        agent={"approvals": {"approvers": ["@maintainers"], "rules": [rule]}},
        workspace=_workspace(people),
    )


async def _tokens(stage: Stage, people: dict[str, Any]) -> dict[str, str]:
    async def token(name: str, role: Role) -> str:
        return await tokens.create(
            stage.database,
            stage.workspace,
            principal=name,
            role=role,
            name="race",
            days=1,
            by=SYSTEM,
        )

    made = {name: await token(name, Role.APPROVER) for name in people}
    return {**made, "operator": await token("ben", Role.OPERATOR)}


async def _ask(stage: Stage, number: int) -> tuple[ConversationRef, Approval, str]:
    call = (
        "github__create_issue",
        json.dumps({"repo": "acme/platform", "title": f"race {number}"}),
    )
    stage.models.turns, stage.surface = [reply("I will.", call), reply("All done.")], FakeSurface()
    # The racing workers have another model; this one asks before they look.
    received = await stage.say(by="ben", root=f"1700000000.{number:06d}")
    assert received.conversation is not None
    ref = received.conversation
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await stage.approvals(ref):
            await stage.work(ref)
            await asyncio.sleep(0.01)
    return ref, await stage.approval(ref), stage.token()


async def _settle(stage: Stage, ref: ConversationRef) -> None:
    """Wait until nothing of the conversation is due or held by anybody.

    Leases are made to run out early: of dead workers, so that this takes no time, and now and then
    of one that lives, which the fence has to stop. Each time a little later, or a slow machine would
    stop every worker before its move is done.
    """
    after, seen = LAPSE_SECONDS, None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while seen := await _open_row(stage, ref):
                await asyncio.sleep(after)
                if await _open_row(stage, ref):  # else what waits for people would be due for ever
                    await stage.lapse(ref)
                after = min(after * 1.3, LONGEST_LAPSE_SECONDS)
    except TimeoutError:
        states = [str(row.state) for row in await stage.approvals(ref)]
        message = f"{seen} is due or held still; its run {await stage.run_of(ref)}, asked {states}"
        raise AssertionError(message) from None


async def _open_row(stage: Stage, ref: ConversationRef) -> tuple[Any, ...] | None:
    async with stage.tx() as tx:
        found = await tx.tuples(
            """
            SELECT claimed_by, epoch, wakes, handled, wake_at, failures, openloop.now()
            FROM conversations WHERE id = %(id)s
            AND (claimed_by IS NOT NULL OR wakes > handled OR wake_at <= openloop.now())
            """,
            {"id": ref.id},
        )
    return found[0] if found else None


async def _judge(stage: Stage, ref: ConversationRef, file: Path, tally: Tally) -> None:
    rows = await stage.approvals(ref)
    run = str(rows[0].run_id)
    done = [each for each in effects_in(file) if each["key"].startswith(run)]
    states = [str(row.state) for row in rows]
    tally.states.update(states)
    tally.unknown += states.count("unknown")
    tally.effects += len(done)
    if len(done) > 1:
        tally.broken.append(f"{len(done)} effects of one approval: {done}")
    if not set(states) <= ENDED:
        tally.broken.append(f"left as {states}")
    ran = [row for row in rows if str(row.state) in ("executed", "unknown", "failed")]
    if "executed" in states and not done:
        tally.broken.append(f"executed, it says, and nothing happened: {states}")
    if done and not ran:
        tally.broken.append(f"an effect, and the approval is {states}")
    for row in ran:
        if binding.digest(row.tool, row.arguments, row.preconditions) != row.hash:
            tally.broken.append("the bytes are not those of the hash")
        if done and json.loads(row.arguments) != done[0]["arguments"]:
            tally.broken.append(f"{done[0]} ran, and {row.arguments!r} was approved")
        tally.broken += await _problems_with(stage, row)


async def _problems_with(stage: Stage, row: Approval) -> list[str]:
    """Who approved what ran, and whether it was shown to them."""
    async with stage.tx() as tx:
        voters = await tx.tuples(
            """
            SELECT principal_id FROM votes
            WHERE approval_id = %(id)s AND round = %(round)s AND decision = 'approve'
            """,
            {"id": row.id, "round": row.round},
        )
        shown = await tx.value(
            """
            SELECT count(*) FROM outbox WHERE approval_id = %(id)s AND queued_at <= %(decided)s
            AND op->'card'->'fields' @> %(title)s
            """,
            {
                "id": row.id,
                "decided": row.decided_at,
                "title": make.as_json([{"value": json.loads(row.arguments)["title"]}]),
            },
        )
    found: list[str] = []
    people = {person for (person,) in voters}
    if len(people) < QUORUM:
        found.append(f"{len(people)} people approved what ran")
    if row.edited_by in people:
        found.append("the editor approved what ran")
    if not shown:
        found.append("what ran was on no card when it was decided")
    return found


# --- processes -----------------------------------------------------------------------------------


async def _start(role: str, given: dict[str, str]) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.guarantees.racing",
        role,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await _tell(process, json.dumps(given))
    return process


async def _tell(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _said(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await process.stdout.readline()
    assert line, "a process of the race has ended"
    return line.decode()


@asynccontextmanager
async def _voting(given: dict[str, str], count: int) -> AsyncGenerator[Sequence[Process]]:
    booths = [await _start("voters", given) for _ in range(count)]
    try:
        for booth in booths:
            await _said(booth)
        yield booths
    finally:
        await _end(booths)


@asynccontextmanager
async def _working(given: dict[str, str], count: int, tally: Tally) -> AsyncGenerator[None]:
    """So many workers at any time: one that dies is followed by the next."""
    running = [await _start("worker", given) for _ in range(count)]

    async def keep_count(process: Process) -> None:
        assert process.stdout is not None
        async for _ in process.stdout:
            tally.kills += 1

    counting = [asyncio.create_task(keep_count(process)) for process in running]
    try:
        yield
    finally:
        await _end(running)
        await asyncio.gather(*counting)


async def _end(processes: Sequence[Process]) -> None:
    """Each with the worker that it has forked."""
    for process in processes:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    for process in processes:
        await process.wait()
