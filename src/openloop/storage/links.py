"""One-time codes that link a person here to an id on a surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.ids import LinkId, PrincipalId, new_id

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Transaction

LINK_MINUTES = 10
MOST_WRONG = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link under way: where it has been typed, and the hash of what has to come back."""

    id: LinkId
    principal_id: PrincipalId
    surface: str
    tenant: str | None
    external_id: str | None
    confirm_sha256: bytes | None


async def begin(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    principal_id: PrincipalId,
    surface: str,
    code_sha256: bytes,
) -> None:
    """Store a code; an earlier one of the same person for the same surface is void."""
    await tx.run(
        """
        DELETE FROM identity_links
        WHERE principal_id = %(principal_id)s AND surface = %(surface)s OR expires_at < openloop.now()
        """,
        {"principal_id": principal_id, "surface": surface},
    )
    await tx.run(
        """
        INSERT INTO identity_links (workspace_id, id, principal_id, surface, code_sha256, expires_at)
        VALUES (%(workspace)s, %(id)s, %(principal_id)s, %(surface)s, %(code)s,
                openloop.now() + make_interval(mins => %(minutes)s))
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "principal_id": principal_id,
            "surface": surface,
            "code": code_sha256,
            "minutes": LINK_MINUTES,
        },
    )


async def offer(
    tx: Transaction,
    *,
    code_sha256: bytes,
    surface: str,
    tenant: str,
    external_id: str,
    confirm_sha256: bytes,
) -> PrincipalId | None:
    """Note who typed a code, once; whose it is, or None where it is no good."""
    return await tx.value(
        """
        UPDATE identity_links SET tenant = %(tenant)s, external_id = %(external_id)s,
            confirm_sha256 = %(confirm)s
        WHERE code_sha256 = %(code)s AND surface = %(surface)s AND external_id IS NULL
          AND expires_at > openloop.now()
        RETURNING principal_id
        """,
        {
            "code": code_sha256,
            "surface": surface,
            "tenant": tenant,
            "external_id": external_id,
            "confirm": confirm_sha256,
        },
    )


async def lock_offered(tx: Transaction, principal_id: PrincipalId) -> list[Link]:
    """The links of a person that wait for the code of the other side."""
    return await tx.all(
        Link,
        """
        SELECT id, principal_id, surface, tenant, external_id, confirm_sha256 FROM identity_links
        WHERE principal_id = %(principal_id)s AND external_id IS NOT NULL
          AND expires_at > openloop.now() AND wrong_tries < %(most)s
        ORDER BY id FOR UPDATE
        """,
        {"principal_id": principal_id, "most": MOST_WRONG},
    )


async def count_wrong(tx: Transaction, principal_id: PrincipalId) -> None:
    """A wrong code was typed; after a few the link is void."""
    await tx.run(
        "UPDATE identity_links SET wrong_tries = wrong_tries + 1 WHERE principal_id = %(id)s",
        {"id": principal_id},
    )


async def remove(tx: Transaction, id: LinkId) -> None:
    """A link is made, or void."""
    await tx.run("DELETE FROM identity_links WHERE id = %(id)s", {"id": id})


async def remove_of(tx: Transaction, principal_id: PrincipalId) -> None:
    """Void what a person has begun."""
    await tx.run("DELETE FROM identity_links WHERE principal_id = %(id)s", {"id": principal_id})
