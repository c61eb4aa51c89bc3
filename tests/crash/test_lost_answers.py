"""Effects whose answer is lost: at most one of each, or a person is asked what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.rigs.faults import DropAnswer, DropRequest, ServerError, Slow
from openloop.testing.story.checks import created_issues
from tests.crash.mentions import mention

if TYPE_CHECKING:
    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.stack]

CREATE = "POST /repos/{owner}/{repo}/issues"
LIST = "GET /repos/{owner}/{repo}/issues"


async def test_effects_happen_once_or_a_person_is_asked(stage: Stage) -> None:
    """One product for all of these, since its start is most of their time."""
    await an_answer_lost_after_the_commit_is_found(stage)
    await a_worker_killed_during_the_effect_finds_it(stage)
    await what_cannot_be_found_is_asked_and_happened(stage)
    await what_cannot_be_found_is_asked_and_tried_again(stage)
    await stage.stack.stop()
    assert titles(stage) == ["Lost", "Killed", "Happened", "Again"]


async def an_answer_lost_after_the_commit_is_found(stage: Stage) -> None:
    stage.github.faults.fail(CREATE, with_=DropAnswer())
    request = await approved(stage, "Lost")
    done = await stage.slack.reply_to(request, count=2)
    assert "The issue is there." in done.text
    assert titles(stage) == ["Lost"]


async def a_worker_killed_during_the_effect_finds_it(stage: Stage) -> None:
    stage.github.faults.fail(CREATE, with_=Slow(seconds=30))
    request = await approved(stage, "Killed")
    slack, (card,) = stage.slack, stage.slack.replies_to(request)
    await stage.github.until(lambda: "Killed" in titles(stage))
    await slack.until(lambda: not slack.current(card).buttons)
    await stage.stack.kill("worker")
    done = await stage.slack.reply_to(request, count=2, timeout_seconds=60)
    assert "The issue is there." in done.text
    assert titles(stage) == ["Lost", "Killed"]


async def what_cannot_be_found_is_asked_and_happened(stage: Stage) -> None:
    stage.github.faults.fail(CREATE, with_=DropAnswer())
    request = await approved(stage, "Happened", nothing_is_found=True)
    asked = await the_question(stage, request)
    await stage.slack.click(asked, action_id="happened", by="anna")
    done = await stage.slack.reply_to(request, count=3)
    assert "The issue is there." in done.text
    assert titles(stage)[2:] == ["Happened"]
    stage.github.faults.clear()


async def what_cannot_be_found_is_asked_and_tried_again(stage: Stage) -> None:
    stage.github.faults.fail(CREATE, with_=DropRequest())
    request = await approved(stage, "Again", nothing_is_found=True)
    asked = await the_question(stage, request)
    assert "Again" not in titles(stage)
    stage.github.faults.clear()
    for who in ("ben", "mallory", "anna", "anna", "priya"):
        await stage.slack.click(asked, action_id="retry", by=who)
    done = await stage.slack.reply_to(request, count=3)
    assert "The issue is there." in done.text
    assert titles(stage)[3:] == ["Again"]


async def approved(stage: Stage, title: str, *, nothing_is_found: bool = False) -> Message:
    """A request for an issue whose card Anna has approved."""
    if nothing_is_found:
        stage.github.faults.fail(LIST, with_=ServerError(status=502), times=None)
    request = await mention(stage, f"open an issue called {title}")
    card = await stage.slack.reply_to(request)
    await stage.slack.click(card, action_id="approve", by="anna")
    return request


async def the_question(stage: Stage, request: Message) -> Message:
    """The card that asks what is true; the one that was approved has no buttons any more."""
    slack = stage.slack
    asked = await slack.reply_to(request, count=2, timeout_seconds=60)
    assert "Did this happen?" in asked.words
    assert [(button.action_id, button.label) for button in asked.buttons] == [
        ("happened", "It happened"),
        ("retry", "Try again"),
    ]
    first = slack.replies_to(request)[0]
    await slack.until(lambda: not slack.current(first).buttons)
    (waiting,) = (await stage.stack.get("/api/v1/approvals", state="unknown"))["items"]
    assert waiting["state"] == "unknown"
    return asked


def titles(stage: Stage) -> list[str]:
    """The issues there are, in the order in which they were opened."""
    return [issue.title for issue in created_issues(stage)]
