"""The policy: one pure function from (manifests, call, run facts) to Allow, Hold or Deny.

    grant       the agent's manifest names the permission and the resource   else Deny
    rights      everybody who asked may, and everybody who reads along may   else Deny
    effect      a read is made; a write is held ...
    standing    ... unless a rule allows exactly it, its sinks as typed      else Hold
    demands     every rule that matches a held call says who has to agree

Every verdict names the rule that decided and where it is written. A run keeps the revision it
began with; permission questions are decided under that one and the live one, and the stricter
verdict wins, so that a tightening reaches running and waiting runs at their next call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain import rights, sinks
from openloop.domain.audience import PlaceClass, narrowest
from openloop.domain.manifest_agent import McpTool, NativeTool
from openloop.domain.manifest_approvals import names_resources, patterns_of
from openloop.domain.resources import KEYS, ResourceKind, covers
from openloop.domain.rights import Terms
from openloop.domain.tool import Effect
from openloop.domain.verdict import (
    Allow,
    Demand,
    Deny,
    Escalation,
    Hold,
    Verdict,
    distinct,
    stricter,
)

if TYPE_CHECKING:
    from openloop.domain.facts import RunFacts
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_approvals import CallMatch, HoldRule, StandingRule
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.sinks import SinkValue

__all__ = ["Allow", "Call", "Demand", "Deny", "Hold", "Verdict", "judge", "stricter"]

BUILTIN = "memory"
"""The toolset that writes only our own rows; `spec.memory` is its grant."""
WORKSPACE = "workspace "
"""Stands before rules that are written in the Workspace manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the policy looks at: our declarations, the thing that is touched, and whom it reaches.

    `sinks` are the values that decide whom the call reaches; `texts` are all texts it carries,
    looked through for links and mentions where a standing rule would let it pass.
    """

    toolset: str
    permission: str
    effect: Effect
    resource: str | None = None
    kind: ResourceKind = "repo"
    sinks: tuple[SinkValue, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def gated(self) -> str:
        """The permission as `approvals` names it (`github.issues:write`)."""
        return f"{self.toolset}.{self.permission}"


def judge(
    call: Call, agent: AgentManifest, workspace: WorkspaceManifest, facts: RunFacts
) -> Verdict:
    """Decide a call of a run under one revision of its agent."""
    if call.toolset == BUILTIN and not call.effect.leaves_us:
        return rights.told_too_widely(facts) or Allow(rule="spec.memory")
    granted = _grant(call, agent)
    if granted is None:
        reason = f"This agent has no permission {call.gated}"
        return Deny(rule="spec.tools: not granted", reason=reason)
    where, tool = granted
    return (
        _outside(call, where, tool, workspace)
        or rights.problem(
            call.toolset, call.resource, call.effect, terms(call, where, tool, workspace), facts
        )
        or _effect(call, where, agent, workspace, facts)
    )


# --- the agent's part: grants --------------------------------------------------------------------


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


def terms_of(call: Call, agent: AgentManifest, workspace: WorkspaceManifest) -> Terms | None:
    """What a manifest says of the resource of a call; None where it grants none."""
    granted = _grant(call, agent)
    return None if granted is None else terms(call, *granted, workspace)


def terms(
    call: Call, where: str, tool: NativeTool | McpTool, workspace: WorkspaceManifest
) -> Terms:
    """The terms of a granted resource: its own, else its tool's, and never wider than the workspace's."""
    defaults = workspace.spec.policy
    visible_in, requester_rights = tool.visible_in, None
    if isinstance(tool, NativeTool):
        requester_rights = tool.requester_rights
        for name, own in tool.resources.items():
            if call.resource is not None and covers(call.kind, name, call.resource):
                where = f"{where}.resources[{name}]"
                visible_in = own.visible_in or visible_in
                requester_rights = own.requester_rights or requester_rights
                break
    if defaults.visible_in is None:
        shown = PlaceClass(visible_in or PlaceClass.INTERNAL)
    else:
        shown = narrowest(map(PlaceClass, filter(None, (visible_in, defaults.visible_in))))
    return Terms(
        where=where,
        visible_in=shown,
        requester_rights=defaults.requester_rights or requester_rights,
    )


def _grant(call: Call, agent: AgentManifest) -> tuple[str, NativeTool | McpTool] | None:
    for index, tool in enumerate(agent.spec.tools):
        if tool.name != call.toolset:
            continue
        wanted = _granting(call.permission) if isinstance(tool, NativeTool) else {call.permission}
        if not wanted.isdisjoint(tool.permissions):
            return f"spec.tools[{index}]", tool
    return None


def _granting(permission: str) -> frozenset[str]:
    """What grants a permission: itself, and for a read the write of the same resource.

    GitHub's own permissions work so: who may write an issue can read it.
    """
    resource, _, verb = permission.partition(":")
    return frozenset({permission, f"{resource}:write"} if verb == "read" else {permission})


def _outside(
    call: Call, where: str, tool: NativeTool | McpTool, workspace: WorkspaceManifest
) -> Deny | None:
    """Why the thing that is touched is not granted; None where it is, or where there is none."""
    if call.resource is None:
        return None
    key = KEYS[call.kind]
    if isinstance(tool, McpTool):
        return Deny(rule=f"{where}.{key}: empty", reason=f"{tool.name} is granted no {key}")
    patterns = repositories(tool, workspace) if call.kind == "repo" else tool.patterns(call.kind)
    if not patterns:
        return Deny(rule=f"{where}.{key}: empty", reason=_nothing_named(call.kind, tool.name))
    if any(covers(call.kind, pattern, call.resource) for pattern in patterns):
        return None
    named = "repositories" if call.kind == "repo" else key
    reason = f"{call.resource} is not among the {named} of this agent"
    return Deny(rule=f"{where}.{key}", reason=reason)


def _nothing_named(kind: ResourceKind, tool: str) -> str:
    match kind:
        case "repo":
            return (
                f"No repository is named for {tool}: add `repos: [owner/name]` to the tool, "
                "or `integrations: { github: { repos: [owner/name] } }` to the Workspace"
            )
        case "channel":
            return f'No channel is named for {tool}: add `channels: ["#name"]` to the tool'
        case "host":
            return f"No host is named for {tool}: add `hosts: [api.example.com]` to the tool"


# --- the effect ----------------------------------------------------------------------------------


def _effect(
    call: Call,
    where: str,
    agent: AgentManifest,
    workspace: WorkspaceManifest,
    facts: RunFacts,
) -> Verdict:
    approvals, above = agent.spec.approvals, workspace.spec.policy
    if call.gated in approvals.require_for:
        return _hold(f"spec.approvals.require_for: {call.gated}", call, agent, workspace)
    if call.gated in above.require_for:
        rule = f"{WORKSPACE}spec.policy.require_for: {call.gated}"
        return _hold(rule, call, agent, workspace)
    if not call.effect.leaves_us:
        return Allow(rule=f"{where}.permissions: {call.permission}")
    for index, rule in enumerate(approvals.allow):
        if rule.permission == call.gated and _names(rule, call):
            written = f"spec.approvals.allow[{index}]"
            missing = _missing(rule, call, facts)
            if missing is None:
                return Allow(rule=written)
            return _hold(f"{written} {missing}", call, agent, workspace)
    return _hold(f"writes are held: {call.gated}", call, agent, workspace)


def _names(rule: StandingRule | CallMatch, call: Call) -> bool:
    """True where a rule names the resource of a call; one that names none is for calls without."""
    if call.resource is None:
        return not names_resources(rule)
    named = patterns_of(rule, call.kind) or ()
    return any(covers(call.kind, each, call.resource) for each in named)


def _missing(rule: StandingRule, call: Call, facts: RunFacts) -> str | None:
    """What a standing rule lacks to let a call pass; None where it lets it."""
    for requester in facts.requesters:
        if not requester.may_run:
            return f"is for operators, admins and owners, and {requester.name} is none"
    if rights.is_blind(call.toolset, call.resource, facts):
        return f"needs {call.toolset} to say who reads what is written, since this run has read"
    typed = [text for requester in facts.requesters for text in requester.typed]
    sink = sinks.unmatched(call.sinks, typed)
    if sink is not None:
        return f"needs {sink.argument} to be typed by whoever asks"
    if rule.links == "typed":
        links = (value for text in call.texts for value in sinks.reaching_out(text))
        link = sinks.unmatched(links, typed)
        if link is not None:
            return f"needs {link.spellings[0][:100]!r} to be typed by whoever asks"
    return None


# --- who decides ---------------------------------------------------------------------------------


def _hold(rule: str, call: Call, agent: AgentManifest, workspace: WorkspaceManifest) -> Verdict:
    """Held for everybody whom a matching rule names, else for the approvers of the agent.

    Rules of the workspace come on top: they never take the place of what the agent asks for.
    """
    approvals = agent.spec.approvals
    own = list(_matching(approvals.rules, "spec.approvals.rules", call))
    above = list(_matching(workspace.spec.policy.rules, f"{WORKSPACE}spec.policy.rules", call))
    demands = [_demand(where, each) for where, each in (*own, *above)]
    if not own and approvals.approvers:
        plain = Demand(rule="spec.approvals.approvers", approvers=approvals.approvers)
        demands.insert(0, plain)
    if not demands:
        return Deny(rule=rule, reason=f"{call.gated} is held, and nobody may decide it")
    hours = [each.expires_hours or approvals.expires_hours for _, each in (*own, *above)]
    matched = [each.may_edit for _, each in (*own, *above)]
    return Hold(
        rule=rule,
        demands=distinct(tuple(demands)),
        expires_hours=min((*hours, approvals.expires_hours) if not own else hours),
        may_edit=bool(own) and all(matched),
    )


def _matching(rules: tuple[HoldRule, ...], path: str, call: Call) -> Iterator[tuple[str, HoldRule]]:
    for index, rule in enumerate(rules):
        match = rule.match
        fits = match.permission == call.gated and match.effect in (None, str(call.effect))
        if fits and (not names_resources(match) or _names(match, call)):
            yield f"{path}[{index}]", rule


def _demand(where: str, rule: HoldRule) -> Demand:
    return Demand(
        rule=where,
        approvers=rule.approvers,
        quorum=rule.quorum,
        not_requester=rule.not_requester,
        escalation=tuple(
            Escalation(after_hours=step.after_hours, approvers=step.approvers)
            for step in rule.escalation
        ),
    )
