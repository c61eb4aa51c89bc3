"""Mentions and their answers: a fixed number in flight, each from a lane of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from bench import rigs
from bench.measuring import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.rigs import Ack, Said, Slack, SlackState
    from bench.stage import Stage

STAGGER_SECONDS = 0.01
"""Between the first mentions of two lanes: forty deliveries at once would wait for each other in
the rig, and that is nothing the product does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A mention and the answer to it."""

    said: Said
    answer: Said

    @property
    def seconds(self) -> float:
        """From the moment the mention was there to the moment its answer was."""
        return self.answer.at - self.said.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What a load did to the product. Times are seconds on the clock all processes share."""

    exchanges: Sequence[Exchange]
    began_at: float
    ended_at: float
    cpu_seconds: dict[str, float]

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return len(self.exchanges) / (self.ended_at - self.began_at)

    def cpu_ms_per_run(self, *roles: str) -> float:
        """CPU milliseconds of each run, of these processes or of all."""
        used = sum(self.cpu_seconds[role] for role in roles or self.cpu_seconds)
        return used * 1000 / len(self.exchanges)

    def latency_ms(self, percent: float = 50) -> float:
        """Mention to answer."""
        return percentile([each.seconds * 1000 for each in self.exchanges], percent)

    def status_ms(self, state: SlackState) -> float:
        """Mention to the first status in its thread, the median."""
        first: dict[str, float] = {}
        for status in state.statuses:
            first.setdefault(status["thread_ts"], status["stored_at"])
        seen = [
            (first[each.said.ts] - each.said.at) * 1000
            for each in self.exchanges
            if each.said.ts in first
        ]
        return percentile(seen, 50)

    def acks(self, state: SlackState) -> list[Ack]:
        """What the rig delivered meanwhile."""
        return [ack for ack in state.acks if self.began_at <= ack.at <= self.ended_at]


async def exchange(slack: Slack, text: str, *, by: str = "anna") -> Exchange:
    """Mention the agent and wait for its answer."""
    said = await slack.say(f"{rigs.BOT} {text}", by=by)
    return Exchange(said=said, answer=await slack.reply(said))


async def closed_loop(
    stage: Stage,
    *,
    in_flight: int,
    runs: int | None = None,
    seconds: float | None = None,
    text: Callable[[int], str],
) -> Phase:
    """Keep so many mentions in flight, for a number of runs or of seconds.

    CPU is counted until everything is finished, what follows the last answer included.
    """
    numbers = count(1)
    found: list[Exchange] = []
    used = stage.cpu_seconds()
    began_at = time.perf_counter()

    async def lane(position: int) -> None:
        await asyncio.sleep(position * STAGGER_SECONDS)
        while _goes_on(number := next(numbers), began_at, runs=runs, seconds=seconds):
            found.append(await exchange(stage.slack, text(number)))

    async with asyncio.TaskGroup() as lanes:
        for position in range(in_flight):
            lanes.create_task(lane(position))
    ended_at = max(each.answer.at for each in found)
    await stage.idle()
    after = stage.cpu_seconds()
    return Phase(
        exchanges=found,
        began_at=began_at,
        ended_at=ended_at,
        cpu_seconds={role: after[role] - used[role] for role in after},
    )


def _goes_on(number: int, began_at: float, *, runs: int | None, seconds: float | None) -> bool:
    if runs is not None and number > runs:
        return False
    return seconds is None or time.perf_counter() - began_at < seconds
