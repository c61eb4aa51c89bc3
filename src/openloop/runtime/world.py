"""What this installation can tell about the names in a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.domain.policy import repositories
from openloop.domain.surface import Place
from openloop.models.errors import ModelFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openloop.domain.manifest_agent import NativeTool
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.models.client import GatewayClient
    from openloop.models.prices import PriceBook
    from openloop.plugin import Surface
    from openloop.tools.registry import Registry

NOT_YET = frozenset({"discord", "linear", "zoom"})
PLANNED_TOOLSETS = frozenset({"coding_worker"})


class InstalledWorld:
    """Answers from the configured surfaces, the registered tools and the model gateway."""

    def __init__(
        self,
        *,
        surfaces: Mapping[str, Surface],
        registry: Registry,
        models: GatewayClient,
        prices: Callable[[WorkspaceManifest], PriceBook],
    ) -> None:
        self._surfaces = surfaces
        self._registry = registry
        self._models = models
        self._prices = prices

    async def find_place(self, surface: str, name: str) -> Place | str:
        """The stable address of a place, or why there is none.

        Raises:
            Unavailable: the platform cannot be asked at the moment; what is in force stays
        """
        installed = self._surfaces.get(surface)
        if installed is None:
            if surface in NOT_YET:
                return f"the {surface} surface is not supported yet in this version"
            guide = "github-setup" if surface == "github" else surface
            return f"{surface} is not configured: see docs/guides/{guide}.md"
        try:
            found = await installed.find_place(name)
        except Unavailable:
            raise
        except OpenLoopError as error:
            return f"{surface} did not say whether {name!r} exists: {error}"
        return found or f"{surface} has no place {name!r} that this installation can see"

    async def model_problem(
        self, model: str, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """An unknown price or a broken script refuses; a provider without a key is inactive."""
        try:
            facts = self._prices(workspace).get(model)
        except ModelFailure as failure:
            return str(failure), True
        if facts.is_scripted:
            return None
        try:
            providers = await self._models.providers()
        except ModelFailure:
            return "the model gateway cannot be reached at the moment", False
        state = providers.get(facts.provider)
        if state is not None and not state.ready:
            return f"the provider has no key: set {' or '.join(state.keys)}", False
        return None

    def tool_problem(
        self, tool: NativeTool, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """An unknown toolset or permission refuses; one that is not configured is inactive."""
        toolset = self._registry.toolsets.get(tool.name)
        if toolset is None:
            if tool.name in PLANNED_TOOLSETS:
                return "this toolset is not supported yet in this version", False
            if tool.name == "github":
                return "GitHub is not configured: see docs/guides/github-setup.md", False
            return f"there is no toolset {tool.name!r}", True
        known = {declared.permission for declared in toolset.tools}
        unknown = [each for each in tool.permissions if each not in known]
        if unknown:
            have = ", ".join(sorted(known))
            return f"no such permission: {', '.join(unknown)} (there are: {have})", True
        if tool.requester_rights == "own" and toolset.may is None:
            return (
                f"{tool.name} cannot be asked what people may: own rights refuse every call",
                False,
            )
        of_repos = (t.resource is not None and t.resource_kind == "repo" for t in toolset.tools)
        if any(of_repos) and not repositories(tool, workspace):
            return (
                "no repository is named: add `repos: [owner/name]` to the tool, or "
                "`integrations: { github: { repos: [owner/name] } }` to the Workspace",
                False,
            )
        return None
