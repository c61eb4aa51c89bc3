"""Metamorphic: what the policy lets through when a line of a manifest is lost.

The written manifests are judged over a grid of calls, people and places. A lost line is refused, or
lets nothing through that was not let through before - but for the lines that make one thing
stricter than the default: those are named here, one by one, and nothing else may join them.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import yaml

from openloop.domain import manifest
from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Access, Answered, Requester, RunFacts, Seen
from openloop.domain.manifest import InvalidManifest
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict, judge
from openloop.domain.principal import Role
from openloop.domain.sinks import SinkValue
from openloop.domain.tool import Effect

AGENT: dict[str, Any] = {
    "apiVersion": manifest.API_VERSION,
    "kind": "Agent",
    "metadata": {"name": "dev", "workspace": "acme"},
    "spec": {
        "surfaces": [{"type": "slack", "channel": "#dev"}],
        "model_policy": {"default": "openai/gpt-4o-mini"},
        "tools": [
            {
                "name": "github",
                "type": "native",
                "permissions": ["issues:write", "issues:destroy", "pulls:read"],
                "repos": ["acme/*", "other/tools"],
                "visible_in": "guests",
                "requester_rights": "grant",
                "resources": {
                    "acme/website": {"visible_in": "public"},
                    "acme/payroll": {"visible_in": "private", "requester_rights": "own"},
                    "acme/vault": {"requester_rights": "own"},
                },
            },
            {
                "name": "web",
                "type": "native",
                "permissions": ["pages:read"],
                "hosts": ["*.acme.example"],
            },
        ],
        "approvals": {
            "require_for": ["github.pulls:read", "github.issues:destroy"],
            "approvers": ["@priya"],
            "allow": [
                {
                    "permission": "github.issues:write",
                    "repos": ["acme/website", "other/tools"],
                    "links": "any",
                }
            ],
            "rules": [
                {
                    "match": {"permission": "github.issues:destroy", "repos": ["acme/vault"]},
                    "approvers": ["@maintainers"],
                    "quorum": 2,
                    "expires_hours": 4,
                    "not_requester": False,
                    "may_edit": True,
                    "escalation": [{"after_hours": 2, "approvers": ["@ben"]}],
                },
                {
                    "match": {"permission": "github.issues:write", "effect": "write"},
                    "approvers": ["@anna"],
                },
            ],
            "expires_hours": 24,
        },
        "budget": {"monthly_usd": 50, "per_task_usd": "0.5"},
    },
}
WORKSPACE: dict[str, Any] = {
    "apiVersion": manifest.API_VERSION,
    "kind": "Workspace",
    "metadata": {"name": "acme"},
    "spec": {
        "people": {name: {"github": name} for name in ("anna", "ben", "priya")},
        "groups": {"maintainers": ["@anna", "@priya"]},
        "roles": {"approver": ["@maintainers", "@ben"]},
        "budget": {"monthly_usd": 200},
        "integrations": {"github": {"repos": ["acme/api"]}},
        "policy": {
            "require_for": ["web.pages:read"],
            "rules": [
                {
                    "match": {"permission": "github.issues:destroy"},
                    "approvers": ["@priya"],
                    "quorum": 1,
                }
            ],
            "visible_in": "guests",
            "requester_rights": "own",
        },
    },
}
PLAIN = {**WORKSPACE, "spec": {k: v for k, v in WORKSPACE["spec"].items() if k != "policy"}}

STRICTER_THAN_THE_DEFAULT = {
    # A key that is lost with its only value below it is refused: an empty value means nothing.
    "agent": {
        "- github.pulls:read",
        "visible_in: private",
        "requester_rights: own",
        "quorum: 2",
        "expires_hours: 4",
        "expires_hours: 24",
    },
    "workspace": {
        "visible_in: guests",
        "requester_rights: own",
    },
}
"""The only lines that widen when they are lost. `openloop plan` shows each of them as a widening."""

REPOS = ("acme/website", "acme/payroll", "acme/vault", "acme/api", "other/tools", "evil/x")
CALLS = [
    *(
        Call(toolset="github", permission=f"{kind}:{effect}", effect=effect, resource=repo)
        for kind, effect, repo in product(("issues", "pulls"), (Effect.READ, Effect.WRITE), REPOS)
    ),
    *(
        Call(toolset="github", permission="issues:destroy", effect=Effect.DESTROY, resource=repo)
        for repo in REPOS
    ),
    *(
        Call(
            toolset="github",
            permission="issues:write",
            effect=Effect.WRITE,
            resource="acme/website",
            sinks=(SinkValue(argument="to", spellings=(to,)),),
            texts=(text,),
        )
        for to, text in product(("bob@acme.example", "eve@evil.example"), ("hi", "evil.example"))
    ),
    *(
        Call(toolset="web", permission="pages:read", effect=Effect.READ, resource=host, kind="host")
        for host in ("api.acme.example", "evil.example")
    ),
]
PEOPLE = [
    Requester(
        name="ben",
        kind="member",
        roles=(Role.OPERATOR,),
        links={"github": "ben"},
        typed=("tell bob@acme.example",),
    ),
    Requester(name="anna", kind="member", links={"github": "anna"}),
    Requester(name="carl", kind="member", roles=(Role.OWNER,)),
]
ACCESSES: tuple[Access, ...] = ("read", "write")
SEEN = ((), (Seen(source="github:acme/api", visible_in=PlaceClass.INTERNAL),))
FACTS = [
    RunFacts(
        requesters=(who,),
        surface=surface,
        place=place,
        seen=seen,
        answered=frozenset(
            Answered(service="github", person="ben", resource=repo, access=access)
            for repo in REPOS
            for access in ACCESSES
        ),
    )
    for who, place, seen, surface in product(PEOPLE, PlaceClass, SEEN, ("slack", "github"))
]
RANK: dict[type[Verdict], int] = {Deny: 0, Hold: 1, Allow: 2}


def grid(agent: AgentManifest, workspace: WorkspaceManifest) -> list[Verdict]:
    return [judge(call, agent, workspace, facts) for call, facts in product(CALLS, FACTS)]


def widens(before: list[Verdict], after: list[Verdict], workspace: WorkspaceManifest) -> bool:
    return any(_is_wider(was, now, workspace) for was, now in zip(before, after, strict=True))


def _is_wider(was: Verdict, now: Verdict, workspace: WorkspaceManifest) -> bool:
    if not isinstance(was, Hold) or not isinstance(now, Hold):
        return RANK[type(now)] > RANK[type(was)]
    if now.expires_hours > was.expires_hours or (now.may_edit and not was.may_edit):
        return True
    return any(
        not any(_covers(demand, each, workspace) for each in now.demands) for demand in was.demands
    )


def _covers(was: Any, now: Any, workspace: WorkspaceManifest) -> bool:
    """True where whoever meets `now` would have met `was`; votes of fewer people count as stricter."""

    def people(demand: Any) -> set[str]:
        named = (*demand.approvers, *(n for step in demand.escalation for n in step.approvers))
        return {name for each in named for name in workspace.members(each)}

    return (
        people(now) <= people(was)
        and now.quorum >= was.quorum
        and (now.not_requester or not was.not_requester)
    )


def written(plain: dict[str, Any]) -> list[str]:
    text = yaml.safe_dump(plain, default_flow_style=False, sort_keys=False)
    return text.splitlines(keepends=True)


def parsed(lines: list[str]) -> Any:
    try:
        return manifest.parse("".join(lines), name="x.yaml")
    except InvalidManifest:
        return None


@pytest.mark.parametrize("above", [WORKSPACE, PLAIN], ids=["with policy", "without"])
def test_a_line_lost_from_an_agent_widens_nothing_but_where_it_was_stricter_than_the_default(
    above: dict[str, Any],
) -> None:
    workspace = parsed(written(above))
    lines = written(AGENT)
    before = grid(parsed(lines), workspace)
    widening: set[str] = set()
    for index, line in enumerate(lines):
        after = parsed(lines[:index] + lines[index + 1 :])
        if after is not None and widens(before, grid(after, workspace), workspace):
            widening.add(line.strip())
    assert widening <= STRICTER_THAN_THE_DEFAULT["agent"]
    if above is PLAIN:
        assert widening == STRICTER_THAN_THE_DEFAULT["agent"]


def test_a_line_lost_from_a_workspace_widens_nothing_but_where_it_was_stricter_than_the_default() -> (
    None
):
    agent, lines = parsed(written(AGENT)), written(WORKSPACE)
    workspace = parsed(lines)
    before = grid(agent, workspace)
    widening: set[str] = set()
    for index, line in enumerate(lines):
        after = parsed(lines[:index] + lines[index + 1 :])
        if after is not None and widens(before, grid(agent, after), workspace):
            widening.add(line.strip())
    assert widening == STRICTER_THAN_THE_DEFAULT["workspace"]
