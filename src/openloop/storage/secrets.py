"""Stored secrets: sealed, and found by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.domain.audit import Who
from openloop.domain.sealed_secret import SealedSecret
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

MOST = 500
_COLUMNS = "name, version, key_id, wrapped_key, sealed_value"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """What may be known of a stored secret."""

    name: str
    version: int
    key_id: str
    set_by: Who
    set_at: datetime


async def hold_off_rotation(tx: Transaction) -> None:
    """Until the end of this transaction no master key is thrown away."""
    await tx.run("SELECT openloop.hold_off_rotation()")


async def await_sealing(tx: Transaction) -> None:
    """Wait for everybody who is sealing; whoever begins after that reads the newest key."""
    await tx.run("SELECT openloop.await_sealing()")


async def count(tx: Transaction) -> int:
    """How many there are."""
    return await tx.value("SELECT count(*) FROM secrets")


async def lock_version(tx: Transaction, workspace: WorkspaceId, name: str) -> int:
    """The version that a name is at, 0 where it is new; nobody else sets it meanwhile."""
    await tx.run(
        """
        SELECT pg_advisory_xact_lock(
            hashtextextended(%(workspace)s::uuid::text || '|' || %(name)s::text, 3))
        """,
        {"workspace": workspace, "name": name},
    )
    found = await tx.value("SELECT version FROM secrets WHERE name = %(name)s", {"name": name})
    return found or 0


async def put(tx: Transaction, workspace: WorkspaceId, sealed: SealedSecret, *, by: Who) -> None:
    """Keep a new secret, or the next version of one."""
    await tx.run(
        """
        INSERT INTO secrets (workspace_id, name, version, key_id, wrapped_key, sealed_value, set_by)
        VALUES (%(workspace)s, %(name)s, %(version)s, %(key_id)s, %(wrapped_key)s, %(sealed_value)s,
                %(by)s)
        ON CONFLICT (name, workspace_id) DO UPDATE
        SET version = excluded.version, key_id = excluded.key_id,
            wrapped_key = excluded.wrapped_key, sealed_value = excluded.sealed_value,
            set_by = excluded.set_by, set_at = excluded.set_at
        """,
        {
            "workspace": workspace,
            "name": sealed.name,
            "version": sealed.version,
            "key_id": sealed.key_id,
            "wrapped_key": sealed.wrapped_key,
            "sealed_value": sealed.sealed_value,
            "by": rows.json(by),
        },
    )


async def find(tx: Transaction, name: str) -> SealedSecret | None:
    """A sealed secret."""
    return await tx.find(
        SealedSecret,
        f"SELECT {_COLUMNS} FROM secrets WHERE name = %(name)s",  # noqa: S608  # a constant list
        {"name": name},
    )


async def list_wrapped_otherwise(tx: Transaction, key_id: str) -> list[SealedSecret]:
    """Every secret that another master key wraps."""
    return await tx.all(
        SealedSecret,
        f"SELECT {_COLUMNS} FROM secrets WHERE key_id <> %(key_id)s "  # noqa: S608  # a constant list
        "ORDER BY name LIMIT %(most)s FOR UPDATE",
        {"key_id": key_id, "most": MOST},
    )


async def rewrap(tx: Transaction, sealed: SealedSecret) -> None:
    """Note that another master key wraps a secret's data key."""
    await tx.run(
        """
        UPDATE secrets SET key_id = %(key_id)s, wrapped_key = %(wrapped_key)s
        WHERE name = %(name)s AND version = %(version)s
        """,
        {
            "name": sealed.name,
            "version": sealed.version,
            "key_id": sealed.key_id,
            "wrapped_key": sealed.wrapped_key,
        },
    )


async def delete(tx: Transaction, name: str) -> bool:
    """Forget a secret; False where there is none."""
    return bool(await tx.run("DELETE FROM secrets WHERE name = %(name)s", {"name": name}))


async def list_all(tx: Transaction) -> list[StoredSecret]:
    """What may be known of every secret, by name."""
    return await tx.all(
        StoredSecret,
        "SELECT name, version, key_id, set_by, set_at FROM secrets ORDER BY name LIMIT %(most)s",
        {"most": MOST},
    )
