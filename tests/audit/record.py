"""A sealed record with checkpoints inside and outside of its database, and somebody who tampers with it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from openloop.actions import sealing
from openloop.domain.audit_checkpoint import SigningKey
from openloop.domain.audit_verify import Verified, verify
from openloop.storage import checkpoints, seals
from tests.runtime.fakes import reply
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Generator

    from openloop.domain.audit_chain import Entry
    from openloop.domain.audit_checkpoint import Signed
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database
    from tests.make import Stage

CREATE = ("github__create_issue", '{"repo": "acme/platform", "title": "Move to Postgres 16"}')


TABLES = (
    "audit_events",
    "audit_seals",
    "audit_checkpoints",
    "runs",
    "steps",
    "approvals",
    "outbox",
)
"""What is tampered with."""


async def seal_all(database: Database, workspace: WorkspaceId) -> None:
    """Seal whatever is committed.

    One look is not enough: what is younger than the oldest open transaction has to wait, and that
    may be one of another test's database, since all share a cluster and its transaction ids.
    """

    async def is_sealed() -> bool:
        while (await sealing.seal(database, workspace)).more:
            pass
        async with database.transaction(workspace) as tx:
            position = sealing.position_of(await seals.find_last(tx))
            return (await seals.waiting(tx, position, most=1)).count == 0

    await until(is_sealed)


@dataclass
class Record:
    """The audit of a stage; `outside` is what another place was given."""

    stage: Stage
    superuser: str
    key: SigningKey = field(default_factory=SigningKey.new)
    outside: list[str] = field(default_factory=list[str])

    async def held(self, root: str, text: str = "please open an issue") -> None:
        """A run that is approved and makes its effect."""
        self.stage.models.turns = [reply("I will.", CREATE), reply("All done.")]
        ref = await self.stage.mention(text, root=root)
        await self.stage.work(ref)
        await self.stage.press("approve", by="anna", root=root)
        await self.stage.work(ref)
        await self.sealed()

    async def sealed(self) -> Signed | None:
        """Seal all of it, vouch for it, and keep that outside."""
        await seal_all(self.stage.database, self.stage.workspace)
        signed = await self.checkpoint()
        if signed is not None:
            self.outside.append(signed.document())
        return signed

    async def checkpoint(self, key: SigningKey | None = None) -> Signed | None:
        return await sealing.make_checkpoint(
            self.stage.database, self.stage.workspace, key or self.key, now=True
        )

    async def entries(self) -> list[Entry]:
        """What an export has."""
        async with self.stage.tx() as tx:
            found = await seals.list_entries(tx, after=0, limit=10_000)
            last = await seals.find_last(tx)
            position = (2**62, 0) if last is None else sealing.position_of(last)
            passed, _ = await seals.list_passed_by(tx, position, after_id=0, limit=10_000)
        return [*found, *passed]

    async def documents(self) -> list[str]:
        """The checkpoints in the database."""
        async with self.stage.tx() as tx:
            return [c.document for c in await checkpoints.list_after(tx, 0, limit=1000)]

    async def verify(self, **changes: Any) -> Verified:
        """Verify what the database has now against what is kept outside."""
        given: dict[str, Any] = {
            "ours": await self.documents(),
            "elsewhere": {"outside": self.outside},
            **changes,
        }
        return verify(self.stage.workspace, await self.entries(), **given)

    async def kinds(self, **changes: Any) -> set[str]:
        """What kinds of findings there are."""
        return {finding.kind for finding in (await self.verify(**changes)).findings}

    @contextmanager
    def restored(self) -> Generator[None]:
        """Put every row back afterwards, and what is kept outside."""
        outside = list(self.outside)
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("SET search_path = openloop, public")
            for table in TABLES:
                connection.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE {table}")  # pyright: ignore
            yield
            for table in TABLES:
                connection.execute(
                    f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE "  # noqa: S608  # pyright: ignore
                    f"TABLE kept_{table}"
                )
        self.outside = outside

    def tamper(self, sql: LiteralString, *parameters: object) -> None:
        """Change rows as a superuser who has switched every trigger off."""
        with psycopg.connect(self.superuser) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("SET search_path = openloop, public")
            connection.execute(sql, parameters or None)

    async def rewrite(self) -> None:
        """Seal everything that is left anew, from the first link on, as only they know how it is done."""
        self.tamper("DELETE FROM audit_seals")
        await seal_all(self.stage.database, self.stage.workspace)
