"""A connection that outlives a test brings nothing of it along, so no test passes by another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.kept import KeptDatabase

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId

LEFT = """
    SELECT pg_backend_pid(), current_setting('openloop.workspace', true),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
        (SELECT count(*) FROM pg_listening_channels())
"""


async def test_what_a_session_was_told_is_forgotten(conninfo: str, workspace: WorkspaceId) -> None:
    one = KeptDatabase(conninfo, size=1)
    await one.open()
    async with one.directory() as tx:
        told = {"workspace": str(workspace)}
        await tx.run("SELECT set_config('openloop.workspace', %(workspace)s, false)", told)
        await tx.run("SELECT pg_advisory_lock(1)")
        await tx.run("LISTEN somebody")
    async with one.directory() as tx:
        [(pid, *before)] = await tx.tuples(LEFT)
    await one.close()
    assert before == [str(workspace), 1, 1]

    other = KeptDatabase(conninfo, size=1)
    await other.open()
    async with other.directory() as tx:
        assert await tx.tuples(LEFT) == [(pid, "", 0, 0)]
    await other.close()


async def test_one_that_has_died_is_not_used(conninfo: str, superuser: str) -> None:
    one = KeptDatabase(conninfo, size=1)
    await one.open()
    async with one.directory() as tx:
        pid = await tx.value("SELECT pg_backend_pid()")
    await one.close()
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    other = KeptDatabase(conninfo, size=1)
    await other.open()
    async with other.directory() as tx:
        assert await tx.value("SELECT pg_backend_pid()") != pid
    await other.close()
