"""`openloop workspaces` and `pause all`: what whoever has the machine does to all of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from openloop import app, settings
from openloop.actions import tokens
from openloop.cli.failures import Exit
from openloop.domain.ids import WorkspaceId
from openloop.domain.pause import PauseScope
from openloop.domain.principal import Right
from openloop.storage import audit, pauses

if TYPE_CHECKING:
    from openloop.domain.principal import Caller
    from tests.cli.conftest import OpenLoop


@pytest.fixture(autouse=True)
def _database(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("DATABASE_URL", conninfo)


def names(openloop: OpenLoop) -> dict[str, str]:
    items = openloop("workspaces", "list", "-o", "json").json["items"]
    return {row["name"]: row["id"] for row in items}


def paused(id: str) -> list[tuple[PauseScope, str]]:
    async def read() -> list[tuple[PauseScope, str]]:
        async with app.build(settings.load(), pool_size=2) as application:
            workspace = WorkspaceId(UUID(id))
            async with application.database.transaction(workspace) as tx:
                kinds = [event.kind for event in await audit.list_newest(tx, limit=50)]
                found = await pauses.list_current(tx)
            assert kinds.count("brake.paused") - kinds.count("brake.resumed") == len(found)
            return [(each.scope, each.reason) for each in found]

    return asyncio.run(read())


def caller_of(token: str) -> Caller | None:
    async def read() -> Caller | None:
        async with app.build(settings.load(), pool_size=2) as application:
            return await tokens.authenticate(application.database, token)

    return asyncio.run(read())


def test_a_workspace_is_made_once_with_a_token_that_owns_it_and_nothing_else(
    openloop: OpenLoop,
) -> None:
    made = openloop("workspaces", "create", "beta")
    assert (made.status, "beta" in names(openloop)) == (Exit.OK, True)
    caller = caller_of(made.out.strip())
    assert caller is not None
    assert str(caller.workspace) == names(openloop)["beta"]
    assert Right.TOKENS in caller.rights
    assert openloop("workspaces", "create", "beta").status == Exit.CONFLICT
    assert openloop("workspaces", "create", "No Name").status == Exit.INVALID


def test_the_first_workspace_stays_the_one_that_commands_mean(openloop: OpenLoop) -> None:
    before = caller_of(openloop("tokens", "create", "--local").out.strip())
    openloop("workspaces", "create", "aaa")
    made = openloop("tokens", "create", "--local", "--role", "viewer").out.strip()
    caller = caller_of(made)
    assert before is not None
    assert caller is not None
    assert caller.workspace == before.workspace != names(openloop)["aaa"]


def test_everything_is_paused_and_resumed_and_what_is_made_meanwhile_too(
    openloop: OpenLoop,
) -> None:
    openloop("workspaces", "create", "beta")
    before = len(names(openloop))
    ran = openloop("pause", "all", "--reason", "incident 4711")
    openloop("workspaces", "create", "gamma")

    assert (ran.status, f"({before})" in ran.err) == (Exit.OK, True)
    everything = (PauseScope.INSTALLATION, "incident 4711")
    assert [paused(id) for id in names(openloop).values()] == [[everything]] * (before + 1)

    assert f"({before + 1})" in openloop("resume", "all").err
    assert [paused(id) for id in names(openloop).values()] == [[]] * (before + 1)
