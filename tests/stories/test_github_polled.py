"""GitHub without inbound traffic: nothing reaches the machine, and people are answered all the same."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.cli.processes.listening import keep_receiving
from openloop.integrations.github import deliveries
from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.integrations.github.watching import Watching
from openloop.testing.rigs.github.apps import GitHubApp, rig_key
from openloop.testing.rigs.github.payloads import payload_of
from openloop.testing.story.stage import REPOSITORY
from tests.stories.on_github import BOT, EXAMPLE, PEOPLE
from tests.stories.product import open_product

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.rows import Comment, Issue
    from openloop.testing.rigs.github.state import GitHubState
    from tests.stories.product import Product

LIST = "GET /app/hook/deliveries"
COMMENTS = "GET /repos/{owner}/{repo}/issues/comments"
LONG = "\N{FIRE}" * 65_000


def prepare(state: GitHubState) -> None:
    """An App that is installed, whose every delivery fails."""
    for name, number in PEOPLE.items():
        state.users[name] = replace(state.add_user(name), id=number)
    state.add_repository(REPOSITORY, roles={"priya": "admin", "anna": "write", "ben": "triage"})
    app = GitHubApp(
        state,
        permissions={each.name: each.level for each in PERMISSIONS},
        events=[each.name for each in EVENTS],
    )
    app.id = 1
    app.install("acme")
    state.app = app

    def deliver(happened: Happened) -> None:
        app.deliver(happened.event, payload_of(happened, "https://api.github.test"))

    state.watchers.append(deliver)


@asynccontextmanager
async def open_polled(conninfo: str, home: Path, **environ: str) -> AsyncGenerator[Product]:
    """The product with the App, and what `serve` does beside answering requests."""
    settled = {
        "GITHUB_TOKEN": "",
        "GITHUB_APP_ID": "1",
        "GITHUB_APP_PRIVATE_KEY": rig_key(),
        **environ,
    }
    async with open_product(
        conninfo,
        home=home,
        manifests=EXAMPLE,
        scripts=EXAMPLE / "scripts",
        environ=settled,
        prepare=prepare,
    ) as product:
        surface = product.application.surfaces["github"]
        receiving = asyncio.create_task(keep_receiving(surface, product.application))
        await product.github.until(lambda: product.github.made(LIST))
        yield product
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def ours(issue: Issue) -> list[Comment]:
    """What the App says there."""
    return [each for each in issue.comments if each.author.login == BOT]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"GITHUB_WEBHOOKS": "poll"}, id="polling alone"),
        pytest.param({"GITHUB_WEBHOOK_SECRET": "a-secret-of-the-story"}, id="webhooks that fail"),
    ],
)
async def test_a_mention_that_nobody_delivers_is_answered_once(
    conninfo: str, home: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.setattr(deliveries, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(deliveries, "MISSED_SECONDS", 0.1)
    async with open_polled(conninfo, home, **environ) as product:
        state = product.github.state
        repository, anna = state.repositories[REPOSITORY], state.users["anna"]
        issue = state.add_issue(repository, "Uploads fail", by=state.users["mallory"], body="Why?")
        state.add_comment(issue, "@openloop wake up", by=state.users["mallory"])  # may not
        state.add_comment(issue, "@openloop why does it fail?", by=anna)

        await product.github.until(lambda: ours(issue))

        assert "The upload test waits for two seconds" in ours(issue)[-1].body
        seen = len(product.github.made(LIST))
        await product.github.until(lambda: len(product.github.made(LIST)) > seen + 1)
        assert len(ours(issue)) == 1
        found = (await product.api("GET", "/api/v1/runs")).body["items"]
        assert sorted(run["state"] for run in found) == ["declined", "done"]


async def test_behind_a_strangers_long_comments_a_token_hears_who_may_ask(
    conninfo: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page of them is too large to be read at once, in the list of all and in the thread."""

    def pace(_: Watching, places: Sequence[object]) -> float:
        return 0.1 if places else 1.0

    monkeypatch.setattr(Watching, "pace", pace)

    def people(state: GitHubState) -> None:
        for name, number in PEOPLE.items():
            state.users[name] = replace(state.add_user(name), id=number)
        state.add_repository(REPOSITORY, roles={"anna": "write", "openloop-bot": "write"})

    async with open_product(
        conninfo, home=home, manifests=EXAMPLE, scripts=EXAMPLE / "scripts", prepare=people
    ) as product:
        state = product.github.state
        issue = state.add_issue(
            state.repositories[REPOSITORY], "Uploads fail", by=state.users["mallory"]
        )
        surface = product.application.surfaces["github"]
        receiving = asyncio.create_task(keep_receiving(surface, product.application))
        await product.github.until(lambda: product.github.made(COMMENTS))
        for _ in range(20):
            state.add_comment(issue, LONG, by=state.users["mallory"])
        state.add_comment(issue, "@openloop-bot why does it fail?", by=state.users["anna"])

        def answers() -> list[Comment]:
            return [each for each in issue.comments if each.author.login == "openloop-bot"]

        await product.github.until(answers)

        assert "The upload test waits for two seconds" in answers()[-1].body
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
