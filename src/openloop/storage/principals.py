"""Principals and their identities on surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.errors import NotFound
from openloop.domain.ids import PrincipalId, WorkspaceId, new_id
from openloop.domain.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.principal import Role
    from openloop.storage.database import Transaction

_COLUMNS = "p.id, p.name, p.kind, p.roles, p.active"


async def put(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    name: str,
    kind: str,
    roles: Sequence[Role],
) -> PrincipalId:
    """The principal of that name, with these roles from now on."""
    return PrincipalId(
        await tx.value(
            """
            INSERT INTO principals (workspace_id, id, name, kind, roles)
            VALUES (%(workspace)s, %(id)s, %(name)s, %(kind)s, %(roles)s)
            ON CONFLICT (workspace_id, name)
            DO UPDATE SET roles = EXCLUDED.roles, kind = EXCLUDED.kind, active = true RETURNING id
            """,
            {
                "workspace": workspace,
                "id": new_id(),
                "name": name,
                "kind": kind,
                "roles": [str(role) for role in roles],
            },
        )
    )


async def ensure_service(tx: Transaction, workspace: WorkspaceId, name: str) -> PrincipalId:
    """The principal of that name, made as a service with no roles where there is none."""
    known = await find_by_name(tx, name)
    return known.id if known else await put(tx, workspace, name=name, kind="service", roles=())


async def deactivate_others(tx: Transaction, keep: Sequence[str]) -> list[str]:
    """People whom the Workspace manifest no longer names have no rights any more."""
    found = await tx.tuples(
        """
        UPDATE principals SET active = false, roles = '{}'
        WHERE kind = 'person' AND active AND name <> ALL(%(keep)s) RETURNING name
        """,
        {"keep": list(keep)},
    )
    return [row[0] for row in found]


async def set_identity(
    tx: Transaction,
    workspace: WorkspaceId,
    principal_id: PrincipalId,
    *,
    surface: str,
    tenant: str,
    external_id: str,
) -> None:
    """Say that this id on a surface is this principal; an id is one principal's only."""
    await tx.run(
        """
        INSERT INTO identities (workspace_id, surface, tenant, external_id, principal_id)
        VALUES (%(workspace)s, %(surface)s, %(tenant)s, %(external_id)s, %(principal_id)s)
        ON CONFLICT (workspace_id, surface, tenant, external_id)
        DO UPDATE SET principal_id = EXCLUDED.principal_id
        """,
        {
            "workspace": workspace,
            "surface": surface,
            "tenant": tenant,
            "external_id": external_id,
            "principal_id": principal_id,
        },
    )


async def clear_identities(tx: Transaction, surface: str) -> None:
    """Forget every identity on a surface, before they are set anew from the manifest."""
    await tx.run("DELETE FROM identities WHERE surface = %(surface)s", {"surface": surface})


async def find_by_identity(
    tx: Transaction, *, surface: str, tenant: str, external_id: str
) -> Principal | None:
    """The active principal behind an id on a surface. Ids of an unnamed tenant count for any."""
    return await tx.find(
        Principal,
        f"""
        SELECT {_COLUMNS} FROM identities i JOIN principals p ON p.id = i.principal_id
        WHERE i.surface = %(surface)s AND i.tenant IN (%(tenant)s, '')
          AND i.external_id = %(external_id)s AND p.active
        """,  # noqa: S608  # a constant column list
        {"surface": surface, "tenant": tenant, "external_id": external_id},
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


async def external_ids(tx: Transaction, names: Sequence[str], *, surface: str) -> list[str]:
    """The ids of these people on a surface, for mentioning them."""
    found = await tx.tuples(
        """
        SELECT i.external_id FROM identities i JOIN principals p ON p.id = i.principal_id
        WHERE p.name = ANY(%(names)s) AND i.surface = %(surface)s AND p.active
        ORDER BY 1 LIMIT 20
        """,
        {"names": list(names), "surface": surface},
    )
    return [row[0] for row in found]
