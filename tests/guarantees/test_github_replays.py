"""One delivery of GitHub, a thousand times and through four servers at once, is one run.

Whoever has a delivery can send it again: its signature covers the body, and not the id beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest

from openloop.api.application import create_api
from openloop.domain.surface import Delivery
from openloop.integrations.github.actors import Identity
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.settings import AppSettings, GitHubSettings
from openloop.integrations.github.surface import GitHubSurface
from openloop.storage import agents, conversations, deliveries
from openloop.storage.database import Database
from openloop.testing.contracts.github import BotToken
from openloop.testing.rigs.github import GitHubState
from openloop.testing.rigs.github.payloads import payload_of
from openloop.testing.rigs.github.webhooks import signed
from tests.api.conftest import HOST, make_kit
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from openloop.domain.surface import Inbound
    from openloop.storage.database import Transaction
    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.webhooks import Attempt
    from tests.make import Stage

SECRET = "a-webhook-secret-of-the-replays"  # opens nothing
API_URL = "https://api.github.com"  # nobody asks it anything here
BOT = "openloop[bot]"
SERVERS = 4
TIMES = 1000
AT_ONCE = 20


class _Undone(Exception):
    """Ends a transaction without a trace."""


def said() -> Attempt:
    """Somebody mentions the agent, as GitHub delivers that."""
    state, heard = GitHubState(), list["Happened"]()
    anna = state.add_user("anna")
    issue = state.add_issue(state.add_repository("acme/platform"), "It fails", by=anna)
    state.watchers.append(heard.append)
    state.add_comment(issue, "@openloop why?", by=anna)
    (happened,) = heard
    return signed(happened.event, orjson.dumps(payload_of(happened, API_URL)), SECRET)


def surface_of_a_server() -> GitHubSurface:
    settings = GitHubSettings(
        app=AppSettings(id="1", private_key=""), webhooks="http", webhook_secret=SECRET
    )
    surface = GitHubSurface(settings, GitHubClient(API_URL, BotToken("ghs_unused")))
    surface.know(Identity(id=990_001, login=BOT, is_app=True))
    return surface


@asynccontextmanager
async def server(conninfo: str) -> AsyncGenerator[httpx.AsyncClient]:
    """What one process would have: a pool, a memory of what it took, and a surface, all its own."""
    database, surface = Database(conninfo, size=4, name="openloop-replays"), surface_of_a_server()
    await database.open()
    kit = make_kit(database, surfaces={"github": surface})
    transport = httpx.ASGITransport(create_api(kit))
    try:
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
            yield http
    finally:
        await kit.models.aclose()
        await surface.aclose()
        await database.close()


@pytest.fixture
async def servers(conninfo: str, bound: Stage) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(server(conninfo)) for _ in range(SERVERS)]


@pytest.fixture
async def bound(stage: Stage) -> Stage:
    """A workspace whose agent answers in acme/platform."""
    place = decoded(said()).thread.place
    async with stage.database.directory() as tx:
        await deliveries.install(tx, "github", place.tenant, stage.workspace)
    async with stage.tx() as tx:
        [agent] = await agents.list_agents(tx)
        await conversations.bind(
            tx, stage.workspace, place, name=place.container, agent_id=agent.id
        )
    return stage


@asynccontextmanager
async def half_taken(stage: Stage, attempt: Attempt) -> AsyncGenerator[Transaction]:
    """Somebody is just taking it in, and dies in the end: of all that wait then, one is the first."""
    event = decoded(attempt)
    with contextlib.suppress(_Undone):
        async with stage.tx() as tx:
            await conversations.take_keys(
                tx,
                stage.workspace,
                event.thread,
                delivery_key=event.delivery_key,
                subject_key=event.subject_key,
            )
            yield tx
            raise _Undone


async def deliver(http: httpx.AsyncClient, attempts: Sequence[Attempt]) -> list[int]:
    """Deliver to one server, some at a time; what it answered."""
    crowd = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Attempt) -> int:
        async with crowd:
            answer = await http.post(
                "/surfaces/github/events", content=attempt.body, headers=attempt.headers
            )
        return answer.status_code

    return await asyncio.gather(*map(one, attempts))


@pytest.mark.parametrize("has_ids_of_its_own", [False, True], ids=["one id", "ids of their own"])
async def test_a_thousand_of_one_delivery_through_four_servers_are_one_run(
    bound: Stage, conninfo: str, servers: Sequence[httpx.AsyncClient], *, has_ids_of_its_own: bool
) -> None:
    first = said()
    every = [
        signed(first.event, first.body, SECRET, guid="" if has_ids_of_its_own else first.guid)
        for _ in range(TIMES)
    ]
    shares = [every[at::SERVERS] for at in range(SERVERS)]
    async with half_taken(bound, first) as tx:
        delivering = [
            asyncio.create_task(deliver(http, share))
            for http, share in zip(servers, shares, strict=True)
        ]
        await until_someone_waits_for(tx, waiters=SERVERS)
    answers = [status for answered in await asyncio.gather(*delivering) for status in answered]

    assert answers == [200] * TIMES
    assert await taken(bound) == (1, 1, 1)

    async with server(conninfo) as begun_later:
        assert await deliver(begun_later, every[:AT_ONCE]) == [200] * AT_ONCE
    assert await taken(bound) == (1, 1, 1)


async def taken(stage: Stage) -> tuple[int, int, int]:
    """Conversations, messages and runs."""
    tables = ("conversations", "messages", "runs")
    threads, said_there, runs = [await stage.count(table) for table in tables]
    return threads, said_there, runs


def decoded(attempt: Attempt) -> Inbound:
    delivery = Delivery(
        headers={name.lower(): value for name, value in attempt.headers.items()},
        body=attempt.body,
        received_at=datetime.now(UTC),
        transport="http",
    )
    (event,) = surface_of_a_server().accept(delivery).events
    return event
