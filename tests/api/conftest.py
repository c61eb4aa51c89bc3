"""The API over the real database, called in process, by somebody of every role."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from openloop.actions import apply, tokens
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.api.application import create_api
from openloop.api.kit import ApiKit, Pace
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Unavailable
from openloop.domain.principal import Role
from openloop.integrations.console.surface import ConsoleSurface
from openloop.models.client import GatewayClient
from openloop.runtime import gate
from openloop.runtime.builtin.memory import memory_toolset
from openloop.storage.database import Database
from openloop.tools.registry import Registry
from tests import manifests as manifests_of_tests
from tests.actions.keeping import Keys
from tests.api.fakes import HelloSurface
from tests.runtime.fakes import FakeSurface, FakeTracker
from tests.staging import clock as clock
from tests.staging import stage as stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from fastapi import FastAPI

    from openloop.domain.approval import Approval
    from openloop.domain.ids import WorkspaceId
    from openloop.plugin import Surface
    from tests.make import Stage

HOST = "127.0.0.1:8000"


async def nobody_edits(*_: Any, **__: Any) -> Approval:
    """There is no gate beside this API: what edits need is tested in tests/actions."""
    raise Unavailable("No gate is running beside this API")


async def nothing_else() -> Mapping[str, str | None]:
    return {"worker": None}


def make_kit(database: Database, **changes: Any) -> ApiKit:
    """A kit over the real database, with the console and a surface that says hello."""
    configuration = Configuration({"slack": FakeSurface()})
    surfaces: dict[str, Surface] = {"console": ConsoleSurface(), "hello": HelloSurface()}
    given: dict[str, Any] = {
        "database": database,
        "configuration": configuration,
        "intake": Intake(database, configuration),
        "surfaces": surfaces,
        "world": manifests_of_tests.EverythingIsThere(),
        "look_at": partial(gate.looked_at, Registry((FakeTracker().toolset(), memory_toolset()))),
        "models": GatewayClient(Path("/nonexistent/gateway.sock")),
        "edit": nobody_edits,
        "ready_checks": nothing_else,
        "master_keys": Keys(),
        "pace": Pace(poll_seconds=0.02),
        **changes,
    }
    return ApiKit(**given)


@dataclass
class Api:
    """The API of one test, and a token of every role."""

    app: FastAPI
    http: httpx.AsyncClient
    tokens: dict[str, str]

    async def call(
        self, method: str, path: str, *, by: str | None = "owner", **details: Any
    ) -> httpx.Response:
        """Send a request, as somebody of a role or (None) without a token."""
        headers = dict(details.pop("headers", {}))
        if by is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(by, by)}"
        return await self.http.request(method, path, headers=headers, **details)

    async def get(self, path: str, **details: Any) -> httpx.Response:
        return await self.call("GET", path, **details)

    async def post(self, path: str, content: object = None, **details: Any) -> httpx.Response:
        """Send JSON."""
        return await self.call("POST", path, json={} if content is None else content, **details)

    async def delete(self, path: str, **details: Any) -> httpx.Response:
        return await self.call("DELETE", path, **details)


@asynccontextmanager
async def open_api(
    database: Database, workspace: WorkspaceId, **changes: Any
) -> AsyncGenerator[Api]:
    """An API for one workspace, with a token of every role in it."""
    kit = make_kit(database, **changes)
    app = create_api(kit)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
    ) as http:
        yield Api(app=app, http=http, tokens=await make_tokens(database, workspace))
    await kit.models.aclose()


async def make_tokens(database: Database, workspace: WorkspaceId) -> dict[str, str]:
    """A token of every role, each of a service named after it."""
    return {
        role: await tokens.create(
            database, workspace, principal=f"{role}-robot", role=role, name="test", by=SYSTEM
        )
        for role in Role
    }


async def person_token(
    database: Database, workspace: WorkspaceId, name: str, role: Role = Role.OPERATOR
) -> str:
    """A token of a person of the Workspace manifest."""
    return await tokens.create(
        database, workspace, principal=name, role=role, name="test", by=SYSTEM
    )


@pytest.fixture
async def api(database: Database, stage: Stage) -> AsyncIterator[Api]:
    """The API of the stage's workspace."""
    async with open_api(database, stage.workspace) as api:
        yield api


@pytest.fixture
async def empty(database: Database) -> AsyncIterator[Api]:
    """The API of a workspace that has no manifest yet."""
    workspace = await apply.ensure_workspace(database, "default")
    async with open_api(database, workspace) as api:
        yield api


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document; no database is needed for it."""
    return create_api(make_kit(Database("postgresql:///nowhere"))).openapi()
