"""What OpenLoop adds to the time and cost of a model: latency, acks, CPU and throughput.

A run here is one model call, two Slack calls (status and answer), recall from memory and every
audit row. The model answers at once, so nothing has to be taken off the times. Slack sends what a
real one sends: each mention twice (`message` and `app_mention`), and the bot's own answer once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench import rigs
from bench.load import STAGGER_SECONDS, closed_loop
from bench.measuring import Figure, Kind, Outcome, exactly, note, percentile
from bench.stage import COUNTED, stage

if TYPE_CHECKING:
    from bench.load import Phase
    from bench.rigs import Ack, Slack, SlackState
    from bench.stage import Stage

NOTES = 30
FIRST_SECONDS = 3.0
ALONE, TWENTY, SATURATED = 80, 400, 600
IDLE_SECONDS = 3.0
BASELINE_MENTIONS = 200

_TOPICS = ("the nightly build", "the image", "vacuum", "the staging cluster", "on-call", "releases")


async def measure() -> Outcome:
    """Run every phase on one installation that has memories and has been started again."""
    async with stage("overhead") as on:
        await closed_loop(on, in_flight=5, runs=NOTES, text=_something_to_remember)
        await on.stack.stop()
        await on.stack.start()
        first = await closed_loop(on, in_flight=20, seconds=FIRST_SECONDS, text=_question)
        idle = await _idle_cpu(on)
        alone = await closed_loop(on, in_flight=1, runs=ALONE, text=_question)
        twenty = await closed_loop(on, in_flight=20, runs=TWENTY, text=_question)
        saturated = await closed_loop(on, in_flight=40, runs=SATURATED, text=_question)
        patient = await closed_loop(on, in_flight=20, runs=60, text=_patient_question)
        state = await on.slack.state()
        audited = await _audit_rows_per_run(on)
        baseline = await _baseline(on.slack, per_second=twenty.per_second)
    return Outcome(
        figures=[
            *_latency(alone, twenty, patient, state),
            *_acks(first, twenty, state, baseline),
            *_cpu(alone, twenty, saturated, idle),
            _at_least("runs per second, 40 in flight", saturated.per_second, 60, "19-50"),
            note("runs per second, 20 in flight", twenty.per_second),
            *_evidence(twenty, state, audited),
        ],
        remarks=[
            "CPU is that of serve, worker, gateway and Postgres; the rig and the people who write "
            "are other processes",
            "acks are measured where Slack is, with all that the rig itself adds: see its own p99",
        ],
        details={
            name: _described(phase, state)
            for name, phase in (
                ("first seconds", first),
                ("1 in flight", alone),
                ("20 in flight", twenty),
                ("40 in flight", saturated),
                ("20 in flight, slow model", patient),
            )
        },
    )


def _something_to_remember(number: int) -> str:
    topic = _TOPICS[number % len(_TOPICS)]
    return f"remember: {topic} was changed in ticket {number}"


def _question(number: int) -> str:
    return f"what do we know about {_TOPICS[number % len(_TOPICS)]}, question {number}?"


def _patient_question(number: int) -> str:
    return f"{_question(number)} take your time"


def _latency(alone: Phase, twenty: Phase, patient: Phase, state: SlackState) -> list[Figure]:
    return [
        _at_most("mention to answer, 1 in flight, p50", alone.latency_ms(), 40, "34-69 ms"),
        _at_most("mention to answer, 20 in flight, p50", twenty.latency_ms(), 250, "216-980 ms"),
        note("mention to status, 1 in flight, p50", alone.status_ms(state), "ms"),
        note("mention to status, 20 in flight, p50", twenty.status_ms(state), "ms"),
        note("mention to answer, 20 in flight, p95", twenty.latency_ms(95), "ms"),
        note(
            "the same with a model that takes 500 ms, less these, p50",
            patient.latency_ms() - 500,
            "ms",
        ),
    ]


def _acks(first: Phase, twenty: Phase, state: SlackState, baseline: float) -> list[Figure]:
    at_first, at_twenty = _ms(first.acks(state)), _ms(twenty.acks(state))
    refused = [ack for ack in state.acks if ack.status != 200]
    return [
        _at_most("ack, 20 in flight, p99", percentile(at_twenty, 99), 50),
        _at_most("ack, first 3 s after ready, 20 in flight, p99", percentile(at_first, 99), 50),
        note("ack, the first one after ready", at_first[0], "ms", prototype="2,000 ms"),
        note("ack, 20 in flight, p50", percentile(at_twenty, 50), "ms"),
        note("ack of a server that does nothing, same load, p99", baseline, "ms"),
        exactly("deliveries that were not acked", len(refused), 0),
    ]


def _cpu(alone: Phase, twenty: Phase, saturated: Phase, idle: float) -> list[Figure]:
    return [
        Figure(
            name="CPU per run, 20 in flight",
            kind=Kind.CPU,
            measured=twenty.cpu_ms_per_run(),
            unit="ms",
            at_most=20,
            prototype="19-55 ms",
        ),
        *(
            note(f"CPU per run, 20 in flight, {role}", twenty.cpu_ms_per_run(role), "ms")
            for role in COUNTED
        ),
        note("CPU per run, 1 in flight", alone.cpu_ms_per_run(), "ms"),
        note("CPU per run, 40 in flight", saturated.cpu_ms_per_run(), "ms"),
        note("CPU while nothing happens", idle, "ms per s"),
    ]


def _evidence(twenty: Phase, state: SlackState, audited: float) -> list[Figure]:
    """That a run did what it is said to do."""
    threads = {each.said.ts for each in twenty.exchanges}
    about = [
        call
        for call in state.calls
        if call["args"].get("thread_ts", call["args"].get("ts")) in threads
    ]
    return [
        exactly("Slack calls per run", round(len(about) / len(threads), 2), 2),
        note("audit rows per run", audited),
    ]


def _at_most(name: str, measured: float, limit: float, prototype: str = "") -> Figure:
    return Figure(
        name=name,
        kind=Kind.WALL,
        measured=measured,
        unit="ms",
        at_most=limit,
        prototype=prototype,
    )


def _at_least(name: str, measured: float, limit: float, prototype: str) -> Figure:
    return Figure(name=name, kind=Kind.WALL, measured=measured, at_least=limit, prototype=prototype)


def _ms(acks: list[Ack]) -> list[float]:
    """How long they took, in the order in which they were sent."""
    return [ack.seconds * 1000 for ack in sorted(acks, key=lambda each: each.at)]


async def _idle_cpu(on: Stage) -> float:
    """CPU milliseconds of the product in each second in which nobody writes."""
    used, began = sum(on.cpu_seconds().values()), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    spent = sum(on.cpu_seconds().values()) - used
    return spent * 1000 / (time.perf_counter() - began)


async def _audit_rows_per_run(on: Stage) -> float:
    async with on.rows() as rows:
        return float(
            await rows.value(
                "SELECT round(count(*)::numeric / count(DISTINCT run_id), 2) FROM audit_events"
                " WHERE run_id IS NOT NULL"
            )
        )


async def _baseline(slack: Slack, *, per_second: float) -> float:
    """The p99 of acks by a server that does nothing, at the pace of the measured load."""
    async with rigs.own_process(["bench.nothing"]) as (_, addresses):
        await slack.ask("deliver_to", url=addresses["url"])
        began = time.perf_counter()
        pause = max(STAGGER_SECONDS, 1 / per_second)
        for number in range(BASELINE_MENTIONS):
            await slack.say(f"{rigs.BOT} {_question(number)}", by="anna")
            await asyncio.sleep(max(0.0, began + number * pause - time.perf_counter()))
        await slack.ask("settled", timeout_seconds=60)
        state = await slack.state()
    acks = [ack for ack in state.acks if ack.at >= began]
    return percentile(_ms(acks), 99)


def _described(phase: Phase, state: SlackState) -> dict[str, object]:
    """What goes to the JSON file of one phase."""
    latencies = sorted(round(each.seconds * 1000, 2) for each in phase.exchanges)
    acks = _ms(phase.acks(state))
    return {
        "runs": len(phase.exchanges),
        "runs_per_second": round(phase.per_second, 2),
        "answer_ms": {f"p{p}": percentile(latencies, p) for p in (5, 50, 95, 99, 100)},
        "ack_ms": {f"p{p}": round(percentile(acks, p), 2) for p in (50, 95, 99, 100)},
        "cpu_ms_per_run": {r: round(phase.cpu_ms_per_run(r), 2) for r in phase.cpu_seconds},
    }
