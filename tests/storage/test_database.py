"""The two doors: nothing of another workspace is visible, and nothing runs with too much power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.actions import apply
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Misconfigured, Unavailable
from openloop.storage import audit
from openloop.storage.database import Database, refuse_powerful_role

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId


async def test_a_transaction_sees_its_own_workspace_only(
    database: Database, workspace: WorkspaceId
) -> None:
    other = await apply.ensure_workspace(database, "other")
    async with database.transaction(workspace) as tx:
        await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
    async with database.transaction(other) as tx:
        assert await audit.list_newest(tx, limit=10) == []
    async with database.directory() as tx:
        assert await audit.list_newest(tx, limit=10) == []


async def test_a_row_of_another_workspace_cannot_be_written(
    database: Database, workspace: WorkspaceId
) -> None:
    other = await apply.ensure_workspace(database, "other")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with database.transaction(workspace) as tx:
            await audit.append(tx, other, "test.canary", actor=SYSTEM)


async def test_the_workspace_is_gone_when_the_transaction_ends(
    conninfo: str, workspace: WorkspaceId
) -> None:
    single = Database(conninfo, size=1)
    await single.open()
    async with single.transaction(workspace) as tx:
        await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
    async with single.directory() as tx:
        assert await audit.list_newest(tx, limit=10) == []
    await single.close()


async def test_audit_events_cannot_be_changed_by_anybody(
    database: Database, workspace: WorkspaceId, superuser: str
) -> None:
    async with database.transaction(workspace) as tx:
        await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
    for statement in ("UPDATE audit_events SET kind = 'x'", "DELETE FROM audit_events"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.transaction(workspace) as tx:
                await tx.run(statement)  # pyright: ignore[reportArgumentType]
    with psycopg.connect(superuser, autocommit=True) as connection:
        for statement in (
            "UPDATE openloop.audit_events SET kind = 'x'",
            "DELETE FROM openloop.audit_events",
            "TRUNCATE openloop.audit_events",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # pyright: ignore[reportArgumentType]


DIRECTORY = {"workspaces", "installations", "token_index", "schema_migrations"}
"""Tables that exist before a workspace is known; none of them holds text of a tenant."""


async def test_every_other_table_is_under_forced_row_security(
    superuser: str, conninfo: str
) -> None:
    with psycopg.connect(superuser) as connection:
        rows = connection.execute(
            """
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
                   EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid),
                   EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id')
            FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'openloop'::regnamespace
            """
        ).fetchall()
    unprotected = {
        name for name, forced, policy, column in rows if not (forced and policy and column)
    }
    assert unprotected == DIRECTORY


async def test_a_role_that_row_security_does_not_bind_is_refused(
    superuser: str, conninfo: str
) -> None:
    for dsn in (superuser, conninfo):  # the second owns the tables
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pytest.raises(Misconfigured, match="bypasses row security"):
                await refuse_powerful_role(connection)


async def test_a_server_that_is_gone_is_one_error(conninfo: str) -> None:
    database = Database("host=127.0.0.1 port=1 dbname=nowhere", size=1)
    with pytest.raises(Unavailable):
        async with database.directory():
            pass
    await database.close()


async def test_no_migration_moves_the_clock(superuser: str, conninfo: str) -> None:
    with psycopg.connect(superuser) as connection:
        found = connection.execute(
            "SELECT prosrc FROM pg_proc WHERE oid = 'openloop.now'::regproc"
        ).fetchone()
    assert found == ("SELECT clock_timestamp()",)
