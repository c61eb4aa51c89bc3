"""The same agent on Slack and GitHub: people mention it in an issue, and it answers there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from openloop.testing.homes import temporary_home
from openloop.testing.story.stage import CHANNEL
from tests.conftest import emptied
from tests.stories.on_github import BOT, OnGitHub, open_on_github

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def github(own_database: tuple[str, str]) -> AsyncIterator[OnGitHub]:
    """One product for all of them: each speaks in an issue of its own."""
    with temporary_home("ol-") as home:
        async with open_on_github(emptied(own_database), home=home) as github:
            yield github


async def test_the_same_agent_answers_where_it_was_asked(github: OnGitHub) -> None:
    issue = github.open_issue("The upload test failed twice today.", by="mallory")
    asked = github.comment(issue, "@openloop why does it fail?", by="anna")

    answer = await github.answered(issue)

    assert "The upload test waits for two seconds" in answer.body
    assert [(each.author.login, each.content) for each in asked.reactions] == [(BOT, "eyes")]
    slack = github.product.slack
    said = await slack.say(CHANNEL, by="ben", text=f"<@{slack.bot.id}> why does it fail?")
    assert "The upload test waits for two seconds" in (await slack.reply_to(said)).words
    assert len(github.ours(issue)) == 1


async def test_an_issue_is_held_decided_by_a_comment_and_opened(github: OnGitHub) -> None:
    issue = github.open_issue("It fails.", by="mallory")
    before = len(github.repository.issues)
    github.comment(issue, "@openloop please open an issue", by="anna")
    card = await github.answered(issue)
    assert "**Title:** `test_upload is flaky`" in card.body
    token = re.findall(r"^/approve (\S+)$", card.body, re.MULTILINE)[0]

    github.comment(issue, f"/approve {token}", by="mallory")  # a stranger
    github.comment(issue, "/stop", by="mallory")
    github.comment(issue, f"/approve {token}", by="ben")  # may triage, and wake the agent
    own = github.comment(issue, f"/approve {token}", by="anna")  # who asked for it
    await github.product.github.until(lambda: [each.content for each in own.reactions] != [])
    assert [each.content for each in own.reactions] == ["confused"]
    assert len(github.repository.issues) == before

    github.comment(issue, f"> /approve {token}\n\n/approve {token}", by="priya")
    answer = await github.answered(issue, count=2)

    assert github.repository.issues[before + 1].title == "test_upload is flaky"
    assert f"acme/platform#{before + 1}" in answer.body
    assert "Done:" in card.body
    assert "/approve" not in card.body
    (vote,) = await github.product.audit("approval.approved")
    assert vote["actor"]["name"] == "priya"
    refused = [each["detail"]["code"] for each in await github.product.audit("click.refused")]
    assert sorted(refused) == ["no_right_in_place", "no_right_in_place", "own_request"]


async def test_a_stop_of_somebody_who_may_wake_it_stops_the_run(github: OnGitHub) -> None:
    issue = github.open_issue("It fails.", by="mallory")
    github.comment(issue, "@openloop please open an issue", by="anna")
    card = await github.answered(issue)

    github.comment(issue, "/stop", by="ben")
    said = await github.answered(issue, count=2)

    assert "Stopped, as ben asked" in said.body
    assert "Withdrawn" in card.body
    assert max(github.repository.issues) == issue.number


async def test_where_no_agent_is_bound_and_no_code_is_taken_nobody_is_answered(
    github: OnGitHub,
) -> None:
    elsewhere = github.state.add_repository("acme/unbound", roles={"anna": "admin"})
    asked = [
        github.state.add_issue(elsewhere, "It fails", by=github.person(name), body="@openloop why?")
        for name in ("mallory", "anna")
    ]
    issue = github.open_issue("It fails.", by="mallory")
    linking = github.comment(issue, "@openloop link ABCDE-FGHJK", by="mallory")
    await github.webhooks.settled()
    last = github.open_issue("@openloop why?", by="anna")
    await github.answered(last)

    assert [(each.comments, each.reactions) for each in asked] == [([], [])] * 2
    assert (issue.comments, linking.reactions) == ([linking], [])
    assert await github.product.audit("place.unbound") == []
    assert await github.product.audit("identity.link_refused") == []
    assert {attempt.status for attempt in github.webhooks.attempts} == {200}
