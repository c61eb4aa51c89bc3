"""What people and rows show after an accident: each question answered once, nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import rigs
from bench.load import STAGGER_SECONDS
from bench.measuring import Figure, exactly
from bench.stage import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.rigs import Said
    from bench.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """How many of the asked questions came out how; `at` is on the clock all processes share."""

    asked: int
    answered: int
    last_answered_at: float
    twice: int
    left: int
    lost_deliveries: int

    def figures(self, accident: str) -> list[Figure]:
        """What must hold after any accident."""
        return [
            exactly(f"{accident}: answered", self.answered, self.asked),
            exactly(f"{accident}: messages sent twice", self.twice, 0),
            exactly(f"{accident}: left active, claimed or unsent", self.left, 0),
            exactly(f"{accident}: deliveries given up by Slack", self.lost_deliveries, 0),
        ]


async def ask_all(on: Stage, texts: Sequence[str]) -> list[Said]:
    """Mention the agent with each of these; answers once all are said, not once they are acked."""
    async with asyncio.TaskGroup() as saying:
        said = [saying.create_task(_ask(on, text, at)) for at, text in enumerate(texts)]
    return [each.result() for each in said]


async def _ask(on: Stage, text: str, position: int) -> Said:
    await asyncio.sleep(position * STAGGER_SECONDS / 2)
    return await on.slack.say(f"{rigs.BOT} {text}", by="ben")


async def aftermath(on: Stage, said: Sequence[Said], *, timeout_seconds: float) -> Aftermath:
    """Wait until all is answered and nothing is under way, or the time is over; then count."""
    last_answered_at = 0.0
    async with on.rows() as rows:
        with contextlib.suppress(TimeoutError):  # what is missing then is counted
            async with asyncio.timeout(timeout_seconds):
                for each in said:
                    reply = await on.slack.reply(each, timeout_seconds=timeout_seconds)
                    last_answered_at = max(last_answered_at, reply.at)
                await on.slack.ask("settled", timeout_seconds=timeout_seconds)
                await rows.until(UNDER_WAY, 0, timeout_seconds=timeout_seconds)
        left = await rows.number(UNDER_WAY)
        found = await rows.all(
            "SELECT root FROM conversations JOIN runs ON conversation_id = conversations.id"
            " WHERE outcome = 'answered' AND root = ANY(%s)",
            [[each.ts for each in said]],
        )
    finished = {root for (root,) in found}
    state = await on.slack.state()
    replies = state.replies()
    counts = {each.ts: len(replies.get(each.ts, [])) for each in said}
    return Aftermath(
        asked=len(said),
        answered=sum(count > 0 and ts in finished for ts, count in counts.items()),
        last_answered_at=last_answered_at,
        twice=sum(max(0, count - 1) for count in counts.values()),
        left=left,
        lost_deliveries=len({a.id for a in state.acks if a.thread in counts} & set(state.lost)),
    )
