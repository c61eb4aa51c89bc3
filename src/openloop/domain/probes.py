"""A grid of probe calls: what the policy itself says of them under two configurations.

Nothing here knows how a manifest is meant. Every permission that either side names is asked about
with every effect a tool may declare and every resource that either side names, one that nobody
names, and none, in all circumstances of `domain.circumstances`; whatever the policy lets through
more easily afterwards is a widening.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openloop.domain import circumstances
from openloop.domain.manifest_agent import AgentManifest, NativeTool
from openloop.domain.manifest_approvals import patterns_of
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.policy import Allow, Call, Deny, Hold, judge
from openloop.domain.resources import KEYS
from openloop.domain.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openloop.domain.resources import ResourceKind
    from openloop.domain.verdict import Demand, Escalation

ALWAYS: Final[tuple[tuple[ResourceKind, str | None], ...]] = (
    ("repo", None),
    ("repo", "unnamed/unnamed"),
    ("channel", "UNNAMED"),
    ("host", "unnamed.example"),
)
"""No resource, and of each kind one that no manifest names."""
_RANKS: Final = {Deny: 0, Hold: 1, Allow: 2}
_SAID: Final = {Deny: "denied", Hold: "held for an approval", Allow: "done without asking"}
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An agent under the Workspace manifest that governs it."""

    agent: AgentManifest
    workspace: WorkspaceManifest

    def people(self, references: Iterable[str]) -> frozenset[str]:
        """Everybody that these references stand for."""
        return frozenset(n for each in references for n in self.workspace.members(each))


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """One way in which a configuration lets more happen, where it is written, and in words."""

    path: str
    sentence: str


def probe(before: Side, after: Side) -> list[Widening]:
    """Every call that is let through more easily afterwards, one line per permission and change."""
    calls = list(grid(before, after))
    found: dict[Widening, None] = {}
    told: set[tuple[Call, int]] = set()
    for circumstance in circumstances.grid():
        looser: dict[tuple[str, str, type, type], list[Call]] = {}
        for call in calls:
            facts = circumstance.facts(call)
            was = judge(call, before.agent, before.workspace, facts)
            now = judge(call, after.agent, after.workspace, facts)
            rank = _RANKS[type(now)]
            if rank > _RANKS[type(was)]:
                # What is said of the usual case is not said again of each departure from it.
                if (call, rank) not in told:
                    told.add((call, rank))
                    key = (call.gated, _what(call), type(was), type(now))
                    looser.setdefault(key, []).append(call)
            elif isinstance(was, Hold) and isinstance(now, Hold):
                found.update(dict.fromkeys(_looser_hold(call, was, now, before, after)))
        for (gated, what, was, now), let in looser.items():
            sentence = f"{what}{_where(let)} is {_SAID[now]}, not {_SAID[was]}{circumstance.words}"
            found[Widening(path=_path_of(gated, now, after), sentence=sentence)] = None
    return list(found)


def grid(before: Side, after: Side) -> Iterator[Call]:
    """Every call that is asked about."""
    sides = (before, after)
    named: dict[tuple[str | None, ResourceKind, str], None] = {}
    for side in sides:
        named.update(dict.fromkeys(_resources(side)))
    for toolset, permission in dict.fromkeys(p for side in sides for p in _permissions(side)):
        own: list[tuple[ResourceKind, str | None]] = [
            (kind, each) for of, kind, each in named if of in (toolset, None)
        ]
        for effect in _effects(permission):
            for kind, resource in (*ALWAYS, *own):
                yield Call(
                    toolset=toolset,
                    permission=permission,
                    effect=effect,
                    resource=resource,
                    kind=kind,
                    sinks=circumstances.SINKS,
                    texts=circumstances.TEXTS,
                )


def _permissions(side: Side) -> Iterator[tuple[str, str]]:
    """Named permissions, and the reads that a write of the same resource brings with it."""
    spec, above = side.agent.spec, side.workspace.spec.policy
    named = [(tool.name, each) for tool in spec.tools for each in tool.permissions]
    gated = [*spec.approvals.require_for, *above.require_for]
    gated += [rule.permission for rule in spec.approvals.allow]
    gated += [rule.match.permission for rule in (*spec.approvals.rules, *above.rules)]
    named += [(toolset, rest) for toolset, _, rest in (name.partition(".") for name in gated)]
    for toolset, permission in named:
        yield toolset, permission
        resource, separator, verb = permission.partition(":")
        if separator and verb != "read":
            yield toolset, f"{resource}:read"


def _effects(permission: str) -> tuple[Effect, ...]:
    """What a tool of such a permission may do. Reads under a name that writes come last."""
    if permission.endswith(":read"):
        return (Effect.READ,)
    return (Effect.WRITE, Effect.DESTROY, Effect.READ)


def _resources(side: Side) -> Iterator[tuple[str | None, ResourceKind, str]]:
    """One resource for each pattern, and the toolset for which it is named; None where for all."""
    spec, above = side.agent.spec, side.workspace.spec
    github = above.integrations.github
    for repo in github.repos if github is not None else ():
        yield None, "repo", repo
    matches = [rule.match for rule in (*spec.approvals.rules, *above.policy.rules)]
    for kind in KEYS:
        for tool in spec.tools:
            if isinstance(tool, NativeTool):
                # Single resources of a tool say nothing of their kind.
                for pattern in (*(tool.patterns(kind) or ()), *tool.resources):
                    yield tool.name, kind, pattern.replace("*", "unnamed")
        for entry in (*spec.approvals.allow, *matches):
            for resource in patterns_of(entry, kind) or ():
                yield entry.permission.partition(".")[0], kind, resource


def _what(call: Call) -> str:
    """The permission; a read under a name that writes is not taken for the write."""
    is_named_so = call.effect is not Effect.READ or call.permission.endswith(":read")
    return call.gated if is_named_so else f"reading under {call.gated}"


def _where(calls: Iterable[Call]) -> str:
    resources = dict.fromkeys(call.resource for call in calls if call.resource is not None)
    if any(resource in resources for _, resource in ALWAYS):
        return " anywhere"
    if not resources:
        return ""
    named = list(resources)
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return f" in {', '.join(named[:_SHOWN])}{more}"


def _path_of(gated: str, now: type, after: Side) -> str:
    """Where the permission is let through: a standing rule, else the grant."""
    toolset = gated.partition(".")[0]
    allow = after.agent.spec.approvals.allow
    if now is Allow and any(rule.permission == gated for rule in allow):
        return f"spec.approvals.allow[{gated}]"
    if any(tool.name == toolset for tool in after.agent.spec.tools):
        return f"spec.tools[{toolset}]"
    return "spec.approvals.require_for"


# --- held before and after -----------------------------------------------------------------------


def _looser_hold(call: Call, was: Hold, now: Hold, before: Side, after: Side) -> Iterator[Widening]:
    """How a held call gets through more easily: fewer, other or later votes."""
    for demand in was.demands:
        rivals = [_looser_demand(demand, each, before, after) for each in now.demands]
        if not rivals:
            yield Widening(
                path="spec.approvals", sentence=f"nobody has to agree to {call.gated} any more"
            )
        elif all(rivals):
            nearest = min(range(len(rivals)), key=lambda index: len(rivals[index]))
            rule = now.demands[nearest].rule
            for sentence in rivals[nearest]:
                yield Widening(path=_written(rule), sentence=f"{call.gated}: {sentence}")
    if now.expires_hours > was.expires_hours:
        sentence = f"{call.gated}: an approval may come after {now.expires_hours} h, not {was.expires_hours}"
        yield Widening(path=_written(now.rule), sentence=sentence)
    if now.may_edit and not was.may_edit:
        sentence = f"{call.gated}: approvers may change the arguments"
        yield Widening(path=_written(now.rule), sentence=sentence)


def _looser_demand(was: Demand, now: Demand, before: Side, after: Side) -> list[str]:
    """Why votes that meet one demand would not have met the other; empty where they would have."""
    found: list[str] = []
    gained = after.people(now.approvers) - before.people(was.approvers)
    if gained:
        found.append(f"{_names(gained)} may approve it")
    if now.quorum < was.quorum:
        found.append(f"{now.quorum} of the approvers must agree, not {was.quorum}")
    if was.not_requester and not now.not_requester:
        found.append("whoever asked for it may approve it")
    found += _looser_escalation(was.escalation, now.escalation, before, after)
    return found


def _looser_escalation(
    was: tuple[Escalation, ...], now: tuple[Escalation, ...], before: Side, after: Side
) -> Iterator[str]:
    """Somebody who is asked now and was not, or is asked sooner."""
    for step in now:
        known = frozenset[str]().union(
            *(before.people(s.approvers) for s in was if s.after_hours <= step.after_hours)
        )
        gained = after.people(step.approvers) - known
        if gained:
            yield f"{_names(gained)} may approve it after {step.after_hours} h"


def _names(people: Iterable[str]) -> str:
    return ", ".join(f"@{name}" for name in sorted(people))


def _written(rule: str) -> str:
    """Where a rule is written; the general ones are `spec.approvals`."""
    path = rule.partition(":")[0].partition(";")[0].strip()
    return path if "spec." in path else "spec.approvals.approvers"
