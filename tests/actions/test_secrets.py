"""Stored secrets: nobody reads one but by name, and with the master key; swapped rows do not open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.actions import apply, secrets
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import NotFound
from openloop.domain.sealed_secret import MasterKey
from openloop.domain.secret import SecretRefused
from openloop.storage import audit
from openloop.storage import secrets as rows
from tests.actions.keeping import Keys
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

VALUE = "xoxb-the-canary-of-this-test"


async def keep(
    database: Database,
    workspace: WorkspaceId,
    keys: Keys,
    *,
    name: str = "slack",
    value: str = VALUE,
) -> int:
    return await secrets.set_secret(database, workspace, name, value, keys=keys, by=SYSTEM)


async def read(
    database: Database, workspace: WorkspaceId, keys: Keys, name: str = "slack"
) -> tuple[str | None, str | None]:
    """The value, and the problem."""
    values, problems = await secrets.read_secrets(database, workspace, [name], keys=keys)
    return values.get(name), problems.get(name)


async def kinds(database: Database, workspace: WorkspaceId) -> list[str]:
    async with database.transaction(workspace) as tx:
        return [each.kind for each in await audit.list_newest(tx, limit=10, kind="secret.")]


async def test_a_secret_is_read_back_by_its_name(
    database: Database, workspace: WorkspaceId
) -> None:
    keys = Keys()
    assert await keep(database, workspace, keys) == 1
    assert await keep(database, workspace, keys, value="another one") == 2
    assert await read(database, workspace, keys) == ("another one", None)
    assert await kinds(database, workspace) == ["secret.set", "secret.set"]


async def test_the_value_is_in_no_table_and_in_no_audit_event(
    database: Database, workspace: WorkspaceId, superuser: str
) -> None:
    await keep(database, workspace, Keys())
    async with await psycopg.AsyncConnection.connect(superuser) as connection:
        found = await connection.execute("SELECT secrets::text FROM openloop.secrets")
        [(row,)] = await found.fetchall()
        found = await connection.execute("SELECT audit_events::text FROM openloop.audit_events")
        events = await found.fetchall()
    assert "slack" in row
    for text in (row, *(event for (event,) in events)):
        assert VALUE not in text
        assert VALUE.encode().hex() not in text


async def test_a_deleted_secret_is_gone(database: Database, workspace: WorkspaceId) -> None:
    keys = Keys()
    await keep(database, workspace, keys)
    await secrets.delete_secret(database, workspace, "slack", by=SYSTEM)
    value, problem = await read(database, workspace, keys)
    assert value is None
    assert problem == "there is no stored secret 'slack': openloop secrets set slack"
    with pytest.raises(NotFound):
        await secrets.delete_secret(database, workspace, "slack", by=SYSTEM)
    assert await kinds(database, workspace) == ["secret.deleted", "secret.set"]


@pytest.mark.parametrize("name", ["", "Slack", "a b", "../x", "a/b", "-a", "a" * 64, "a|b", "ä"])
async def test_a_name_that_could_be_misread_is_refused(
    database: Database, workspace: WorkspaceId, name: str
) -> None:
    with pytest.raises(SecretRefused):
        await keep(database, workspace, Keys(), name=name)


@pytest.mark.parametrize("value", ["", "a\0b", "a" * 65537])
async def test_a_value_that_nobody_takes_is_refused(
    database: Database, workspace: WorkspaceId, value: str
) -> None:
    with pytest.raises(SecretRefused):
        await keep(database, workspace, Keys(), value=value)


@pytest.mark.parametrize(
    "swap",
    [
        "UPDATE openloop.secrets SET sealed_value = (SELECT sealed_value FROM openloop.secrets "
        "WHERE name = 'github'), wrapped_key = (SELECT wrapped_key FROM openloop.secrets WHERE "
        "name = 'github') WHERE name = 'slack'",
        "DELETE FROM openloop.secrets WHERE name = 'slack'; "
        "UPDATE openloop.secrets SET name = 'slack' WHERE name = 'github'",
        "UPDATE openloop.secrets SET version = 2 WHERE name = 'slack'",
        "UPDATE openloop.secrets SET sealed_value = set_byte(sealed_value, 20, "
        "get_byte(sealed_value, 20) # 1) WHERE name = 'slack'",
        "UPDATE openloop.secrets SET wrapped_key = set_byte(wrapped_key, 20, "
        "get_byte(wrapped_key, 20) # 1) WHERE name = 'slack'",
        "UPDATE openloop.secrets SET sealed_value = '' WHERE name = 'slack'",
    ],
)
async def test_a_row_that_was_swapped_or_changed_does_not_open(
    database: Database, workspace: WorkspaceId, superuser: str, swap: str
) -> None:
    keys = Keys()
    await keep(database, workspace, keys)
    await keep(database, workspace, keys, name="github", value="another secret")
    async with await psycopg.AsyncConnection.connect(superuser) as connection:
        await connection.execute(swap)  # pyright: ignore[reportArgumentType, reportCallIssue]
    value, problem = await read(database, workspace, keys)
    assert value is None
    assert problem is not None
    assert "does not open" in problem


async def test_a_row_of_another_workspace_does_not_open(
    database: Database, workspace: WorkspaceId, superuser: str
) -> None:
    keys = Keys()
    other = await apply.ensure_workspace(database, "other")
    await keep(database, workspace, keys)
    async with await psycopg.AsyncConnection.connect(superuser) as connection:
        await connection.execute("UPDATE openloop.secrets SET workspace_id = %s", (other,))
    value, problem = await read(database, other, keys)
    assert (value, "does not open" in str(problem)) == (None, True)


async def test_without_its_master_key_a_secret_cannot_be_read(
    database: Database, workspace: WorkspaceId
) -> None:
    keys = Keys()
    await keep(database, workspace, keys)
    value, problem = await read(database, workspace, Keys())
    assert value is None
    assert problem is not None
    assert f"wrapped by the master key {keys.newest().id}" in problem


async def test_a_rotation_wraps_every_secret_of_every_workspace_by_the_new_key(
    database: Database, workspace: WorkspaceId
) -> None:
    keys, other = Keys(), await apply.ensure_workspace(database, "other")
    await keep(database, workspace, keys)
    await keep(database, other, keys, value="of another workspace")
    keys.keys.append(MasterKey.new())

    assert await secrets.rewrap_all(database, keys=keys, by=SYSTEM) == 2

    only_new = Keys([keys.newest()])
    assert await read(database, workspace, only_new) == (VALUE, None)
    assert await read(database, other, only_new) == ("of another workspace", None)
    assert await secrets.rewrap_all(database, keys=only_new, by=SYSTEM) == 0
    assert await kinds(database, workspace) == ["secret.rewrapped", "secret.set"]


async def test_a_rotation_that_misses_a_key_changes_nothing_of_that_workspace(
    database: Database, workspace: WorkspaceId
) -> None:
    keys = Keys()
    await keep(database, workspace, keys, name="a")
    await keep(database, workspace, Keys(), name="b", value="under a key that is lost")
    rotated = Keys([*keys.keys, MasterKey.new()])
    with pytest.raises(SecretRefused):
        await secrets.rewrap_all(database, keys=rotated, by=SYSTEM)
    assert await read(database, workspace, keys, "a") == (VALUE, None)


async def test_a_secret_set_during_a_rotation_is_not_left_under_the_old_key(
    database: Database, workspace: WorkspaceId
) -> None:
    old, new = MasterKey.new(), MasterKey.new()
    keys = Keys([old])
    async with database.transaction(workspace) as tx:  # somebody seals by the old key...
        await rows.hold_off_rotation(tx)
        keys.keys.append(new)
        rotating = asyncio.create_task(secrets.rewrap_all(database, keys=keys, by=SYSTEM))
        await until_someone_waits_for(tx)  # ...while a rotation begins...
        sealed = secrets.seal(VALUE, old, workspace=workspace, name="slack", version=1)
        await rows.put(tx, workspace, sealed, by=SYSTEM)

    assert await rotating == 1  # ...which finds it
    assert await read(database, workspace, Keys([new])) == (VALUE, None)
