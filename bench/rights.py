"""What a configuration permits, over a fixed grid: the oracle of `./run bench configuration`.

It shares nothing with the detection of widenings but the policy function, which is what is asked.
Who may release a held call is tried out with votes of people as their platform knows them, after
several times, rather than read from the rules.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, Requester, RunFacts, Seen, access_of
from openloop.domain.manifest_agent import McpTool
from openloop.domain.policy import Allow, Call, Hold, judge
from openloop.domain.principal import Role
from openloop.domain.sinks import SinkValue
from openloop.domain.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.resources import ResourceKind

PERMISSIONS: Final = (
    ("github", "issues:write", Effect.WRITE),
    ("github", "issues:read", Effect.READ),
    ("github", "pulls:write", Effect.DESTROY),
    ("github", "pulls:read", Effect.READ),
    ("mail", "messages:write", Effect.WRITE),
    ("ci-logs", "list_runs", Effect.READ),
    ("ci-logs", "retry", Effect.WRITE),
    ("coding_worker", "pr:write", Effect.WRITE),
)
RESOURCES: Final[tuple[tuple[ResourceKind, str | None], ...]] = (
    ("repo", None),
    ("repo", "acme/platform"),
    ("repo", "acme/docs"),
    ("repo", "acme/secret"),
    ("repo", "tools/any"),
    ("channel", "#ops"),
    ("host", "deep.example.org"),
)
ELAPSED_HOURS: Final = (1, 30, 60, 80)
MOST_VOTERS: Final = 2
REQUESTER: Final = "U0BEN"

Rights = frozenset[tuple[Any, ...]]


def of_agent(agent: AgentManifest, workspace: WorkspaceManifest) -> Rights:
    """Everything that somebody may have of an agent; more members are more rights."""
    found: set[tuple[Any, ...]] = set()
    for circumstance in _circumstances():
        for call in _calls():
            facts = _facts(call, circumstance)
            verdict = judge(call, agent, workspace, facts)
            if isinstance(verdict, Allow):
                found.add(("done", call.gated, call.resource, call.effect, circumstance))
            if not isinstance(verdict, Allow | Hold):
                continue
            found.add(("asked for", call.gated, call.resource, call.effect, circumstance))
            if circumstance == USUAL:
                found |= set(_released(call, verdict, workspace))
    return frozenset(found) | frozenset(_of_spec(agent))


def of_workspace(workspace: WorkspaceManifest) -> Rights:
    """What a workspace itself gives to people, by their ids."""
    spec = workspace.spec
    found: set[tuple[Any, ...]] = set()
    for role, references in spec.roles.items():
        for reference in references:
            found |= {("role", role, each) for each in _identities(workspace, reference)}
    for group in spec.groups:
        found |= {("member", group, each) for each in _identities(workspace, f"@{group}")}
    found |= {("solo mode",)} if spec.solo_mode else set()
    found |= {
        ("login", group, role) for group, roles in spec.access.login.roles.items() for role in roles
    }
    found |= {("mirrored", name, each) for name, each in spec.access.slack_groups.items()}
    # Whoever speaks under one id has the rights of the other at its service.
    found |= {
        ("acts as", person.slack, person.github)
        for person in spec.people.values()
        if person.slack is not None and person.github is not None
    }
    if spec.access.slack_groups:
        found |= {
            ("may be mirrored", person.slack)
            for person in spec.people.values()
            if person.slack is not None
        }
    return frozenset(found)


def amounts(agent: AgentManifest, workspace: WorkspaceManifest) -> dict[str, float]:
    """Numbers of which more is more."""
    spec, above = agent.spec, workspace.spec
    found: dict[str, float] = {
        "month": float(spec.budget.monthly_usd),
        "run": float(spec.budget.per_task_usd),
        "workspace": float(above.budget.monthly_usd),
        "memory days": spec.memory.retention_days,
        "steps": spec.limits.steps,
        "tokens": spec.limits.output_tokens,
        "minutes": spec.limits.wall_minutes,
        "message days": above.retention.messages_days,
        "payload days": above.retention.tool_payload_days,
        "memory days at most": above.retention.memories_days or float("inf"),
        "asks of a run": above.asks.per_run,
        "asks of a person": above.asks.per_approver,
        "runs of the agent at a time": spec.limits.concurrency or float("inf"),
        "runs at a time": above.limits.concurrency or float("inf"),
    }
    for model, price in above.prices.items():
        # A model that looks cheaper gets more done for the same budget.
        found[f"tokens for a dollar of {model}"] = 1 / float(price.output_per_million)
    return found


def _of_spec(agent: AgentManifest) -> Iterator[tuple[Any, ...]]:
    spec = agent.spec
    yield from (("listens", surface.type, surface.place) for surface in spec.surfaces)
    yield from (("model", model) for model in agent.models)
    yield from (("wakes on", wake) for wake in spec.wake)
    for tool in spec.tools:
        if isinstance(tool, McpTool):
            yield "server", tool.name, tool.server
            yield from (
                ("not a write", tool.name, name)
                for name, effect in tool.effects.items()
                if effect == "read"
            )


# --- circumstances -------------------------------------------------------------------------------

Circumstance = tuple[PlaceClass, bool, bool, bool, PlaceClass | None]
USUAL: Final[Circumstance] = (PlaceClass.INTERNAL, True, True, True, None)


def _circumstances() -> Iterator[Circumstance]:
    """Place, linked, typed, with a role, and what was read before."""
    yield USUAL
    for place in (PlaceClass.PRIVATE, PlaceClass.GUESTS, PlaceClass.PUBLIC):
        yield place, True, True, True, None
    yield PlaceClass.INTERNAL, False, True, True, None
    yield PlaceClass.GUESTS, False, True, True, None
    yield PlaceClass.INTERNAL, True, False, True, None
    yield PlaceClass.INTERNAL, True, True, False, None
    yield PlaceClass.PRIVATE, True, True, True, PlaceClass.PRIVATE
    yield PlaceClass.INTERNAL, True, True, True, PlaceClass.INTERNAL


def _calls() -> Iterator[Call]:
    sinks = (SinkValue(argument="to", spellings=("U0TARGET",)),)
    for toolset, permission, effect in PERMISSIONS:
        for kind, resource in RESOURCES:
            yield Call(
                toolset=toolset,
                permission=permission,
                effect=effect,
                resource=resource,
                kind=kind,
                sinks=sinks,
                texts=("look at https://evil.example/x",),
            )


def _facts(call: Call, circumstance: Circumstance) -> RunFacts:
    place, linked, typed, has_role, label = circumstance
    resource, access = (call.resource or "").lower(), access_of(call.effect)
    said = Answered(service=call.toolset, person="ben", resource=resource, access=access)
    return RunFacts(
        requesters=(
            Requester(
                name="ben",
                kind="member",
                roles=(Role.OPERATOR,) if has_role else (),
                links={call.toolset: "ben"} if linked else {},
                typed=("U0TARGET https://evil.example/x" if typed else "U0TARGET",),
            ),
        ),
        surface="slack",
        place=place,
        seen=() if label is None else (Seen(source="other:", visible_in=label),),
        answered=frozenset({said}) if linked else frozenset(),
    )


# --- who releases a held call --------------------------------------------------------------------


def _released(
    call: Call, verdict: Allow | Hold, workspace: WorkspaceManifest
) -> Iterator[tuple[Any, ...]]:
    """Which people, by their id on a platform, let a call through after how many hours."""
    voters = sorted(_names(workspace))
    for size in range(1, MOST_VOTERS + 1):
        for votes in combinations(voters, size):
            for hours in ELAPSED_HOURS:
                if isinstance(verdict, Allow) or _is_met(verdict, votes, hours, workspace):
                    yield "released", call.gated, call.resource, call.effect, votes, hours


def _is_met(hold: Hold, votes: tuple[str, ...], hours: int, workspace: WorkspaceManifest) -> bool:
    if hours > hold.expires_hours:
        return False
    for demand in hold.demands:
        asked = [*demand.approvers]
        for step in demand.escalation:
            asked += step.approvers if step.after_hours <= hours else ()
        entitled = {each for reference in asked for each in _voters(workspace, reference)}
        if demand.not_requester:
            entitled.discard(REQUESTER)
        if len(entitled & set(votes)) < demand.quorum:
            return False
    return True


def _identities(workspace: WorkspaceManifest, reference: str) -> set[str]:
    """Whoever acts for a reference: a person without an id is nobody."""
    found: set[str] = set()
    for name in workspace.members(reference):
        person = workspace.spec.people[name]
        for key in ("slack", "github", "login", "email"):
            identity = getattr(person, key)
            if identity is not None:
                found.add(f"{key} {identity}")
    return found


def _voters(workspace: WorkspaceManifest, reference: str) -> set[str]:
    people = workspace.spec.people
    return {id for name in workspace.members(reference) if (id := people[name].slack) is not None}


def _names(workspace: WorkspaceManifest) -> Mapping[str, None]:
    return dict.fromkeys(p.slack for p in workspace.spec.people.values() if p.slack is not None)
