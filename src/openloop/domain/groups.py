"""Groups whose members another system names: they join the group of that name in the manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.manifest_workspace import WorkspaceManifest

FRESH_SECONDS = 60
"""How old the members of a group may be before they are asked for again."""
STALE_SECONDS = 300
"""How old they may be before nobody is a member any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembers:
    """Who is in a group of a platform, by their ids in a tenant of it."""

    tenant: str
    ids: tuple[str, ...]


def with_members(
    workspace: WorkspaceManifest, members: Mapping[str, frozenset[str]]
) -> WorkspaceManifest:
    """The manifest as it counts at the moment: only people whom it names join a group."""
    spec = workspace.spec
    groups = {
        name: (
            *references,
            *(
                f"@{person}"
                for person in sorted(members.get(name, frozenset()) & spec.people.keys())
            ),
        )
        for name, references in spec.groups.items()
    }
    return replace(workspace, spec=replace(spec, groups=groups))
