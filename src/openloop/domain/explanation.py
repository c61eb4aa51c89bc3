"""A verdict in full: what the policy says of a call somebody might make, and where that is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, Requester, RunFacts, access_of
from openloop.domain.manifest_agent import McpTool
from openloop.domain.policy import WORKSPACE, Allow, Call, Deny, Hold, judge, terms_of
from openloop.domain.tool import Effect
from openloop.domain.verdict import Demand

if TYPE_CHECKING:
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.strict_yaml import Document, Path, Plain

_VERBS = {
    "read": Effect.READ,
    "write": Effect.WRITE,
    "destroy": Effect.DESTROY,
    "note": Effect.NOTE,
}
_PATH = re.compile(r"spec(?:\.[a-z_]+|\[[^\[\]]+\])*")
_STEP = re.compile(r"\.?([a-z_]+)|\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where a rule stands: in which manifest and revision, and the line there."""

    manifest: str
    revision: int
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One demand of a held call, with the people it stands for today."""

    demand: Demand
    people: tuple[str, ...]
    written: Written | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of a call, by which rule, and what was assumed to say so."""

    agent: str
    revision: int
    call: str
    effect: Effect
    resource: str
    person: str
    place: str
    verdict: Literal["allow", "hold", "deny"]
    rule: str
    written: Written | None
    reason: str = ""
    demands: tuple[Asked, ...] = ()
    expires_hours: int | None = None
    may_edit: bool = False
    assumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A manifest in force: its number, its text, and where everything in it stands."""

    name: str
    number: int
    text: str
    document: Document


def effect_of(permission: str, toolset: str, agent: AgentManifest) -> Effect:
    """What a permission does, by its verb or by what the manifest declares of an MCP tool."""
    for tool in agent.spec.tools:
        if isinstance(tool, McpTool) and tool.name == toolset:
            return Effect(tool.effects.get(permission, "write"))
    return _VERBS.get(permission.rpartition(":")[2], Effect.WRITE)


def explain(
    call: Call,
    *,
    agent: Source,
    workspace: Source,
    manifest: AgentManifest,
    governed_by: WorkspaceManifest,
    requester: Requester,
    place: PlaceClass,
    surface: str,
    assumes: tuple[str, ...] = (),
) -> Explanation:
    """Judge a call of one person in one place, as if the service let them and all was typed."""
    facts = RunFacts(requesters=(requester,), surface=surface, place=place)
    assumed = [*assumes, *_assumed(call, manifest, governed_by, facts)]
    access = access_of(call.effect)
    said = frozenset(
        Answered(
            service=service, person=person, resource=(call.resource or "").lower(), access=access
        )
        for service, person in requester.links.items()
    )
    facts = RunFacts(requesters=(requester,), surface=surface, place=place, answered=said)
    verdict = judge(call, manifest, governed_by, facts)
    reason, demands, hours, may_edit = "", (), None, False
    match verdict:
        case Allow():
            word: Literal["allow", "hold", "deny"] = "allow"
            if call.effect.leaves_us:
                assumed.append(_typed(call, manifest))
        case Hold():
            word, hours, may_edit = "hold", verdict.expires_hours, verdict.may_edit
            demands = tuple(_asked(each, governed_by, agent, workspace) for each in verdict.demands)
        case Deny():
            word, reason = "deny", verdict.reason
    return Explanation(
        agent=agent.name,
        revision=agent.number,
        call=call.gated,
        effect=call.effect,
        resource=call.resource or "",
        person=requester.name,
        place=str(place),
        verdict=word,
        rule=verdict.rule,
        written=where_written(verdict.rule, agent, workspace),
        reason=reason,
        demands=demands,
        expires_hours=hours,
        may_edit=may_edit,
        assumes=tuple(assumed),
    )


def _assumed(
    call: Call, manifest: AgentManifest, governed_by: WorkspaceManifest, facts: RunFacts
) -> list[str]:
    terms = terms_of(call, manifest, governed_by)
    [requester] = facts.requesters
    found = [f"{requester.name} is a full member, as the platform says"]
    if terms is not None and terms.asks_service(facts) and call.toolset in requester.links:
        access, resource = access_of(call.effect), call.resource or "this"
        found.append(f"{call.toolset} says that {requester.name} may {access} {resource}")
    return found


def _typed(call: Call, manifest: AgentManifest) -> str:
    """What a standing rule counts on."""
    if any(isinstance(tool, McpTool) and tool.name == call.toolset for tool in manifest.spec.tools):
        return (
            "each of its arguments was typed by whoever asks: an MCP tool does not say which of them "
            "are recipients, so all of them count"
        )
    return "its recipients, targets and links were typed by whoever asks"


def _asked(
    demand: Demand, governed_by: WorkspaceManifest, agent: Source, workspace: Source
) -> Asked:
    people = {name for each in demand.approvers for name in governed_by.voters(each)}
    bars_requester = demand.not_requester and not governed_by.spec.solo_mode
    return Asked(
        demand=replace(demand, not_requester=bars_requester),
        people=tuple(sorted(people)),
        written=where_written(demand.rule, agent, workspace),
    )


def where_written(rule: str, agent: Source, workspace: Source) -> Written | None:
    """The line of the manifest in which a rule stands; None for a rule that needs no line."""
    found = _PATH.search(rule)
    if found is None:
        return None
    source, kind = (workspace, "Workspace") if WORKSPACE in rule else (agent, "Agent")
    document = source.document
    line = document.key_at(_path(found[0], rule, document)).line
    lines = source.text.splitlines()
    return Written(
        manifest=f"{kind} {source.name}",
        revision=source.number,
        line=line,
        text=lines[line - 1].strip() if 0 < line <= len(lines) else "",
    )


def _path(written: str, rule: str, document: Document) -> Path:
    """The path that a rule names, and the item of a list where the rule quotes it."""
    steps: list[str | int] = []
    for found in _STEP.finditer(written):
        name, index = found[1], found[2]
        steps.append(name or (int(index) if index.isdecimal() else index))
    quoted = rule.partition(f"{written}: ")[2]
    node = _node(document, tuple(steps))
    if isinstance(node, list) and quoted in node:
        steps.append(node.index(quoted))
    return tuple(steps)


def _node(document: Document, path: Path) -> Plain:
    node: Plain = document.value
    for step in path:
        if isinstance(node, dict) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return None
    return node
