"""Manifests for tests, as text, as values, and applied."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from openloop.actions import apply
from openloop.domain import manifest as manifests
from openloop.domain.audit import SYSTEM
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.surface import Place
from openloop.storage import agents, principals
from tests.runtime.fakes import TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.actions.apply import Applied
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.domain.manifest_agent import NativeTool
    from openloop.storage.database import Database

CHANNEL = "DEV"
MODEL = "ollama/test"
WORKSPACE: dict[str, Any] = {
    "people": {
        "priya": {"slack": "U0PRIYA"},
        "anna": {"slack": "U0ANNA"},
        "ben": {"slack": "U0BEN"},
    },
    "groups": {"maintainers": ["@priya", "@anna"]},
    "roles": {"owner": ["@priya"], "approver": ["@maintainers"], "operator": ["@ben"]},
    "budget": {"monthly_usd": 200},
    "integrations": {"slack": {"team": TENANT}, "github": {"repos": ["acme/platform"]}},
    # A thousand tokens are a cent in and two cents out: sums that can be done in the head.
    "prices": {
        MODEL: {
            "input_per_million": 10,
            "output_per_million": 20,
            "max_output_tokens": 10_000,
            "context_window": 100_000,
        }
    },
}
AGENT: dict[str, Any] = {
    "surfaces": [{"type": "slack", "channel": f"#{CHANNEL}"}],
    "model_policy": {"default": MODEL},
    "tools": [{"name": "github", "type": "native", "permissions": ["issues:write"]}],
    "approvals": {
        "require_for": ["github.issues:write"],
        "approvers": ["@maintainers"],
    },
    "budget": {"monthly_usd": 50, "per_task_usd": 5},
    "memory": {"scope": "channel", "backend": "postgres", "retention_days": 90},
}


load = lru_cache(maxsize=64)(manifests.load)
"""Most tests apply the same two texts."""


def workspace_yaml(spec: Mapping[str, Any] | None = None, *, name: str = "acme") -> str:
    """The Workspace manifest, with these parts of its spec replaced."""
    return _manifest("Workspace", {"name": name}, WORKSPACE, spec)


def agent_yaml(
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "dev-platform",
    workspace: str = "acme",
) -> str:
    """The Agent manifest, with these parts of its spec replaced."""
    return _manifest("Agent", {"name": name, "workspace": workspace}, AGENT, spec)


def agent_manifest(spec: Mapping[str, Any] | None = None) -> AgentManifest:
    """The Agent manifest as a value."""
    manifest = load(agent_yaml(spec), name="agent").manifest
    assert isinstance(manifest, AgentManifest)
    return manifest


def workspace_manifest(spec: Mapping[str, Any] | None = None) -> WorkspaceManifest:
    """The Workspace manifest as a value."""
    manifest = load(workspace_yaml(spec), name="workspace").manifest
    assert isinstance(manifest, WorkspaceManifest)
    return manifest


def _manifest(
    kind: str,
    metadata: Mapping[str, str],
    spec: Mapping[str, Any],
    changes: Mapping[str, Any] | None,
) -> str:
    whole = deepcopy(dict(spec)) | dict(changes or {})
    document = {
        "apiVersion": "openloop.ai/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {key: value for key, value in whole.items() if value is not None},
    }
    return json.dumps(document, indent=1)  # JSON is YAML


class EverythingIsThere:
    """The world of an apply in which every name resolves."""

    async def find_place(self, surface: str, name: str) -> Place | str:
        return Place(surface=surface, tenant=TENANT, container=name.lstrip("#").upper())

    async def model_problem(
        self, model: str, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        return None

    def tool_problem(
        self, tool: NativeTool, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        return None


async def owner(database: Database, workspace: WorkspaceId) -> PrincipalId:
    """The service that applies manifests in tests."""
    async with database.transaction(workspace) as tx:
        return await principals.put(tx, workspace, name="applier", kind="service", roles=())


async def applied_workspace(
    database: Database,
    workspace: WorkspaceId,
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "acme",
) -> Applied:
    """Apply the Workspace manifest, with these parts of its spec replaced."""
    text = workspace_yaml(spec, name=name)
    by = await owner(database, workspace)
    return await apply.apply_workspace(
        database, workspace, load(text, name="workspace"), source=text, by=by, who=SYSTEM
    )


async def applied_agent(
    database: Database,
    workspace: WorkspaceId,
    spec: Mapping[str, Any] | None = None,
    *,
    name: str = "dev-platform",
) -> Applied:
    """Apply the Agent manifest, with these parts of its spec replaced."""
    async with database.transaction(workspace) as tx:
        live = await agents.find_workspace_revision(tx)
    assert live is not None
    governed_by = load(live.source, name="workspace").manifest
    assert isinstance(governed_by, WorkspaceManifest)
    text = agent_yaml(spec, name=name, workspace=governed_by.metadata.name)
    return await apply.apply_agent(
        database,
        workspace,
        load(text, name="agent"),
        source=text,
        governed_by=governed_by,
        world=EverythingIsThere(),
        by=await owner(database, workspace),
        who=SYSTEM,
    )
