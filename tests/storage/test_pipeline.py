"""Statements that are sent without waiting: in order, all or none, and no failure passed over."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, LiteralString
from uuid import uuid4

import psycopg
import pytest
from procrastinate import App, PsycopgConnector

from openloop.actions import claims
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.storage import audit, conversations, queue
from openloop.storage.database import Database

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from tests.make import Stage

BROKEN: LiteralString = "SELECT 1 / 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """A row with a number."""

    number: int


async def canaries(database: Database, workspace: WorkspaceId) -> int:
    async with database.transaction(workspace) as tx:
        return len([e for e in await audit.list_newest(tx, limit=99) if e.kind == "test.canary"])


async def test_what_was_asked_is_read_after_the_commit(
    database: Database, workspace: WorkspaceId
) -> None:
    async with database.transaction(workspace) as tx:
        first = await tx.ask(One, "SELECT 1 AS number")
        await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
        second = await tx.ask(One, "SELECT 2 AS number UNION SELECT 3 ORDER BY 1")

    assert (await first.one()).number == 1
    assert [row.number for row in await second.all()] == [2, 3]
    assert await canaries(database, workspace) == 1


async def test_a_statement_that_fails_fails_the_commit(
    database: Database, workspace: WorkspaceId
) -> None:
    async def fails() -> None:
        async with database.transaction(workspace) as tx:
            await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
            await tx.send(BROKEN)
            await audit.append(tx, workspace, "test.canary", actor=SYSTEM)

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fails()

    assert await canaries(database, workspace) == 0


async def test_it_is_told_by_the_next_wait(database: Database, workspace: WorkspaceId) -> None:
    async def fails() -> None:
        async with database.transaction(workspace) as tx:
            await tx.send(BROKEN)
            await tx.now()
            pytest.fail("the failure was passed over")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fails()


async def test_whoever_passes_a_failure_over_is_told_that_nothing_was_committed(
    database: Database, workspace: WorkspaceId
) -> None:
    async def passes_over() -> None:
        async with database.transaction(workspace) as tx:
            await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
            with contextlib.suppress(psycopg.errors.DivisionByZero):
                await tx.run(BROKEN)

    with pytest.raises(AssertionError, match="passed over"):
        await passes_over()

    assert await canaries(database, workspace) == 0


async def test_a_claim_that_is_lost_fails_all_that_was_sent_behind_its_fence(stage: Stage) -> None:
    ref = await stage.mention()
    work = await claims.take(stage.database, stage.configuration, ref, worker=uuid4())
    assert work is not None
    late = replace(work.claim, epoch=work.claim.epoch - 1)

    async def writes_late() -> None:
        async with stage.tx() as tx:
            await conversations.fence(tx, late)
            await audit.append(tx, stage.workspace, "test.canary", actor=SYSTEM)

    with pytest.raises(LostClaim, match="taken over"):
        await writes_late()

    assert await canaries(stage.database, stage.workspace) == 0


async def test_a_cancelled_transaction_gives_its_connection_back_whole(
    conninfo: str, workspace: WorkspaceId
) -> None:
    single = Database(conninfo, size=1)
    await single.open()
    sleeping = asyncio.Event()

    async def cancelled() -> None:
        async with single.transaction(workspace) as tx:
            await audit.append(tx, workspace, "test.canary", actor=SYSTEM)
            sleeping.set()
            await tx.run("SELECT pg_sleep(4)")

    doing = asyncio.create_task(cancelled())
    await sleeping.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    assert await canaries(single, workspace) == 0
    await single.close()


async def test_a_wake_up_is_the_row_that_the_library_writes(
    database: Database, workspace: WorkspaceId
) -> None:
    conversation = uuid4()
    library = App(connector=PsycopgConnector())
    async with database.transaction(workspace) as tx:
        await queue.wake(tx, workspace, conversations.ConversationId(conversation))
        await library.configure_task(
            queue.ADVANCE, allow_unknown=True, queue=queue.QUEUE, connection=tx.connection
        ).defer_async(workspace=str(workspace), conversation=str(conversation), priority=0)
        ours, theirs = await tx.tuples(
            """
            SELECT to_jsonb(j) - 'id' FROM procrastinate.procrastinate_jobs j
            WHERE args->>'conversation' = %(id)s::text ORDER BY id
            """,
            {"id": str(conversation)},
        )
        await tx.run(
            "DELETE FROM procrastinate.procrastinate_jobs WHERE args->>'conversation' = %(id)s::text",
            {"id": str(conversation)},
        )

    assert ours == theirs
