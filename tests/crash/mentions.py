"""Many people asking at once, and what they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.story.stage import CHANNEL

if TYPE_CHECKING:
    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.stage import Stage


async def mention(stage: Stage, text: str, *, by: str = "ben") -> Message:
    """One mention in a thread of its own."""
    return await stage.slack.say(CHANNEL, by=by, text=f"<@{stage.slack.bot.id}> {text}")


async def mentions(stage: Stage, count: int, text: str) -> list[Message]:
    """As many mentions, each in a thread of its own."""
    return [await mention(stage, f"{number}: {text}") for number in range(count)]


async def answered(stage: Stage, asked: list[Message], *, timeout_seconds: float = 90) -> None:
    """Wait until every one of them has an answer.

    Raises:
        TimeoutError
    """
    slack = stage.slack
    await slack.until(
        lambda: all(slack.replies_to(message) for message in asked),
        timeout_seconds=timeout_seconds,
    )


def answers(stage: Stage, asked: list[Message]) -> list[list[str]]:
    """What the agent said in each of their threads."""
    return [[reply.text for reply in stage.slack.replies_to(message)] for message in asked]
