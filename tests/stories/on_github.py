"""The product with a GitHub App on a rig, and people who may do different things there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.testing.rigs.github.apps import GitHubApp, rig_key
from openloop.testing.rigs.github.webhooks import Webhooks
from openloop.testing.story.stage import REPOSITORY
from tests.stories.conftest import ROOT
from tests.stories.product import open_product

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from openloop.integrations.github.surface import GitHubSurface
    from openloop.testing.rigs.github.rows import Comment, Issue, Repository, Role, User
    from openloop.testing.rigs.github.state import GitHubState
    from tests.stories.product import Product

EXAMPLE = ROOT / "examples" / "github"
SECRET = "a-webhook-secret-of-the-story"
PEOPLE = {"priya": 4_100_001, "anna": 4_100_002, "ben": 4_100_003, "mallory": 4_100_099}
BOT = "openloop[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnGitHub:
    """The product, what delivers to it, and the repository that people speak in."""

    product: Product
    webhooks: Webhooks
    repository: Repository

    @property
    def state(self) -> GitHubState:
        return self.product.github.state

    def person(self, name: str) -> User:
        return self.state.users[name]

    def open_issue(self, body: str, *, by: str, title: str = "Uploads fail") -> Issue:
        return self.state.add_issue(self.repository, title, by=self.person(by), body=body)

    def comment(self, issue: Issue, body: str, *, by: str) -> Comment:
        return self.state.add_comment(issue, body, by=self.person(by))

    def ours(self, issue: Issue) -> list[Comment]:
        """What the App says in an issue now."""
        return [each for each in issue.comments if each.author.login == BOT]

    async def answered(self, issue: Issue, count: int = 1) -> Comment:
        """The newest comment of ours, once there are that many."""
        await self.product.github.until(lambda: len(self.ours(issue)) >= count)
        return self.ours(issue)[-1]


@asynccontextmanager
async def open_on_github(
    conninfo: str,
    *,
    home: Path,
    manifests: Path = EXAMPLE,
    scripts: Path = EXAMPLE / "scripts",
    repositories: Sequence[str] = (REPOSITORY,),
) -> AsyncGenerator[OnGitHub]:
    """All of it, with the example's manifests applied, or those of a folder.

    The App is installed for each owner: what may be written in a minute is counted by installation.
    """
    environ = {
        "GITHUB_TOKEN": "",
        "GITHUB_APP_ID": "1",
        "GITHUB_APP_PRIVATE_KEY": rig_key(),
        "GITHUB_WEBHOOK_SECRET": SECRET,
    }

    def prepare(state: GitHubState) -> None:
        for name, number in PEOPLE.items():
            state.users[name] = replace(state.add_user(name), id=number)
        roles: dict[str, Role] = {"priya": "admin", "anna": "write", "ben": "triage"}
        for repository in repositories:
            state.add_repository(repository, roles=roles)
        app = GitHubApp(
            state,
            permissions={each.name: each.level for each in PERMISSIONS},
            events=[each.name for each in EVENTS],
        )
        app.id = 1
        for owner in dict.fromkeys(each.split("/")[0] for each in repositories):
            app.install(owner)
        state.app = app

    async with open_product(
        conninfo,
        home=home,
        manifests=manifests,
        scripts=scripts,
        environ=environ,
        prepare=prepare,
    ) as product:
        surface: GitHubSurface = product.application.surfaces["github"]  # pyright: ignore[reportAssignmentType]
        await surface.identify()
        url = f"{product.url}/surfaces/github/events"
        async with Webhooks(product.github, secret=SECRET, url=url) as webhooks:
            yield OnGitHub(
                product=product,
                webhooks=webhooks,
                repository=product.github.state.repositories[repositories[0]],
            )
