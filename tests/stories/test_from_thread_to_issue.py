"""From a discussion on Slack to an issue on GitHub, and on to a question that is answered there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.story.stage import CHANNEL
from tests.stories.on_github import OnGitHub, open_on_github
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def github(conninfo: str, home: Path) -> AsyncIterator[OnGitHub]:
    async with open_on_github(conninfo, home=home) as github:
        yield github


async def is_linked(github: OnGitHub) -> bool:
    return bool(await github.product.audit("conversation.linked"))


async def test_a_discussion_becomes_an_issue_in_which_the_agent_answers(github: OnGitHub) -> None:
    slack = github.product.slack
    opening = await slack.say(CHANNEL, by="anna", text="The upload test fails again on slow disks.")
    await slack.say(CHANNEL, by="ben", text="Let us wait for five seconds.", thread=opening)
    await slack.say(
        CHANNEL, by="ben", text=f"<@{slack.bot.id}> summarise and open an issue", thread=opening
    )

    card = await slack.until(
        lambda: next((m for m in slack.replies_to(opening) if m.buttons), None)
    )
    assert card is not None
    await slack.click(card, action_id="approve", by="anna")
    await github.product.github.until(lambda: len(github.repository.issues) == 1)
    issue = github.repository.issues[1]
    assert issue.title == "Wait longer for uploads"
    await until(lambda: is_linked(github))  # nobody reads an issue as fast as the machine goes on

    github.comment(issue, "@openloop why two seconds?", by="priya")
    answer = await github.answered(issue)

    assert "The upload test waits for two seconds" in answer.body
    assert "slow disks" not in answer.body
    told = await slack.until(
        lambda: next((m for m in slack.replies_to(opening) if "There is an answer" in m.text), None)
    )
    assert told is not None
    assert f"/issues/{issue.number}" in told.text
    assert len(await github.product.audit("conversation.linked")) == 1
