"""Widening: whatever lets more happen is told, and nothing that narrows is."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import pytest

from openloop.domain import widening
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.probes import Side
from openloop.domain.widening import Each, agent_widenings, workspace_widenings
from tests import manifests

BUDGET: dict[str, Any] = {
    "monthly_usd": 50,
    "daily_usd": 10,
    "per_task_usd": 5,
    "monthly_tokens": 1_000_000,
    "on_exceeded": "ask",
    "extension": {"usd": 10, "at_most_per_month": 2, "approvers": ["@priya"]},
}
AGENT: dict[str, Any] = {
    "budget": BUDGET,
    "surfaces": [{"type": "slack", "channel": "#dev"}, {"type": "console"}],
    "tools": [
        {
            "name": "github",
            "type": "native",
            "permissions": ["issues:write", "pulls:read"],
            "repos": ["acme/platform", "acme/docs"],
        },
        {
            "name": "ci",
            "type": "mcp",
            "server": "http://localhost:8931",
            "permissions": ["list_runs", "retry"],
            "effects": {"list_runs": "read", "retry": "destroy"},
        },
    ],
    "approvals": {
        "require_for": ["github.pulls:read"],
        "approvers": ["@maintainers"],
        "allow": [{"permission": "github.issues:write", "repos": ["acme/docs"]}],
        "rules": [
            {
                "match": {"permission": "github.issues:write", "repos": ["acme/platform"]},
                "approvers": ["@maintainers"],
                "quorum": 2,
                "expires_hours": 24,
                "escalation": [{"after_hours": 4, "approvers": ["@priya"]}],
            }
        ],
        "expires_hours": 48,
    },
    "limits": {"steps": 10, "output_tokens": 2048, "wall_minutes": 10},
    "wake": ["mention"],
}
WORKSPACE: dict[str, Any] = {
    "roles": {
        "owner": ["@priya"],
        "approver": ["@priya", "@anna", "@ben"],
        "operator": ["@ben"],
    },
    "budget": {
        "monthly_usd": 200,
        "per_place": {"monthly_usd": 20},
        "per_person": {"daily_tokens": 100_000},
    },
    "retention": {"messages_days": 20, "tool_payload_days": 30, "memories_days": 40},
    "policy": {
        "require_for": ["github.issues:write"],
        "rules": [
            {"match": {"permission": "github.issues:write"}, "approvers": ["@anna"], "quorum": 1}
        ],
        "visible_in": "internal",
        "requester_rights": "own",
    },
    "access": {
        "login": {"roles": {"platform": ["viewer"]}},
        "slack_groups": {"maintainers": "S0MAINTAIN"},
    },
}


def present(spec: Any) -> Any:
    """Without the keys that have no value."""
    if not isinstance(spec, dict):
        return spec
    entries = cast("dict[str, Any]", spec)
    return {key: present(value) for key, value in entries.items() if value is not None}


def changed(base: Any, path: str, value: Any) -> Any:
    """A copy with one value replaced (`a.0.b`); None removes it."""
    head, _, rest = path.partition(".")
    if isinstance(base, list):
        items: dict[Any, Any] = dict(enumerate(cast("list[Any]", base)))
        return list(_changed(items, int(head), rest, value).values())
    return _changed(dict(base), head, rest, value)


def _changed(here: dict[Any, Any], key: Any, rest: str, value: Any) -> dict[Any, Any]:
    if rest:
        here[key] = changed(here.get(key, {}), rest, value)
    elif value is None:
        del here[key]
    else:
        here[key] = value
    return here


def told(
    agent: dict[str, Any], *, before: dict[str, Any] | None = None, bare: bool = True
) -> list[str]:
    """Where an agent widens."""
    workspace = manifests.workspace_manifest(None if bare else WORKSPACE)
    found = agent_widenings(
        Side(agent=manifests.agent_manifest(before or AGENT), workspace=workspace),
        Side(agent=manifests.agent_manifest(present(agent)), workspace=workspace),
    )
    return [f"{each.path}: {each.sentence}" for each in found]


def told_of_workspace(spec: dict[str, Any], *, before: dict[str, Any] | None = None) -> list[str]:
    found = workspace_widenings(
        manifests.workspace_manifest(before or WORKSPACE),
        manifests.workspace_manifest(spec),
        {"dev-platform": manifests.agent_manifest(AGENT)},
    )
    return [f"{each.path}: {each.sentence}" for each in found]


WIDER_AGENTS: dict[str, tuple[str, Any]] = {
    "a place": ("surfaces.2", {"type": "slack", "channel": "#ops"}),
    "a longer memory": ("memory", {"retention_days": 400}),
    "another model": ("model_policy", {"default": "ollama/other"}),
    "a permission": ("tools.0.permissions", ["issues:write", "pulls:read", "pulls:write"]),
    "a repository": ("tools.0.repos", ["acme/platform", "acme/docs", "acme/secret"]),
    "a pattern": ("tools.0.repos", ["acme/*"]),
    "readers": ("tools.0.visible_in", "public"),
    "readers of one": ("tools.0.resources", {"acme/docs": {"visible_in": "shared"}}),
    "nobody asks the service": ("tools.0.requester_rights", "grant"),
    "another server": ("tools.1.server", "http://elsewhere.example:8931"),
    "a tool of a server": ("tools.1.permissions", ["list_runs", "retry", "delete"]),
    "a lesser effect": ("tools.1.effects", {"list_runs": "read", "retry": "write"}),
    "an absent effect": ("tools.1.effects", {"list_runs": "read"}),
    "nothing is held": ("approvals.require_for", []),
    "an approver": ("approvals.approvers", ["@maintainers", "@ben"]),
    "a standing rule": (
        "approvals.allow",
        [{"permission": "github.issues:write", "repos": ["acme/docs", "acme/platform"]}],
    ),
    "links": (
        "approvals.allow.0",
        {"permission": "github.issues:write", "repos": ["acme/docs"], "links": "any"},
    ),
    "no rule": ("approvals.rules", []),
    "a smaller quorum": ("approvals.rules.0.quorum", 1),
    "an approver of a rule": ("approvals.rules.0.approvers", ["@maintainers", "@ben"]),
    "a longer wait of a rule": ("approvals.rules.0.expires_hours", 48),
    "the requester": ("approvals.rules.0.not_requester", False),
    "edits": ("approvals.rules.0.may_edit", True),
    "an escalation": (
        "approvals.rules.0.escalation",
        [{"after_hours": 4, "approvers": ["@priya", "@ben"]}],
    ),
    "a longer wait": ("approvals.expires_hours", 72),
    "money": ("budget.monthly_usd", 51),
    "money of a day": ("budget.daily_usd", 11),
    "money of a run": ("budget.per_task_usd", 6),
    "no limit of a day": ("budget", {**BUDGET, "daily_usd": None}),
    "more tokens": ("budget", {**BUDGET, "monthly_tokens": 2_000_000}),
    "no limit of tokens": ("budget", {**BUDGET, "monthly_tokens": None}),
    "a warning": ("budget", {**BUDGET, "on_exceeded": "warn", "extension": None}),
    "a larger extension": ("budget.extension.usd", 11),
    "a frequent extension": ("budget.extension.at_most_per_month", 3),
    "approvers of an extension": ("budget.extension.approvers", ["@priya", "@ben"]),
    "other approvers of an extension": ("budget.extension.approvers", []),
    "steps": ("limits.steps", 11),
    "tokens": ("limits.output_tokens", 4096),
    "time": ("limits.wall_minutes", 11),
    "followups": ("wake", ["mention", "followup"]),
}
NARROWER_AGENTS: dict[str, tuple[str, Any]] = {
    "no place": ("surfaces", []),
    "a shorter memory": ("memory", {"retention_days": 4}),
    "words": ("instructions", "Be brief."),
    "a route to a model it has": (
        "model_policy",
        {
            "default": manifests.MODEL,
            "routes": [{"match": {"task": "code"}, "model": manifests.MODEL}],
        },
    ),
    "no tool": ("tools.1", None),
    "a read that a write brings": (
        "tools.0.permissions",
        ["issues:write", "issues:read", "pulls:read"],
    ),
    "fewer repositories": ("tools.0.repos", ["acme/docs"]),
    "readers": ("tools.0.visible_in", "internal"),
    "the service is asked": ("tools.0.requester_rights", "own"),
    "a greater effect": ("tools.1.effects", {"list_runs": "write", "retry": "destroy"}),
    "more is held": ("approvals.require_for", ["github.pulls:read", "ci.list_runs"]),
    "fewer approvers": ("approvals.approvers", ["@anna"]),
    "no standing rule": ("approvals.allow", []),
    "a greater quorum": ("approvals.rules.0.approvers", ["@priya"]),
    "a shorter wait": ("approvals.expires_hours", 12),
    "less money": (
        "budget",
        {**BUDGET, "monthly_usd": 49, "daily_usd": 5, "per_task_usd": 4, "daily_tokens": 1000},
    ),
    "no extension": ("budget", {**BUDGET, "on_exceeded": "block", "extension": None}),
    "fewer steps": ("limits", {"steps": 9, "output_tokens": 1024, "wall_minutes": 9}),
}


@pytest.mark.parametrize("case", WIDER_AGENTS)
def test_what_lets_an_agent_do_more_is_told(case: str) -> None:
    assert told(changed(AGENT, *WIDER_AGENTS[case]))


@pytest.mark.parametrize("case", NARROWER_AGENTS)
def test_what_narrows_an_agent_is_not_told(case: str) -> None:
    spec = changed(AGENT, *NARROWER_AGENTS[case])
    if case == "a greater quorum":
        spec = changed(spec, "approvals.rules.0.quorum", 1)
        before = changed(AGENT, "approvals.rules.0.quorum", 1)
        assert told(spec, before=before) == []
        return
    assert told(spec) == []


def test_nothing_widens_by_being_written_in_another_order() -> None:
    spec = {
        **AGENT,
        "surfaces": AGENT["surfaces"][::-1],
        "tools": AGENT["tools"][::-1],
        "wake": AGENT["wake"][::-1],
    }
    assert told(spec) == []


WIDER_WORKSPACES: dict[str, tuple[str, Any]] = {
    "another id": ("people.priya", {"slack": "U0MALLORY"}),
    "an id more": ("people.ben", {"slack": "U0BEN", "github": "mallory"}),
    "a login": ("people.ben", {"slack": "U0BEN", "login": "mallory"}),
    "a person with an id on GitHub": ("people.mallory", {"github": "priya"}),
    "a person in a mirrored group": ("people.mallory", {"slack": "U0MAL"}),
    "a member": ("groups.maintainers", ["@priya", "@anna", "@ben"]),
    "a role": ("roles.admin", ["@ben"]),
    "another owner": ("roles.owner", ["@priya", "@ben"]),
    "no owner": ("roles.owner", None),
    "an owner less": ("roles.owner", ["@anna"]),
    "solo mode": ("solo_mode", True),
    "asks": ("asks", {"per_run": 21}),
    "money": ("budget.monthly_usd", 201),
    "money of a place": ("budget.per_place.monthly_usd", 21),
    "money of a person": ("budget.per_person", None),
    "a repository": ("integrations.github.repos", ["acme/platform", "acme/secret"]),
    "a team": ("integrations.slack.team", "T0OTHER"),
    "a price": (f"prices.{manifests.MODEL}.input_per_million", 9),
    "no price": (f"prices.{manifests.MODEL}", None),
    "longer texts": ("retention.messages_days", 21),
    "longer payloads": ("retention.tool_payload_days", 31),
    "endless memories": ("retention.memories_days", None),
    "a group of logins": ("access.login.roles", {"platform": ["viewer", "owner"]}),
    "another claim": ("access.login.groups_claim", "teams"),
    "another group of Slack": ("access.slack_groups.maintainers", "S0OTHER"),
    "less is held": ("policy.require_for", []),
    "no rule": ("policy.rules", []),
    "an approver of a rule": ("policy.rules.0.approvers", ["@anna", "@ben"]),
    "another match": ("policy.rules.0.match", {"permission": "github.pulls:write"}),
    "readers": ("policy.visible_in", "guests"),
    "no bound to readers": ("policy.visible_in", None),
    "the manifest speaks": ("policy.requester_rights", None),
}
NARROWER_WORKSPACES: dict[str, tuple[str, Any]] = {
    "a person": ("people.mallory", {"email": "mallory@acme.example"}),
    "fewer members": ("groups.maintainers", ["@priya"]),
    "a group": ("groups.friends", ["@ben"]),
    "less money": ("budget.monthly_usd", 20),
    "a greater price": (f"prices.{manifests.MODEL}.input_per_million", 11),
    "more is held": ("policy.require_for", ["github.issues:write", "github.pulls:write"]),
    "a rule": (
        "policy.rules.1",
        {"match": {"permission": "github.pulls:write"}, "approvers": ["@anna"]},
    ),
    "a shorter wait": ("policy.rules.0.expires_hours", 10),
    "readers": ("policy.visible_in", "private"),
}
FULL = {**manifests.WORKSPACE, **WORKSPACE}


@pytest.mark.parametrize("case", WIDER_WORKSPACES)
def test_what_lets_a_workspace_do_more_is_told(case: str) -> None:
    assert told_of_workspace(changed(FULL, *WIDER_WORKSPACES[case]))


@pytest.mark.parametrize("case", NARROWER_WORKSPACES)
def test_what_narrows_a_workspace_is_not_told(case: str) -> None:
    assert told_of_workspace(changed(FULL, *NARROWER_WORKSPACES[case])) == []


def test_a_group_that_has_a_role_is_told_where_the_role_is() -> None:
    """What makes an owner is an owners' matter, however it is written."""
    before = changed(changed(FULL, "groups.leads", ["@priya"]), "roles.owner", ["@leads"])
    after = changed(before, "groups.leads", ["@anna"])
    found = workspace_widenings(
        manifests.workspace_manifest(before), manifests.workspace_manifest(after), {}
    )
    told = [each.sentence for each in found if each.path == "spec.roles"]
    assert told == ["owner: @anna is new", "owner: @priya is none any more"]


def test_a_group_that_approves_widens_every_agent_that_names_it() -> None:
    found = told_of_workspace(changed(FULL, "groups.maintainers", ["@priya", "@anna", "@ben"]))

    assert "spec.groups.maintainers: @ben is new" in found
    assert any(each.startswith("agent dev-platform: ") and "@ben" in each for each in found)


def test_a_widening_says_what_becomes_possible_and_where() -> None:
    (found,) = told(
        changed(AGENT, "tools.0.repos", ["acme/platform", "acme/docs", "acme/secret"])
        | {"approvals": AGENT["approvals"]}
    )[:1]

    assert found == (
        "spec.tools[github]: github.issues:write in acme/secret is held for an approval, not denied"
    )


def test_a_key_without_a_rule_widens_whenever_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {**widening.AGENT["spec"], "limits": {}}  # type: ignore[index]
    monkeypatch.setattr(widening, "AGENT", {**widening.AGENT, "spec": rules})  # type: ignore[dict-item]

    (found,) = told(changed(AGENT, "limits.steps", 9))

    assert found == "spec.limits.steps: 10 becomes 9, and no rule says that this narrows"


@pytest.mark.parametrize(
    ("kind", "tree"),
    [(AgentManifest, widening.AGENT), (WorkspaceManifest, widening.WORKSPACE)],
    ids=["agent", "workspace"],
)
def test_every_key_of_a_manifest_has_a_rule(kind: type[object], tree: Any) -> None:
    """A new key has to say which way it widens."""
    assert list(unruled(kind, tree, "")) == []


def unruled(kind: Any, tree: Any, path: str) -> Any:
    if callable(tree):
        return
    parts = [each for each in parts_of(kind) if is_dataclass(each)]
    if isinstance(tree, Each):
        for each in parts_of(kind):
            if is_dataclass(each):
                continue
            inner = get_args(each)
            item = inner[0] if inner[-1] is Ellipsis else inner[-1]
            yield from unruled(item, tree.rules, f"{path}[]")
        return
    if tree is None or not parts:
        yield path
        return
    for part in parts:
        hints = get_type_hints(part, include_extras=True)
        for field in fields(part):  # type: ignore[arg-type]
            yield from unruled(hints[field.name], tree.get(field.name), f"{path}.{field.name}")


def parts_of(kind: Any) -> list[Any]:
    """The types that a hint names, without what only says more about them."""
    if get_origin(kind) is Annotated:
        return parts_of(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [
            part for each in get_args(kind) if each is not type(None) for part in parts_of(each)
        ]
    return [kind]
