"""The Agent manifest: where an agent listens, what it may do, who decides, what it may spend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le, Len
from pydantic import Discriminator

from openloop.domain.manifest_approvals import Approvals, Channels, RequesterRights, VisibleIn
from openloop.domain.manifest_budget import AgentBudget
from openloop.domain.manifest_parts import (
    ChannelName,
    Count,
    Distinct,
    Few,
    HostPattern,
    Label,
    McpToolName,
    ModelName,
    Permission,
    RepoName,
    RepoPattern,
    ResourceName,
    ServerAddress,
    Slug,
    Some,
    ToolName,
    part,
)
from openloop.domain.resources import KEYS, ResourceKind, covers
from openloop.domain.strict_yaml import Path

WakeFrom: TypeAlias = Literal["write", "triage"]
Watch: TypeAlias = Literal["checks"]
SurfaceName: TypeAlias = Literal["slack", "discord", "github", "linear", "zoom", "console"]
Wake: TypeAlias = Literal["mention", "followup"]
McpEffect: TypeAlias = Literal["read", "write", "destroy"]
RepoPatterns: TypeAlias = Annotated[tuple[RepoPattern, ...], Some, Distinct]
HostPatterns: TypeAlias = Annotated[tuple[HostPattern, ...], Some, Distinct]


@part
class AgentMetadata:
    """Which agent this is, and in which workspace."""

    name: Slug
    workspace: Slug


# --- surfaces ------------------------------------------------------------------------------------


@part
class ChannelBinding:
    """A channel in which the agent is addressed."""

    type: Literal["slack", "discord", "zoom"]
    channel: ChannelName

    @property
    def place(self) -> str:
        """What the manifest calls the place; resolved to a stable id when it is applied."""
        return self.channel


@part
class RepositoryBinding:
    """A repository in whose issues and pull requests the agent is addressed.

    `wake_from` is the least that somebody must be allowed there to wake or steer it. `labels` wake
    it when they are put on an issue; `watch` names what it looks into by itself.
    """

    type: Literal["github"]
    repo: RepoName
    wake_from: WakeFrom = "write"
    labels: Annotated[tuple[Label, ...], Few, Distinct] = ()
    watch: Annotated[tuple[Watch, ...], Few, Distinct] = ()

    @property
    def place(self) -> str:
        """The repository."""
        return self.repo


@part
class TeamBinding:
    """A Linear team in whose issues the agent is addressed."""

    type: Literal["linear"]
    team: Label

    @property
    def place(self) -> str:
        """The team."""
        return self.team


@part
class ConsoleBinding:
    """The terminal of whoever runs `openloop chat`."""

    type: Literal["console"]

    @property
    def place(self) -> str:
        """The terminal has one place."""
        return "console"


SurfaceBinding: TypeAlias = Annotated[
    ChannelBinding | RepositoryBinding | TeamBinding | ConsoleBinding, Discriminator("type")
]


def waking_labels(binding: SurfaceBinding) -> tuple[str, ...]:
    """The labels that wake an agent in a repository, as events name them (`Inbound.wanted_as`)."""
    if not isinstance(binding, RepositoryBinding):
        return ()
    return tuple(label_word(binding.repo, label) for label in binding.labels)


def watching(binding: SurfaceBinding) -> tuple[str, ...]:
    """What an agent looks into by itself in a repository, as events name it (`Inbound.wanted_as`)."""
    if not isinstance(binding, RepositoryBinding):
        return ()
    return tuple(watch_word(binding.repo, what) for what in binding.watch)


def watch_word(repo: str, what: Watch) -> str:
    """How something that is watched in a repository is named."""
    return f"watch:{repo.lower()}:{what}"


def label_word(repo: str, label: str) -> str:
    """How a label of a repository is named: upper and lower case are the same."""
    return f"label:{repo.lower()}:{label.lower()}"


# --- memory and models ---------------------------------------------------------------------------


@part
class MemorySpec:
    """What the agent may remember, and for how long."""

    scope: Literal["channel"] = "channel"
    backend: Literal["postgres"] = "postgres"
    retention_days: Annotated[Count, Ge(1), Le(3650)] = 30


@part
class Match:
    """What a route looks at; both, where both are given."""

    task: Slug | None = None
    surface: SurfaceName | None = None


@part
class Route:
    """The model for runs that match."""

    match: Match
    model: ModelName


@part
class Timeouts:
    """How long one call to a model may take."""

    call_seconds: Annotated[Count, Ge(1), Le(600)] = 120


@part
class ModelPolicy:
    """Which model answers: the first route that matches, else the default."""

    default: ModelName
    routes: Annotated[tuple[Route, ...], Few] = ()
    timeouts: Timeouts = Timeouts()


# --- tools ---------------------------------------------------------------------------------------


@part
class ResourceRights:
    """What is different about single resources of a tool."""

    visible_in: VisibleIn | None = None
    requester_rights: RequesterRights | None = None


@part
class NativeTool:
    """A toolset of an integration, which of its permissions the agent has, and on what.

    `visible_in` is the widest class of place in which what was read may be shown (internal);
    `requester_rights` says whether this manifest speaks for the people who ask (grant) or the
    service has to, for each of them (own). `resources` says both for single ones.
    """

    name: ToolName
    type: Literal["native"]
    permissions: Annotated[tuple[Permission, ...], Some, Distinct]
    repos: RepoPatterns | None = None
    channels: Channels | None = None
    hosts: HostPatterns | None = None
    visible_in: VisibleIn | None = None
    requester_rights: RequesterRights | None = None
    resources: Annotated[Mapping[ResourceName, ResourceRights], Few] = field(
        default_factory=dict[str, ResourceRights]
    )

    def patterns(self, kind: ResourceKind) -> tuple[str, ...] | None:
        """The resources of one kind that it may touch; None where it names none of that kind."""
        match kind:
            case "repo":
                return self.repos
            case "channel":
                return self.channels
            case "host":
                return self.hosts

    @property
    def gated(self) -> tuple[str, ...]:
        """The permissions as `approvals` names them (`github.issues:write`)."""
        return tuple(f"{self.name}.{permission}" for permission in self.permissions)

    @property
    def writes(self) -> tuple[str, ...]:
        """Those of them that change something."""
        return tuple(name for name in self.gated if not name.endswith(":read"))


@part
class McpTool:
    """An MCP server, and which of its tools the agent may call.

    A tool without an effect counts as `write`; what the server says of itself is never asked.
    """

    name: ToolName
    type: Literal["mcp"]
    server: ServerAddress
    permissions: Annotated[tuple[McpToolName, ...], Some, Distinct]
    effects: Annotated[Mapping[McpToolName, McpEffect], Few] = field(
        default_factory=dict[str, McpEffect]
    )
    visible_in: VisibleIn | None = None

    @property
    def gated(self) -> tuple[str, ...]:
        """The tools as `approvals` names them (`ci-logs.list_runs`)."""
        return tuple(f"{self.name}.{permission}" for permission in self.permissions)

    @property
    def writes(self) -> tuple[str, ...]:
        """Those of them that may change something."""
        reads = {tool for tool, effect in self.effects.items() if effect == "read"}
        return tuple(f"{self.name}.{tool}" for tool in self.permissions if tool not in reads)


ToolGrant: TypeAlias = Annotated[NativeTool | McpTool, Discriminator("type")]

# --- limits --------------------------------------------------------------------------------------


@part
class Limits:
    """Where a run ends by itself, and how many runs of the agent work at a time."""

    steps: Annotated[Count, Ge(1), Le(200)] = 20
    output_tokens: Annotated[Count, Ge(256), Le(200_000)] = 4096
    wall_minutes: Annotated[Count, Ge(1), Le(1440)] = 30
    concurrency: Annotated[Count, Ge(1), Le(10_000)] | None = None


@part
class AgentSpec:
    """Everything that an agent is; what is absent is the strictest it can be."""

    surfaces: Annotated[tuple[SurfaceBinding, ...], Few] = ()
    instructions: Annotated[str, Len(0, 20_000)] = ""
    memory: MemorySpec = MemorySpec()
    model_policy: ModelPolicy
    tools: Annotated[tuple[ToolGrant, ...], Few] = ()
    approvals: Approvals = Approvals()
    budget: AgentBudget
    limits: Limits = Limits()
    wake: Annotated[tuple[Wake, ...], Some, Distinct] = ("mention", "followup")
    guests: Literal["deny"] = "deny"


@part
class AgentManifest:
    """One agent."""

    metadata: AgentMetadata
    spec: AgentSpec

    @property
    def models(self) -> frozenset[str]:
        """Every model that a run of this agent may use."""
        policy = self.spec.model_policy
        return frozenset((policy.default, *(route.model for route in policy.routes)))


# --- rules that look at more than one value ------------------------------------------------------

Finding: TypeAlias = tuple[str, Path, str]
"""A code, the path it is about, and a sentence."""


def findings(agent: AgentManifest) -> Iterator[Finding]:
    """What is wrong although every single value is well-formed."""
    yield from _doubled(agent.spec)
    yield from _routes(agent.spec)
    yield from _effects(agent.spec)
    yield from _overrides(agent.spec)


def _doubled(spec: AgentSpec) -> Iterator[Finding]:
    places = [(surface.type, surface.place.removeprefix("#")) for surface in spec.surfaces]
    for index, place in enumerate(places):
        if place in places[:index]:
            message = f"The {place[0]} place {place[1]!r} is bound twice"
            yield "manifest_duplicate", ("spec", "surfaces", index), message
    names = [tool.name for tool in spec.tools]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f"Two tools are called {name!r}"
            yield "manifest_duplicate", ("spec", "tools", index, "name"), message


def _routes(spec: AgentSpec) -> Iterator[Finding]:
    matches = [route.match for route in spec.model_policy.routes]
    for index, match in enumerate(matches):
        path: Path = ("spec", "model_policy", "routes", index, "match")
        if match == Match():
            yield "manifest_invalid_value", path, "A route needs a task or a surface to match"
        elif match in matches[:index]:
            yield "manifest_duplicate", path, "An earlier route matches the same runs"


def _effects(spec: AgentSpec) -> Iterator[Finding]:
    for index, tool in enumerate(spec.tools):
        if not isinstance(tool, McpTool):
            continue
        for name in tool.effects:
            if name not in tool.permissions:
                message = f"{name!r} is not among this tool's permissions"
                yield "manifest_invalid_value", ("spec", "tools", index, "effects", name), message


def _overrides(spec: AgentSpec) -> Iterator[Finding]:
    """Rules for single resources of a tool that grants none such would never apply."""
    for index, tool in enumerate(spec.tools):
        if not isinstance(tool, NativeTool):
            continue
        names_any = any(tool.patterns(kind) for kind in KEYS)
        for name in tool.resources if names_any else ():
            granted = (covers(k, p, name) for k in KEYS for p in tool.patterns(k) or ())
            if not any(granted):
                message = f"{name!r} is not among the resources of {tool.name!r}"
                yield "manifest_invalid_value", ("spec", "tools", index, "resources", name), message
