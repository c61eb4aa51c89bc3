"""Tenancy: a second workspace's rows in every table, and nobody sees, changes or points at them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.actions import sealing, secrets, tokens
from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.domain.audit import SYSTEM
from openloop.domain.audit_checkpoint import SigningKey
from openloop.domain.principal import Role
from openloop.domain.surface import FailedBuild
from openloop.storage import checkpoints, glasses, investigations, opened, rows
from openloop.storage.database import Database
from tests import make
from tests.actions.configuring import WIDER, Desk, waiting
from tests.actions.identifying import identified
from tests.actions.keeping import Keys
from tests.audit.record import seal_all
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from tests.make import Stage

APPEND_ONLY = {"audit_events", "audit_seals", "audit_checkpoints"}
DIRECTORY = {"workspaces", "installations", "token_index", "schema_migrations"}


async def tables(stage: Stage) -> list[str]:
    """Every table of ours that holds rows of workspaces."""
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT tablename FROM pg_tables WHERE schemaname = 'openloop'")
    return sorted({name for (name,) in found} - DIRECTORY)


async def with_everything(stage: Stage) -> None:
    """Fill every table: a run that notes, holds and is approved, a token, an idempotent call."""
    stage.models.turns = [reply("Both.", make.NOTE, make.CREATE), reply("All done.")]
    ref = await stage.mention("canary")
    await stage.work(ref)
    await stage.press("approve", by="anna")
    await stage.work(ref)
    anna = await stage.principal("anna")
    await tokens.create(
        stage.database,
        stage.workspace,
        principal="anna",
        name="canary",
        role=Role.VIEWER,
        days=1,
        by=SYSTEM,
    )
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO idempotency_keys (workspace_id, principal_id, key, request_sha256, answer)
            VALUES (%(workspace)s, %(principal)s, 'canary', '\\x00', %(answer)s)
            """,
            {
                "workspace": stage.workspace,
                "principal": anna.id,
                "answer": rows.json({"text": "canary"}),
            },
        )
        await tx.run(
            "INSERT INTO choices (workspace_id, id, surface, inbound) VALUES (%(w)s, %(w)s, 'x', '{}')",
            {"w": stage.workspace},
        )
        red = FailedBuild(
            source="workflow_run", id="1", commit="canary", branch="main", conclusion="failure"
        )
        await opened.note(
            tx,
            stage.workspace,
            make.thread("opened"),
            await stage.run_of(ref),
            step_seq=1,
            link="https://tracker.example/canary",
        )
        await investigations.begin(
            tx, stage.workspace, make.place(), red, actor_id="1", failed_at=datetime.now(UTC)
        )
        await glasses.add(
            tx,
            stage.workspace,
            await stage.approval(ref),
            by=anna.id,
            reason="canary",
            token_sha256=b"canary",
            minutes=1,
        )
    await secrets.set_secret(
        stage.database, stage.workspace, "canary", "canary", keys=Keys(), by=SYSTEM
    )
    async with SurfaceBookmarks(stage.database, stage.workspace, "github").hold("canary") as held:
        await held.keep({"text": "canary"})
    await configure(stage)
    await identified(stage)
    await seal(stage)


async def configure(stage: Stage) -> None:
    """A change that waits, one that was decided, and a place that is synced."""
    desk = Desk(database=stage.database, workspace=stage.workspace)
    await desk.reject(waiting(await desk.apply(make.agent_yaml(WIDER))))
    await desk.sync(make.agent_yaml(WIDER))


async def seal(stage: Stage) -> None:
    """Seal the audit, vouch for it, and begin to deliver it."""
    await seal_all(stage.database, stage.workspace)
    await sealing.make_checkpoint(stage.database, stage.workspace, SigningKey.new())
    async with stage.tx() as tx:
        await checkpoints.claim(tx, stage.workspace, "canary")


async def test_no_row_of_another_workspace_is_seen_or_changed(database: Database) -> None:
    stage = await make.stage(database)
    await with_everything(stage)
    names = await tables(stage)
    for table in names:
        assert await stage.count(table) > 0, f"nothing was written to {table}"
    other = await make.stage_of(
        database, stage, "other", workspace={"integrations": {"slack": {"team": "T0OTHER"}}}
    )
    foreign = stage.workspace

    for table in names:
        async with other.tx() as tx:
            seen = await tx.value(
                f"SELECT count(*) FROM {table} WHERE workspace_id = '{foreign}'"  # noqa: S608  # pyright: ignore
            )
            assert seen == 0, table
        async with database.directory() as tx:
            assert await tx.value(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608  # pyright: ignore
        if table in APPEND_ONLY:
            continue  # nobody at all may change those
        for statement in (
            f"UPDATE {table} SET workspace_id = workspace_id WHERE workspace_id = '{foreign}'",  # noqa: S608
            f"DELETE FROM {table} WHERE workspace_id = '{foreign}'",  # noqa: S608
        ):
            async with other.tx() as tx:
                assert await tx.run(statement) == 0, statement  # pyright: ignore
    for table in names:
        assert await stage.count(table) > 0


async def test_no_row_moves_to_another_workspace(database: Database) -> None:
    stage = await make.stage(database)
    await with_everything(stage)
    other = await make.stage_of(
        database, stage, "other", workspace={"integrations": {"slack": {"team": "T0OTHER"}}}
    )
    for table in await tables(stage):
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ForeignKeyViolation)
        ):
            async with stage.tx() as tx:
                await tx.run(f"UPDATE {table} SET workspace_id = '{other.workspace}'")  # noqa: S608  # pyright: ignore


async def test_no_row_points_at_another_workspace(database: Database) -> None:
    """Foreign keys are composite: an id of another workspace is no id here."""
    stage = await make.stage(database)
    ref = await stage.mention()
    run = await stage.run_of(ref)
    other = await make.stage_of(
        database, stage, "other", workspace={"integrations": {"slack": {"team": "T0OTHER"}}}
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        async with other.tx() as tx:
            await tx.run(
                """
                INSERT INTO steps (workspace_id, run_id, seq, kind, state, epoch)
                VALUES (%(workspace)s, %(run)s, 0, 'context', 'started', 1)
                """,
                {"workspace": other.workspace, "run": run.id},
            )


async def test_every_policy_lets_exactly_the_workspace_of_the_transaction_through(
    stage: Stage,
) -> None:
    """Also those of migrations to come: what is not in the directory holds rows of workspaces."""
    mine = "(workspace_id = (NULLIF(current_setting('openloop.workspace'::text, true), ''::text))::uuid)"
    async with stage.tx() as tx:
        found = await tx.tuples(
            """
            SELECT relname, relrowsecurity AND relforcerowsecurity, array_agg(DISTINCT p.qual),
                   array_agg(DISTINCT p.with_check), array_agg(DISTINCT p.cmd), count(p.policyname)
            FROM pg_class AS c LEFT JOIN pg_policies AS p
                ON p.schemaname = 'openloop' AND p.tablename = relname
            WHERE relnamespace = 'openloop'::regnamespace AND relkind IN ('r', 'p') GROUP BY 1, 2
            """
        )
    kept = {name: rest for name, *rest in found if name not in DIRECTORY}
    # What is only ever added to has a policy for each way in, and none for changing.
    unlike = {
        name: rest
        for name, rest in kept.items()
        if not rest[0]
        or rest[1] not in ([mine], [mine, None])
        or rest[2] not in ([mine], [mine, None])
    }
    assert unlike == {}
    assert len(kept) > 30


async def test_every_foreign_key_names_the_workspace(stage: Stage) -> None:
    async with stage.tx() as tx:
        bad = await tx.tuples(
            """
            SELECT conrelid::regclass, conname FROM pg_constraint c
            WHERE contype = 'f' AND connamespace = 'openloop'::regnamespace
              AND confrelid <> 'openloop.workspaces'::regclass
              AND NOT EXISTS (SELECT FROM pg_attribute a
                              WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
                                AND a.attname = 'workspace_id')
            """
        )
    assert bad == []


async def test_the_next_user_of_a_connection_has_no_workspace(conninfo: str) -> None:
    single = Database(conninfo, size=1)
    await single.open()
    stage = await make.stage(single)
    await stage.mention()
    for _ in range(3):
        async with single.directory() as tx:
            assert await tx.value("SELECT count(*) FROM runs") == 0
            assert await tx.value("SELECT current_setting('openloop.workspace', true)") in (
                "",
                None,
            )
    await single.close()


async def test_a_statement_that_fails_leaves_no_workspace_behind(conninfo: str) -> None:
    single = Database(conninfo, size=1)
    await single.open()
    stage = await make.stage(single)
    await stage.mention()
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with stage.tx() as tx:
            await tx.value("SELECT 1 / 0")
    async with single.directory() as tx:
        assert await tx.value("SELECT count(*) FROM runs") == 0
    await single.close()
