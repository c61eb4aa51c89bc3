"""What people do in the story, and what they wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from openloop.testing.story.stage import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.stage import Stage
    from openloop.testing.story.transcript import Transcript

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
ASK = "<@U0BOT> summarize this thread and open an issue for what we decided"
LATER = "<@U0BOT> what did we decide about the database?"


class NotSeen(Exception):
    """Something that had to happen was not seen in time; the sentence says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was seen while the story was played, as it was at that moment."""

    root: Message
    request: Message
    card: Message
    issues_before_approval: int
    clicks: dict[str, int | None]
    answer: Message
    question: Message
    recalled: Message


async def play(stage: Stage, transcript: Transcript) -> Played:
    """Play all of it.

    Raises:
        NotSeen
    """
    slack, github = stage.slack, stage.github
    if not await slack.verify_url():
        raise NotSeen("the product answers Slack's signed challenge")
    transcript.title(f"In Slack, {CHANNEL}")
    root = await slack.say(
        CHANNEL,
        by="anna",
        text="I compared Postgres 15 and 16 on a copy of our data: with 16 the nightly vacuum takes "
        "40 minutes instead of 3 hours.",
    )
    await slack.say(
        CHANNEL,
        by="ben",
        text="The drivers we use are fine with 16. Let's move the platform database, but after the "
        "release on Friday.",
        thread=root,
    )
    await slack.say(CHANNEL, by="anna", text="Agreed: 16, after Friday.", thread=root)
    request = await slack.say(CHANNEL, by="ben", text=ASK, thread=root)
    transcript.tell(CHANNEL)
    first = await _seen(
        stage,
        lambda: next(iter(slack.replies_to(root)), None),
        "the agent answers the mention",
    )
    if "approve" not in {button.action_id for button in first.buttons}:
        raise NotSeen("the issue is held: the first thing the agent posts is an approval card")
    transcript.tell(CHANNEL)
    clicks = {name: await _press(stage, transcript, first, by=name) for name in ("mallory", "ben")}
    before = len(github.made("POST /repos/{owner}/{repo}/issues"))
    clicks["anna"] = await _press(stage, transcript, first, by="anna")
    answer = await _seen(
        stage,
        lambda: next((m for m in slack.replies_to(root) if m.ts != first.ts), None),
        "the agent reports what it did",
    )
    await _seen(stage, lambda: not slack.current(first).buttons, "the card loses its buttons")
    transcript.tell(CHANNEL)
    transcript.title("Later, in a new thread")
    question = await slack.say(CHANNEL, by="ben", text=LATER)
    recalled = await _seen(
        stage,
        lambda: next(iter(slack.replies_to(question)), None),
        "the agent answers in the new thread",
    )
    transcript.tell(CHANNEL)
    return Played(
        root=root,
        request=request,
        card=first,
        issues_before_approval=before,
        clicks=clicks,
        answer=answer,
        question=question,
        recalled=recalled,
    )


async def _press(stage: Stage, transcript: Transcript, card: Message, *, by: str) -> int | None:
    """Press Approve; whoever may not is told so in private, and that is waited for."""
    slack = stage.slack
    person = slack.people.get(by).id
    transcript.act(f"{by} clicks [Approve]")
    status = await slack.click(card, action_id="approve", by=by)
    if by != "anna":
        await _seen(
            stage,
            lambda: any(shown.user == person for shown in slack.ephemerals),
            f"{by} is told in private that the click does not count",
        )
        transcript.tell(CHANNEL)
    return status


async def _seen(stage: Stage, predicate: Callable[[], T | None], what: str) -> T:
    try:
        found = await stage.slack.until(predicate, timeout_seconds=PATIENCE_SECONDS)
    except TimeoutError:
        raise NotSeen(what) from None
    assert found is not None
    return found
