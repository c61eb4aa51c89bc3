"""A workspace with one agent, to which a surface's deliveries are handed in: rows, no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import apply
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Misconfigured
from openloop.domain.manifest import load
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.surface import Place
from openloop.storage import principals, runs

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_agent import NativeTool
    from openloop.domain.run import Run
    from openloop.domain.surface import Delivery
    from openloop.plugin import Surface
    from openloop.storage.database import Database
    from openloop.testing.contracts.platform import Incoming

_WORKSPACE = """
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: { name: acme }
spec:
  people: { anna: { slack: U0ANNA } }
  groups: { maintainers: ["@anna"] }
  roles: { approver: ["@maintainers"] }
  budget: { monthly_usd: 1 }
"""
_AGENT = """
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: {{ name: dev-platform, workspace: acme }}
spec:
  surfaces: [{binding}]
  model_policy: {{ default: scripted/contract }}
  approvals: {{ approvers: ["@maintainers"] }}
  budget: {{ monthly_usd: 1, per_task_usd: 1 }}
"""


class Ledger:
    """What became of deliveries, as the database tells it."""

    def __init__(self, database: Database, workspace: WorkspaceId, surface: Surface) -> None:
        self._database = database
        self._workspace = workspace
        self._surface = surface
        self._intake = Intake(database, Configuration())

    async def take(self, delivery: Delivery) -> None:
        """Verify and commit one delivery, as the webhook does.

        Raises:
            Rejected
        """
        accepted = self._surface.accept(delivery)
        for inbound in accepted.events:
            await self._intake.take(inbound, self._workspace)

    async def runs(self) -> list[Run]:
        """Every run there is, newest first."""
        async with self._database.transaction(self._workspace) as tx:
            return await runs.list_newest(tx, limit=100)


async def open_ledger(database: Database, platform: Incoming) -> Ledger:
    """Make a workspace with an agent in the platform's place."""
    workspace = await apply.ensure_workspace(database, "acme")
    async with database.transaction(workspace) as tx:
        by = await principals.put(tx, workspace, name="contract", kind="service", roles=())
    loaded = load(_WORKSPACE, name="workspace.yaml")
    await apply.apply_workspace(database, workspace, loaded, source=_WORKSPACE, by=by, who=SYSTEM)
    assert isinstance(loaded.manifest, WorkspaceManifest)
    agent = _AGENT.format(binding=_binding(platform))
    applied = await apply.apply_agent(
        database,
        workspace,
        load(agent, name="agent.yaml"),
        source=agent,
        governed_by=loaded.manifest,
        world=_World(platform.surface),
        by=by,
        who=SYSTEM,
    )
    if applied.inactive:
        raise Misconfigured(f"{platform.place!r} is no place of this surface: {applied.inactive}")
    return Ledger(database, workspace, platform.surface)


def _binding(platform: Incoming) -> str:
    name = platform.surface.name
    if platform.place is None:
        return f"{{ type: {name} }}"
    key = "repo" if name == "github" else "channel"
    return f'{{ type: {name}, {key}: "{platform.place}" }}'


class _World:
    """A world of one surface, in which every model and tool is in order."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    async def find_place(self, surface: str, name: str) -> Place | str:
        if surface != self._surface.name:
            return f"{surface} is not what is looked at here"
        return await self._surface.find_place(name) or f"no place {name!r}"

    async def model_problem(
        self, model: str, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        return None

    def tool_problem(
        self, tool: NativeTool, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        return None
