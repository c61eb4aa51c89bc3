"""A fake GitHub with a surface on it, as an App's bot or under a person's token."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from openloop.domain.surface import Place, Thread
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.settings import AppSettings, GitHubSettings
from openloop.integrations.github.surface import GitHubSurface
from openloop.testing.contracts.github import BotToken, write_as_bot
from openloop.testing.rigs.github import GitHubRig

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from openloop.testing.rigs.github.rows import Issue, Level

TOKEN = "ghs_4815162342"
BOT = "openloop[bot]"
EVERYTHING: dict[str, Level] = {
    "metadata": "read",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
}


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    """acme/platform, to which anna may write."""
    async with GitHubRig(token=TOKEN, login=BOT) as rig:
        write_as_bot(rig)
        rig.state.tokens[TOKEN].permissions = EVERYTHING
        rig.state.add_repository(
            "acme/platform", private=True, roles={"anna": "write", "ben": "triage", BOT: "write"}
        )
        yield rig


@asynccontextmanager
async def surface_on(
    rig: GitHubRig, *, is_app: bool = True, progress_seconds: float = 15.0, public_url: str = ""
) -> AsyncGenerator[GitHubSurface]:
    """The surface, connected to a rig."""
    settings = GitHubSettings(
        app=AppSettings(id="1", private_key="") if is_app else None,
        token=None if is_app else TOKEN,
        api_url=rig.api_url,
        public_url=public_url,
    )
    credentials = BotToken(TOKEN) if is_app else PersonalToken(TOKEN)
    client = GitHubClient(rig.api_url, credentials, total_seconds=2.0)
    surface = GitHubSurface(settings, client, progress_seconds=progress_seconds)
    try:
        yield surface
    finally:
        await surface.aclose()


@pytest.fixture
async def surface(rig: GitHubRig) -> AsyncIterator[GitHubSurface]:
    async with surface_on(rig) as surface:
        yield surface


def thread_of(issue: Issue, more: str = "") -> Thread:
    place = Place(surface="github", tenant="127.0.0.1", container="acme/platform")
    return Thread(place=place, root=f"{issue.number}{more}")


@pytest.fixture
def issue(rig: GitHubRig) -> Issue:
    repository = rig.state.repositories["acme/platform"]
    return rig.state.add_issue(repository, "It fails", by=rig.state.add_user("anna"))


@pytest.fixture
def pull(rig: GitHubRig) -> Issue:
    repository = rig.state.repositories["acme/platform"]
    anna = rig.state.add_user("anna")
    for branch in ("main", "fix"):
        rig.state.commits.add(repository, branch, by=anna, branch=branch, files={"a.py": branch})
    return rig.state.add_pull(repository, "Fix", by=anna, head="fix")
