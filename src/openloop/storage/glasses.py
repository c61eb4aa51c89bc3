"""Glasses that an owner has asked to break: one use each, an hour at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.ids import ApprovalId, PrincipalId, WorkspaceId, new_id
from openloop.domain.principal import Principal

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.domain.ids import LoginId
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """Who wants to let which bytes run without a quorum, and why."""

    id: UUID
    approval_id: ApprovalId
    round: int
    asked_by: PrincipalId
    reason: str


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    *,
    by: PrincipalId,
    reason: str,
    token_sha256: bytes,
    minutes: int,
) -> None:
    """Note that an owner wants to break the glass, until they confirm it."""
    await tx.send(
        """
        INSERT INTO broken_glasses (workspace_id, id, approval_id, round, asked_by, reason,
            token_sha256, expires_at)
        VALUES (%(workspace)s, %(id)s, %(approval_id)s, %(round)s, %(by)s, %(reason)s, %(token)s,
            openloop.now() + make_interval(mins => %(minutes)s))
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "approval_id": approval.id,
            "round": approval.round,
            "by": by,
            "reason": reason,
            "token": token_sha256,
            "minutes": minutes,
        },
    )


async def find(tx: Transaction, token_sha256: bytes, *, by: PrincipalId) -> Glass | None:
    """The glass of a token; None where it is not theirs, used up, or too old."""
    return await tx.find(
        Glass,
        """
        SELECT id, approval_id, round, asked_by, reason FROM broken_glasses
        WHERE token_sha256 = %(token)s AND asked_by = %(by)s AND broken_at IS NULL
          AND openloop.now() < expires_at
        """,
        {"token": token_sha256, "by": by},
    )


async def use_up(tx: Transaction, id: UUID) -> None:
    """It is broken; the approval's row is locked, so nobody else has got as far as this."""
    await tx.send(
        "UPDATE broken_glasses SET broken_at = openloop.now() WHERE id = %(id)s", {"id": id}
    )


async def is_vouched_for(tx: Transaction, login_id: LoginId, *, by: PrincipalId) -> bool:
    """True where the identity provider has said who this is; a login by link stands for a token."""
    return bool(
        await tx.value(
            """
            SELECT method = 'oidc' FROM logins
            WHERE id = %(id)s AND principal_id = %(by)s AND ended_at IS NULL
            """,
            {"id": login_id, "by": by},
        )
    )


async def list_owners(tx: Transaction, *, but: PrincipalId) -> list[Principal]:
    """The other active owners: somebody has to be told."""
    return await tx.all(
        Principal,
        """
        SELECT id, name, kind, roles, active FROM principals
        WHERE kind = 'person' AND active AND 'owner' = ANY(roles) AND id <> %(but)s
        ORDER BY name LIMIT 100
        """,
        {"but": but},
    )
