"""The product in one process: the real API, worker and gateway, between rigs. For fast stories."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
import uvicorn
from yarl import URL

from openloop import app, settings
from openloop.models.gateway import GatewayConfig, open_gateway
from openloop.runtime.worker import Worker
from openloop.testing.story.stage import environ_for, open_rigs
from tests.stories.manifests import read_files

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from pathlib import Path

    from openloop.app import Application
    from openloop.domain.ids import WorkspaceId
    from openloop.testing.rigs.github import GitHubRig, GitHubState
    from openloop.testing.rigs.slack import SlackRig


Body = bytes | BytesIO | AsyncIterable[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API answered; `code` is that of a problem."""

    status: int
    body: Any
    is_problem: bool = False

    @property
    def code(self) -> str:
        """The stable code of a problem, or nothing."""
        return str(self.body["code"]) if self.is_problem else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Everything, and a client of the API with the owner's token."""

    slack: SlackRig
    github: GitHubRig
    application: Application
    workspace: WorkspaceId
    url: str
    token: str
    http: aiohttp.ClientSession

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any request, with exactly these headers."""
        async with self.http.request(
            method,
            URL(self.url + path, encoded=True),  # exactly this path, also a bad one
            json=json,
            data=body,
            headers=dict(headers or {}),
        ) as response:
            is_json = "json" in response.content_type
            return Answer(
                status=response.status,
                body=await response.json() if is_json else await response.text(),
                is_problem=response.content_type == "application/problem+json",
            )

    async def api(self, method: str, path: str, json: object = None) -> Answer:
        """A request of the owner."""
        return await self.send(
            method, path, json=json, headers={"Authorization": f"Bearer {self.token}"}
        )

    async def audit(self, kind: str) -> list[dict[str, Any]]:
        """The audit events of a kind, newest first."""
        answer = await self.api("GET", f"/api/v1/audit?limit=200&kind={kind}")
        return answer.body["items"]


@asynccontextmanager
async def open_product(
    conninfo: str,
    *,
    home: Path,
    manifests: Path,
    scripts: Path,
    environ: Mapping[str, str] | None = None,
    prepare: Callable[[GitHubState], None] | None = None,
) -> AsyncGenerator[Product]:
    """All of it, ready, with the manifests of a folder applied.

    `environ` is set beside what points at the rigs; `prepare` sets the fake GitHub up before that.
    """
    async with open_rigs(time_scale=0.001) as (slack, github):
        if prepare is not None:
            prepare(github.state)
        settled = environ_for(slack, github, scripts=scripts) | {
            "OPENLOOP_HOME": str(home),
            "DATABASE_URL": conninfo,
        }
        loaded = settings.load(settled | dict(environ or {}))
        gateway = GatewayConfig(
            environ={}, socket_path=loaded.gateway_socket, scripts=loaded.scripts
        )
        async with open_gateway(gateway), app.build(loaded) as application:
            token = await app.first_token(application)
            assert token is not None
            await app.apply_files(application, read_files(manifests))
            async with _serving(application) as url, _working(application):
                slack.deliver_to = f"{url}/surfaces/slack/events"
                async with aiohttp.ClientSession() as http:
                    yield Product(
                        slack=slack,
                        github=github,
                        application=application,
                        workspace=await app.home_workspace(application),
                        url=url,
                        token=token,
                        http=http,
                    )


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals of the test runner alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def _serving(application: Application) -> AsyncGenerator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(
        app.create_api(application), http="httptools", ws="none", log_config=None, access_log=False
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


@asynccontextmanager
async def _working(application: Application) -> AsyncGenerator[None]:
    worker = Worker(application.kit)
    working = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await working
