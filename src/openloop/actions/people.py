"""The people of a Workspace manifest, with their ids, roles and groups, as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import tokens
from openloop.domain.login import OIDC
from openloop.domain.principal import Role
from openloop.storage import audit, groups, links, logins, principals
from openloop.storage import tokens as tokens_of

if TYPE_CHECKING:
    from openloop.domain.audit import Who
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_workspace import Person, WorkspaceManifest
    from openloop.domain.principal import Principal
    from openloop.storage.database import Transaction

INSTALLATION = "installation:owner"
"""The service that holds the first token until a person owns the workspace; no name of a manifest
has a colon."""


async def write_people(
    tx: Transaction,
    workspace: WorkspaceId,
    manifest: WorkspaceManifest,
    *,
    slack_team: str,
    by: Who,
) -> None:
    """Make the people of a manifest the people of the workspace.

    A Slack id counts in `slack_team` only, where that is known: another team may have the same.

    Raises:
        Invalid: a service has a person's name already
    """
    roles = roles_of_people(manifest)
    for gone in await principals.deactivate_others(tx, list(roles)):
        await _close(tx, workspace, gone, by=by)
    for surface in ("slack", "github", OIDC):
        await principals.clear_identities(tx, surface)
    for name, person in manifest.spec.people.items():
        principal = await principals.put(
            tx, workspace, name=name, kind="person", roles=sorted(roles[name])
        )
        for surface, tenant, external_id in _ids(person, slack_team):
            await principals.set_identity(
                tx,
                workspace,
                principal,
                surface=surface,
                tenant=tenant,
                external_id=external_id,
            )
    await groups.declare(tx, workspace, surface="slack", groups=manifest.spec.access.slack_groups)
    owner = first_owner(manifest)
    if owner is not None:
        await tokens.adopt(tx, workspace, service=INSTALLATION, person=owner, by=by)


async def _close(tx: Transaction, workspace: WorkspaceId, gone: Principal, *, by: Who) -> None:
    """End every way in of somebody whom the manifest names no more: a name can come back as another.

    On a surface they are what the surface says of them: that they left is said there, or by an admin.
    """
    ended = await logins.end_of(tx, gone.id)
    revoked = await tokens_of.revoke_of(tx, gone.id)
    await links.remove_of(tx, gone.id)
    await principals.clear_links(tx, gone.id)
    await audit.append(
        tx,
        workspace,
        "principal.removed",
        actor=by,
        subject=gone.id,
        principal=gone.name,
        logins=ended,
        tokens=revoked,
    )


def roles_of_people(manifest: WorkspaceManifest) -> dict[str, set[Role]]:
    """The roles that a manifest gives each of its people."""
    roles: dict[str, set[Role]] = {name: set() for name in manifest.spec.people}
    for role, references in manifest.spec.roles.items():
        for reference in references:
            for name in manifest.members(reference):
                roles[name].add(Role(role))
    return roles


def first_owner(manifest: WorkspaceManifest) -> str | None:
    """The first person whom a manifest names as an owner, by the order of its list."""
    for reference in manifest.spec.roles.get("owner", ()):
        members = manifest.members(reference)
        found = next((name for name in manifest.spec.people if name in members), None)
        if found is not None:
            return found
    return None


def _ids(person: Person, slack_team: str) -> list[tuple[str, str, str]]:
    given = (
        ("slack", slack_team, person.slack),
        ("github", "", person.github),
        (OIDC, "", person.login),
    )
    return [(surface, tenant, str(id)) for surface, tenant, id in given if id is not None]
