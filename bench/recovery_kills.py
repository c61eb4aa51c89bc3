"""kill -9: of the worker in the middle of runs, of serve and worker after the acks, under clicks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from bench import rigs
from bench.measuring import Figure, Kind, exactly, note
from bench.recovered import aftermath, ask_all
from bench.stage import UNDER_WAY, kill, stage
from bench.waiting import until

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from bench.rigs import Said
    from bench.stage import Rows, Stage

RUNS = 50
HIT_AT_LEAST = 10
RESUMED_SECONDS = 10
CARDS, CLICKS = 5, 20

_TEXTS = ("think thoroughly", "think", "note that ticket {} is open", "think shortly", "think")
_PATIENCE_SECONDS = 45
_SLOW_SECONDS = 0.3
_CREATE = "POST /repos/{owner}/{repo}/issues"

# What a claim of somebody holds open: a step that began under the epoch that is still the newest.
_STARTED: LiteralString = """
    SELECT s.run_id, c.claimed_by, c.epoch FROM steps s
    JOIN runs r ON r.id = s.run_id JOIN conversations c ON c.id = r.conversation_id
    WHERE s.state = 'started' AND r.state = 'working' AND s.epoch = c.epoch
      AND c.claimed_by IS NOT NULL
"""
_POSTING: LiteralString = """
    SELECT count(*) FROM outbox WHERE state = 'sending' AND op->>'op' <> 'SetStatus'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A run whose worker died between a step's *started* and its *finished*."""

    run: UUID
    worker: UUID
    epoch: int


async def measure() -> list[Figure]:
    """All three on one installation: what the first leaves behind, the next would trip over."""
    async with stage("recovery", environ={"OPENLOOP_CONCURRENCY": "64"}) as on:
        return [*await _in_the_middle(on), *await _after_the_acks(on), *await _under_clicks(on)]


async def _in_the_middle(on: Stage) -> list[Figure]:
    """Kill the worker while it waits for models and for Slack, which answers late."""
    accident = "worker killed with 50 runs in flight"
    await on.slack.ask(
        "fail", method="chat.postMessage", fault="slow", seconds=_SLOW_SECONDS, times=RUNS
    )
    texts = [_TEXTS[number % len(_TEXTS)].format(number) for number in range(RUNS)]
    said = await ask_all(on, texts)
    async with on.rows() as rows:
        await until(lambda: _is_in_the_middle(rows), timeout_seconds=_PATIENCE_SECONDS)
        killed_at: datetime = await rows.value("SELECT openloop.now()")
        killed = time.perf_counter()
        kill(on.stack, "worker")
        # The lease of its claims has seconds to go: nobody has touched these rows since.
        hits = [Hit(run=r, worker=w, epoch=e) for r, w, e in await rows.all(_STARTED)]
        sends = await rows.number(_POSTING)
        after = await aftermath(on, said, timeout_seconds=_PATIENCE_SECONDS)
        resumed = await _first_resumed(rows, hits, killed_at)
        noted_twice = await rows.number(
            "SELECT count(*) - count(DISTINCT run_id) FROM memories WHERE run_id IS NOT NULL"
        )
    return [
        Figure(
            name="worker killed: runs between a step's started and finished",
            kind=Kind.CORRECTNESS,
            measured=len(hits),
            at_least=HIT_AT_LEAST,
        ),
        exactly("worker killed: workers that held these runs", len({h.worker for h in hits}), 1),
        note("worker killed: messages on their way to Slack", sends),
        note("worker killed: last answer after the kill", after.last_answered_at - killed, "s"),
        Figure(
            name="worker killed: first of these runs resumed",
            kind=Kind.WALL,
            measured=resumed,
            unit="s",
            at_most=RESUMED_SECONDS,
        ),
        exactly("worker killed: memories saved twice", noted_twice, 0),
        *after.figures(accident),
    ]


async def _is_in_the_middle(rows: Rows) -> bool:
    """Some are answered, so that answers are on their way too; many wait for the model."""
    answered = await rows.number("SELECT count(*) FROM runs WHERE outcome = 'answered'")
    return answered >= RUNS / 10 and len(await rows.all(_STARTED)) >= 2 * HIT_AT_LEAST


async def _first_resumed(rows: Rows, hits: list[Hit], killed_at: datetime) -> float:
    """Seconds until the first of them reserved money under a newer claim, by the database clock."""
    epochs = {hit.run: hit.epoch for hit in hits}
    found = await rows.all(
        "SELECT run_id, epoch, reserved_at FROM reservations WHERE run_id = ANY(%s)",
        [list(epochs)],
    )
    resumed = [at for run, epoch, at in found if epoch > epochs[run]]
    return (min(resumed) - killed_at).total_seconds() if resumed else float("inf")


async def _after_the_acks(on: Stage) -> list[Figure]:
    """Kill serve and worker as soon as the last of fifty mentions is acked."""
    accident = "serve and worker killed after 50 acks"
    said = await ask_all(on, ["think"] * RUNS)
    await on.slack.ask("settled", timeout_seconds=_PATIENCE_SECONDS)
    kill(on.stack, "serve", "worker")
    killed = time.perf_counter()
    async with on.rows() as rows:
        answered = await rows.number(
            "SELECT count(*) FROM conversations JOIN runs ON conversation_id = conversations.id"
            " WHERE root = ANY(%s) AND ended_at IS NOT NULL",
            [[each.ts for each in said]],
        )
    after = await aftermath(on, said, timeout_seconds=_PATIENCE_SECONDS)
    return [
        note(f"{accident}: answered before", answered),
        note(f"{accident}: last answer after", after.last_answered_at - killed, "s"),
        *after.figures(accident),
    ]


async def _under_clicks(on: Stage) -> list[Figure]:
    """Twenty clicks at once on each of several cards; GitHub is slow, and the product dies."""
    said = await ask_all(on, [f"open an issue {_title(number)}" for number in range(CARDS)])
    cards = [await on.slack.reply(each) for each in said]
    assert all("approve" in card.buttons for card in cards), cards
    kill(on.stack, "serve", "worker")  # the cards wait all the same
    await on.stack.wait_ready()
    await on.github.slow_down(_CREATE, _SLOW_SECONDS)
    async with on.rows() as rows, asyncio.timeout(_PATIENCE_SECONDS):
        clicking = asyncio.gather(*(_click(on, card) for card in cards for _ in range(CLICKS)))
        await until(lambda: _is_executing(rows), timeout_seconds=_PATIENCE_SECONDS)
        kill(on.stack, "serve", "worker")
        executing = await rows.number("SELECT count(*) FROM approvals WHERE state = 'executing'")
        statuses = await clicking
        await on.stack.wait_ready()
        again = await asyncio.gather(*(_click(on, card) for card in cards))
        settled, unknown = await _settled(on, rows, said)
        await on.github.heal()
    titles = await on.github.titles()
    made = [titles.count(_title(number)) for number in range(CARDS)]
    errors = [s for s in (*statuses, *again) if s is not None and s >= 500 and s != 503]
    return [
        exactly("killed under clicks: cards that were waited for", len(cards), CARDS),
        note("killed under clicks: clicks at once", len(statuses)),
        note("killed under clicks: calls to GitHub under way", executing),
        exactly("killed under clicks: effects made twice", sum(max(0, n - 1) for n in made), 0),
        exactly(
            "killed under clicks: approvals neither executed nor shown as unknown",
            CARDS - settled - unknown,
            0,
        ),
        exactly(
            "killed under clicks: executed, and no effect on GitHub", max(0, settled - sum(made)), 0
        ),
        note("killed under clicks: shown as unknown", unknown),
        exactly("killed under clicks: clicks answered with an error of ours", len(errors), 0),
    ]


async def _is_executing(rows: Rows) -> bool:
    sql: LiteralString = "SELECT count(*) FROM approvals WHERE state IN ('executing', 'executed')"
    return await rows.number(sql) > CARDS / 2


def _title(number: int) -> str:
    return f"Bench issue {number:02d}"


async def _click(on: Stage, card: Said) -> int | None:
    """A click as a person's; one that is refused by the rig met a card that is settled already."""
    try:
        return await on.slack.click(card, "approve", by="anna")
    except rigs.RigRefused:
        return None


async def _settled(on: Stage, rows: Rows, said: list[Said]) -> tuple[int, int]:
    """How many ended as executed, and how many are shown to people as unknown."""
    roots = [each.ts for each in said]
    states: list[tuple[str, str]] = []

    async def are_settled() -> bool:
        states[:] = await rows.all(
            "SELECT a.state, r.state FROM approvals a JOIN runs r ON r.id = a.run_id"
            " JOIN conversations c ON c.id = r.conversation_id WHERE root = ANY(%s)",
            [roots],
        )
        return all(each in {("executed", "done"), ("unknown", "waiting")} for each in states)

    with contextlib.suppress(TimeoutError):  # what is missing then is counted
        await until(are_settled, timeout_seconds=_PATIENCE_SECONDS)
        await rows.until(UNDER_WAY, 0, timeout_seconds=_PATIENCE_SECONDS)
    replies = (await on.slack.state()).replies()
    shown = sum("happened" in str(replies.get(root)) for root in roots)
    executed = sum(each == ("executed", "done") for each in states)
    return executed, min(shown, sum(approval == "unknown" for approval, _ in states))
