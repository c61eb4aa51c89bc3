"""Principals and their identities on surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from openloop.domain.errors import Invalid, NotFound
from openloop.domain.ids import PrincipalId, WorkspaceId, new_id
from openloop.domain.login import UNNAMED
from openloop.domain.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.principal import Role
    from openloop.storage.database import Transaction

IdentityOrigin: TypeAlias = Literal["manifest", "link", "login"]

_COLUMNS = "p.id, p.name, p.kind, p.roles, p.active"


async def put(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    name: str,
    kind: str,
    roles: Sequence[Role],
) -> PrincipalId:
    """The principal of that name, with these roles from now on; whoever has left stays inactive.

    Raises:
        Invalid: a person and a service never are the same
    """
    found = await tx.value(
        """
        INSERT INTO principals AS p (workspace_id, id, name, kind, roles)
        VALUES (%(workspace)s, %(id)s, %(name)s, %(kind)s, %(roles)s)
        ON CONFLICT (workspace_id, name)
        DO UPDATE SET roles = EXCLUDED.roles, active = p.left_at IS NULL
        WHERE p.kind = EXCLUDED.kind RETURNING id
        """,
        {
            "workspace": workspace,
            "id": new_id(),
            "name": name,
            "kind": kind,
            "roles": [str(role) for role in roles],
        },
    )
    if found is None:
        other = "service" if kind == "person" else "person"
        message = f"{name!r} is a {other} of this workspace already: call the {kind} otherwise"
        raise Invalid(message, problems=(message,), code="principal_name_taken")
    return PrincipalId(found)


async def ensure_service(tx: Transaction, workspace: WorkspaceId, name: str) -> PrincipalId:
    """The principal of that name, made as a service with no roles where there is none."""
    known = await find_by_name(tx, name)
    return known.id if known else await put(tx, workspace, name=name, kind="service", roles=())


async def deactivate_others(tx: Transaction, keep: Sequence[str]) -> list[Principal]:
    """People whom the Workspace manifest no longer names have no rights any more; who that is now.

    Those whom it never names are known by their logins.
    """
    return await tx.all(
        Principal,
        f"""
        UPDATE principals p SET active = false, roles = '{{}}'
        WHERE p.kind = 'person' AND (p.active OR p.roles <> '{{}}') AND p.name <> ALL(%(keep)s)
          AND NOT starts_with(p.name, %(unnamed)s) RETURNING {_COLUMNS}
        """,  # noqa: S608  # a constant column list
        {"keep": list(keep), "unnamed": UNNAMED},
    )


async def set_identity(
    tx: Transaction,
    workspace: WorkspaceId,
    principal_id: PrincipalId,
    *,
    surface: str,
    tenant: str,
    external_id: str,
    origin: IdentityOrigin = "manifest",
) -> None:
    """Say that this id on a surface is this principal; an id is one principal's only."""
    await tx.run(
        """
        INSERT INTO identities (workspace_id, surface, tenant, external_id, principal_id, origin)
        VALUES (%(workspace)s, %(surface)s, %(tenant)s, %(external_id)s, %(principal_id)s, %(origin)s)
        ON CONFLICT (workspace_id, surface, tenant, external_id)
        DO UPDATE SET principal_id = EXCLUDED.principal_id, origin = EXCLUDED.origin,
            linked_at = openloop.now()
        """,
        {
            "workspace": workspace,
            "surface": surface,
            "tenant": tenant,
            "external_id": external_id,
            "principal_id": principal_id,
            "origin": origin,
        },
    )


async def clear_identities(tx: Transaction, surface: str) -> None:
    """Forget what the manifest said of a surface, before it is set anew; links are people's own."""
    await tx.run(
        "DELETE FROM identities WHERE surface = %(surface)s AND origin = 'manifest'",
        {"surface": surface},
    )


async def find_by_identity(
    tx: Transaction, *, surface: str, tenant: str, external_id: str
) -> Principal | None:
    """The active principal behind an id on a surface. Ids of an unnamed tenant count for any."""
    found = await find_any_by_identity(tx, surface=surface, tenant=tenant, external_id=external_id)
    return found if found is not None and found.active else None


async def find_any_by_identity(
    tx: Transaction, *, surface: str, tenant: str, external_id: str
) -> Principal | None:
    """The same, active or not. What the manifest says comes before what people linked themselves."""
    return await tx.find(
        Principal,
        f"""
        SELECT {_COLUMNS} FROM identities i JOIN principals p ON p.id = i.principal_id
        WHERE i.surface = %(surface)s AND i.tenant IN (%(tenant)s, '')
          AND i.external_id = %(external_id)s
        ORDER BY i.origin = 'manifest' DESC, i.tenant DESC LIMIT 1
        """,  # noqa: S608  # a constant column list
        {"surface": surface, "tenant": tenant, "external_id": external_id},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A principal on a surface, and who said so: the manifest, a link, or a login."""

    surface: str
    tenant: str
    external_id: str
    principal_id: PrincipalId
    origin: IdentityOrigin
    linked_at: datetime


async def list_identities(
    tx: Transaction, principal_id: PrincipalId | None = None
) -> list[Identity]:
    """The ids of a principal on every surface, or those of everybody."""
    return await tx.all(
        Identity,
        """
        SELECT surface, tenant, external_id, principal_id, origin, linked_at FROM identities
        WHERE %(id)s::uuid IS NULL OR principal_id = %(id)s
        ORDER BY principal_id, surface, tenant, external_id LIMIT 5000
        """,
        {"id": principal_id},
    )


async def move_identities(
    tx: Transaction, *, surface: str, before: PrincipalId, after: PrincipalId
) -> int:
    """Give the ids of a principal on a surface to another; how many there were."""
    return await tx.run(
        """
        UPDATE identities SET principal_id = %(after)s, origin = 'link', linked_at = openloop.now()
        WHERE principal_id = %(before)s AND surface = %(surface)s
        """,
        {"surface": surface, "before": before, "after": after},
    )


async def clear_links(
    tx: Transaction, principal_id: PrincipalId, surface: str | None = None
) -> int:
    """Forget the ids that a person linked, on one surface or on all; how many there were."""
    return await tx.run(
        """
        DELETE FROM identities
        WHERE principal_id = %(principal_id)s AND origin = 'link'
          AND (%(surface)s::text IS NULL OR surface = %(surface)s)
        """,
        {"principal_id": principal_id, "surface": surface},
    )


async def leave(tx: Transaction, id: PrincipalId, *, by_login: bool = False) -> bool:
    """A person has left: no right whatever, and no manifest changes that; False where they had.

    `by_login`: an identity provider said so, and may take it back. Whoever else says so is heard too.
    """
    await tx.run(
        "UPDATE principals SET left_by_login = false WHERE id = %(id)s AND NOT %(by_login)s",
        {"id": id, "by_login": by_login},
    )
    return bool(
        await tx.run(
            """
            UPDATE principals SET active = false, left_at = openloop.now(),
                left_by_login = %(by_login)s
            WHERE id = %(id)s AND left_at IS NULL
            """,
            {"id": id, "by_login": by_login},
        )
    )


async def come_back(
    tx: Transaction, id: PrincipalId, *, is_known: bool, by_login: bool = False
) -> bool:
    """A person who had left is back, with the roles of the manifest; False where they had not.

    Whom the manifest does not name any more (`is_known`) is active once it does. `by_login` brings
    back only whom an identity provider sent away.
    """
    return bool(
        await tx.run(
            """
            UPDATE principals SET active = %(is_known)s, left_at = NULL, left_by_login = false
            WHERE id = %(id)s AND left_at IS NOT NULL AND (left_by_login OR NOT %(by_login)s)
            """,
            {"id": id, "is_known": is_known, "by_login": by_login},
        )
    )


async def list_all(tx: Transaction) -> list[Principal]:
    """Every person and service, by name, also those who have left."""
    return await tx.all(
        Principal,
        f"SELECT {_COLUMNS} FROM principals p ORDER BY p.kind, p.name LIMIT 2000",  # noqa: S608
    )


async def find(tx: Transaction, id: PrincipalId) -> Principal | None:
    """The principal of that id, active or not."""
    return await tx.find(
        Principal,
        f"SELECT {_COLUMNS} FROM principals p WHERE p.id = %(id)s",  # noqa: S608
        {"id": id},
    )


async def get(tx: Transaction, id: PrincipalId) -> Principal:
    """The principal of that id, active or not."""
    found = await find(tx, id)
    if found is None:
        raise NotFound(f"No principal {id}")
    return found


async def find_by_name(tx: Transaction, name: str) -> Principal | None:
    """The principal of that name, active or not."""
    return await tx.find(
        Principal,
        f"SELECT {_COLUMNS} FROM principals p WHERE p.name = %(name)s",  # noqa: S608
        {"name": name},
    )


async def names_of(tx: Transaction, ids: Sequence[PrincipalId]) -> dict[PrincipalId, str]:
    """The names of these principals, active or not."""
    found = await tx.tuples(
        "SELECT id, name FROM principals WHERE id = ANY(%(ids)s::uuid[])", {"ids": list(ids)}
    )
    return {PrincipalId(row[0]): row[1] for row in found}
