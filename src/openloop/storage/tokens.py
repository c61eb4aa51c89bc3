"""API tokens: found by their public part, kept as hashes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from openloop.domain.ids import PrincipalId, WorkspaceId
from openloop.domain.principal import Right, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as its row says; the secret itself is nowhere."""

    id: str
    principal_id: PrincipalId
    name: str
    secret_sha256: bytes
    role: Role
    only_rights: tuple[Right, ...] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


async def find_workspace(tx: Transaction, token_id: str) -> WorkspaceId | None:
    """Which workspace a token belongs to (directory door)."""
    return await tx.value(
        "SELECT workspace_id FROM token_index WHERE id = %(id)s", {"id": token_id}
    )


async def index(tx: Transaction, token_id: str, workspace: WorkspaceId) -> None:
    """Make a token findable (directory door)."""
    await tx.run(
        "INSERT INTO token_index (id, workspace_id) VALUES (%(id)s, %(workspace)s)",
        {"id": token_id, "workspace": workspace},
    )


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    id: str,
    principal_id: PrincipalId,
    name: str,
    secret_sha256: bytes,
    role: Role,
    days: int,
    only: Sequence[str] | None = None,
) -> None:
    """Store a new token's hash, and `only` which rights of its role it carries."""
    await tx.run(
        """
        INSERT INTO tokens (workspace_id, id, principal_id, name, secret_sha256, role, only_rights,
                            expires_at)
        VALUES (%(workspace)s, %(id)s, %(principal_id)s, %(name)s, %(secret)s, %(role)s, %(only)s,
                openloop.now() + make_interval(days => %(days)s))
        """,
        {
            "workspace": workspace,
            "id": id,
            "principal_id": principal_id,
            "name": name,
            "secret": secret_sha256,
            "role": role,
            "only": None if only is None else list(only),
            "days": days,
        },
    )


async def find_valid(tx: Transaction, id: str) -> Token | None:
    """A token that is neither expired nor revoked."""
    return await tx.find(
        Token,
        """
        SELECT id, principal_id, name, secret_sha256, role, only_rights, created_at,
               expires_at, last_used_at, revoked_at
        FROM tokens WHERE id = %(id)s AND revoked_at IS NULL AND expires_at > openloop.now()
        """,
        {"id": id},
    )


async def touch(tx: Transaction, id: str) -> None:
    """Note that a token was used; at most one write a minute."""
    await tx.run(
        """
        UPDATE tokens SET last_used_at = openloop.now()
        WHERE id = %(id)s
          AND (last_used_at IS NULL OR last_used_at < openloop.now() - interval '1 minute')
        """,
        {"id": id},
    )


async def list_all(tx: Transaction) -> list[Token]:
    """Every token of the workspace, newest first."""
    return await tx.all(
        Token,
        """
        SELECT id, principal_id, name, secret_sha256, role, only_rights, created_at,
               expires_at, last_used_at, revoked_at FROM tokens ORDER BY created_at DESC LIMIT 500
        """,
    )


async def revoke(tx: Transaction, id: str) -> bool:
    """End a token; False where there is none that still works."""
    return bool(
        await tx.run(
            "UPDATE tokens SET revoked_at = openloop.now() WHERE id = %(id)s AND revoked_at IS NULL",
            {"id": id},
        )
    )


async def revoke_of(tx: Transaction, principal_id: PrincipalId) -> list[str]:
    """End every token of a principal; their ids."""
    found = await tx.tuples(
        """
        UPDATE tokens SET revoked_at = openloop.now()
        WHERE principal_id = %(principal_id)s AND revoked_at IS NULL RETURNING id
        """,
        {"principal_id": principal_id},
    )
    return [row[0] for row in found]


async def hand_over(tx: Transaction, *, before: PrincipalId, after: PrincipalId) -> list[str]:
    """Give the live tokens of a principal to another; their ids."""
    found = await tx.tuples(
        """
        UPDATE tokens SET principal_id = %(after)s
        WHERE principal_id = %(before)s AND revoked_at IS NULL RETURNING id
        """,
        {"before": before, "after": after},
    )
    return [row[0] for row in found]
