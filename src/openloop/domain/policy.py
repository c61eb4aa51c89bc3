"""The policy: one pure function from a manifest and a call to Allow, Hold or Deny.

Every verdict names the rule that decided and where it is written. A run keeps the revision it
began with; permission questions are decided under that one and the live one, and the stricter
verdict wins, so that a tightening reaches running and waiting runs at their next call.
"""

from dataclasses import dataclass

from openloop.domain.manifest_agent import AgentManifest, NativeTool
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.tool import Effect

BUILTIN = "memory"
"""The toolset that writes only our own rows; `spec.memory` is its grant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The call is made at once."""

    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The call waits for one of `approvers` (references of the manifest)."""

    rule: str
    approvers: tuple[str, ...]
    expires_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The call is not made; the model is told `reason`."""

    rule: str
    reason: str


Verdict = Allow | Hold | Deny


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the policy looks at: our declarations and the thing that is touched, no free text."""

    toolset: str
    permission: str
    effect: Effect
    resource: str | None = None

    @property
    def gated(self) -> str:
        """The permission as `approvals` names it (`github.issues:write`)."""
        return f"{self.toolset}.{self.permission}"


def judge(call: Call, agent: AgentManifest, workspace: WorkspaceManifest) -> Verdict:
    """Decide a call under one manifest."""
    if call.toolset == BUILTIN:
        return Allow(rule="spec.memory")
    grant = _grant(call, agent)
    if grant is None:
        reason = f"This agent has no permission {call.gated}"
        return Deny(rule="spec.tools: not granted", reason=reason)
    index, tool = grant
    where = f"spec.tools[{index}]"
    if call.resource is not None:
        repos = repositories(tool, workspace)
        if not repos:
            reason = (
                f"No repository is named for {tool.name}: add `repos: [owner/name]` to the tool, "
                "or `integrations: { github: { repos: [owner/name] } }` to the Workspace"
            )
            return Deny(rule=f"{where}.repos: empty", reason=reason)
        if call.resource.lower() not in (repo.lower() for repo in repos):
            reason = f"{call.resource} is not among the repositories of this agent"
            return Deny(rule=f"{where}.repos", reason=reason)
    return _effect(call, agent, where)


def is_granted(toolset: str, permission: str, agent: AgentManifest) -> bool:
    """True where the manifest grants a permission at all: what is not granted is not shown."""
    call = Call(toolset=toolset, permission=permission, effect=Effect.READ)
    return toolset == BUILTIN or _grant(call, agent) is not None


def repositories(tool: NativeTool, workspace: WorkspaceManifest) -> tuple[str, ...]:
    """The repositories a tool may touch: its own list, else the workspace's."""
    if tool.repos is not None:
        return tool.repos
    github = workspace.spec.integrations.github
    return github.repos if github is not None else ()


def stricter(one: Verdict, other: Verdict) -> Verdict:
    """The verdict that lets less through. Of two holds, whoever decides must be an approver of both;
    the card names those of the second, which is the live one."""
    match one, other:
        case (Deny(), _):
            return one
        case (_, Deny()):
            return other
        case (Hold(), Hold()):
            return Hold(
                rule=one.rule if one.rule == other.rule else f"{one.rule}; {other.rule}",
                approvers=other.approvers,
                expires_hours=min(one.expires_hours, other.expires_hours),
            )
        case (Hold(), Allow()):
            return one
        case (Allow(), Hold() | Allow()):
            return other


def _grant(call: Call, agent: AgentManifest) -> tuple[int, NativeTool] | None:
    for index, tool in enumerate(agent.spec.tools):
        if (
            isinstance(tool, NativeTool)
            and tool.name == call.toolset
            and not _granting(call.permission).isdisjoint(tool.permissions)
        ):
            return index, tool
    return None


def _granting(permission: str) -> frozenset[str]:
    """What grants a permission: itself, and for a read the write of the same resource.

    GitHub's own permissions work so: who may write an issue can read it.
    """
    resource, _, verb = permission.partition(":")
    return frozenset({permission, f"{resource}:write"} if verb == "read" else {permission})


def _effect(call: Call, agent: AgentManifest, where: str) -> Verdict:
    approvals = agent.spec.approvals
    if call.gated in approvals.require_for:
        return _hold(f"spec.approvals.require_for: {call.gated}", agent)
    match call.effect:
        case Effect.READ | Effect.NOTE:
            return Allow(rule=f"{where}.permissions: {call.permission}")
        case Effect.WRITE | Effect.DESTROY:
            for index, rule in enumerate(approvals.allow):
                if rule.permission == call.gated and _covers(rule.repos, call.resource):
                    return Allow(rule=f"spec.approvals.allow[{index}]")
            return _hold(f"writes are held: {call.gated}", agent)


def _covers(repos: tuple[str, ...] | None, resource: str | None) -> bool:
    if repos is None or resource is None:
        return False
    return resource.lower() in (repo.lower() for repo in repos)


def _hold(rule: str, agent: AgentManifest) -> Hold:
    approvals = agent.spec.approvals
    return Hold(rule=rule, approvers=approvals.approvers, expires_hours=approvals.expires_hours)
