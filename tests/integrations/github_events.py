"""A GitHub in which things happen, and somebody who reads its lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from openloop.integrations.github.actors import host_of, place_of
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.clients import client_of
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.integrations.github.settings import AppSettings, GitHubSettings
from openloop.integrations.github.surface import GitHubSurface
from openloop.plugin import BoundPlace
from openloop.storage import agents, conversations, deliveries
from openloop.testing.rigs.github import GitHubRig, GitHubState
from openloop.testing.rigs.github.apps import GitHubApp, rig_key
from openloop.testing.rigs.github.payloads import payload_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.bookmark import Gap
    from openloop.domain.surface import Accepted, Inbound, Place
    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.state import Issue, Repository
    from tests.make import Stage

TOKEN = "ghp_watching_0123456789"
REPO = "acme/platform"


class Clock:
    """GitHub's clock, put back while things happen that are to have happened earlier."""

    def __init__(self) -> None:
        self.behind = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.behind


@dataclass
class Inbox:
    """What was handed in; `fails` are the errors of the next deliveries, one each."""

    events: list[Inbound] = field(default_factory=list["Inbound"])
    fails: list[BaseException] = field(default_factory=list[BaseException])

    async def __call__(self, accepted: Accepted) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.events += accepted.events

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]


@dataclass
class Paper:
    """A bookmark that is no row."""

    read: Mapping[str, object] | None = None
    gaps: list[Gap] = field(default_factory=list["Gap"])
    kept: int = 0

    async def keep(self, read: Mapping[str, object], *, gap: Gap | None = None) -> None:
        self.read = read
        self.kept += 1
        self.gaps += [gap] if gap is not None else []


class World:
    """The fake, a repository in it, and our two ways of looking at it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.rig = GitHubRig(token=TOKEN, state=GitHubState(self.clock))
        self.state = self.rig.state
        self.repository: Repository = self.state.add_repository(REPO)
        self.anna = self.state.add_user("anna")
        self.app = GitHubApp(
            self.state,
            permissions={each.name: each.level for each in PERMISSIONS},
            events=[each.name for each in EVENTS],
        )
        self.state.app = self.app
        self.app.install("acme")
        self.status_code = 502
        self.state.watchers.append(self._deliver)
        self.issue: Issue = self.state.add_issue(self.repository, "It is broken", by=self.anna)
        self.app.deliveries.clear()
        self.client: GitHubClient

    def _deliver(self, happened: Happened) -> None:
        payload = payload_of(happened, "https://api.github.test")
        self.app.deliver(happened.event, payload, status_code=self.status_code)

    @property
    def as_app(self) -> GitHubSettings:
        return GitHubSettings(
            app=AppSettings(id=str(self.app.id), private_key=rig_key()), api_url=self.rig.api_url
        )

    @property
    def as_person(self) -> GitHubSettings:
        return GitHubSettings(token=TOKEN, api_url=self.rig.api_url)

    @property
    def place(self) -> Place:
        return place_of(RepoName.parse(REPO), host=host_of(self.rig.api_url))

    @property
    def places(self) -> list[BoundPlace]:
        return [BoundPlace(place=self.place, name=REPO)]

    def says(self, text: str, *, by: str = "anna") -> None:
        """Somebody comments on the issue."""
        self.state.add_comment(self.issue, text, by=self.state.add_user(by))

    async def surface(self, settings: GitHubSettings) -> GitHubSurface:
        """A surface that knows who it is."""
        self.client = client_of(settings)
        surface = GitHubSurface(settings, self.client)
        await surface.identify()
        return surface

    async def bind(self, stage: Stage) -> None:
        """Make the agent of a stage answer in the repository."""
        async with stage.database.directory() as tx:
            await deliveries.install(tx, "github", self.place.tenant, stage.workspace)
        async with stage.tx() as tx:
            [agent] = await agents.list_agents(tx)
            await conversations.bind(tx, stage.workspace, self.place, name=REPO, agent_id=agent.id)
