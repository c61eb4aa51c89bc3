"""Metamorphic: no line can be lost from a manifest in a way that gives anybody more rights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openloop.domain import manifest, strict_yaml
from openloop.domain.manifest import InvalidManifest, Manifest
from openloop.domain.manifest_agent import AgentManifest, McpTool
from openloop.domain.manifest_workspace import WorkspaceManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from openloop.domain.strict_yaml import Plain

EXAMPLES = Path(__file__).parents[2] / "examples"
Right = tuple[object, ...]


def rights(of: Manifest) -> frozenset[Right]:
    """What a manifest lets anybody do, as a set: more members are more rights.

    Left out are numbers that are brakes rather than gates (limits, retention, expiry of an
    approval), when an agent wakes, reads that `require_for` holds on top (it can only add), and the
    fallback of `tools[].repos` to the repositories of the Workspace, which is by design.
    """
    if isinstance(of, WorkspaceManifest):
        return frozenset(_workspace_rights(of))
    return frozenset(_agent_rights(of))


def _agent_rights(agent: AgentManifest) -> Iterator[Right]:
    spec = agent.spec
    for surface in spec.surfaces:
        yield "listens", surface.type, surface.place
    for tool in spec.tools:
        for permission in tool.gated:
            yield "may call", permission
        if isinstance(tool, McpTool):
            yield "server", tool.name, tool.server
        for permission in set(tool.gated) - set(tool.writes):
            yield "not held", permission
    for rule in spec.approvals.allow:
        for repo in rule.repos or ("everything",):
            yield "not held", rule.permission, repo
    for approver in spec.approvals.approvers:
        yield "votes", approver
    yield "guests", spec.guests
    yield "when out of money", spec.budget.on_exceeded
    yield "workspace", agent.metadata.workspace


def _workspace_rights(workspace: WorkspaceManifest) -> Iterator[Right]:
    spec = workspace.spec
    for role, references in spec.roles.items():
        for reference in references:
            yield from _identities(workspace, reference, ("role", role))
    for group in spec.groups:
        yield from _identities(workspace, f"@{group}", ("group", group))
    if spec.solo_mode:
        yield ("solo mode",)
    if spec.integrations.github:
        for repo in spec.integrations.github.repos:
            yield "repo", repo


def _identities(workspace: WorkspaceManifest, reference: str, right: Right) -> Iterator[Right]:
    for name in workspace.members(reference):
        person = workspace.spec.people[name]
        for identity in (person.slack, person.github, person.email):
            if identity is not None:
                yield *right, identity


def money(of: Manifest) -> tuple[Decimal, ...]:
    """The limits of spending, none of which may grow."""
    if isinstance(of, WorkspaceManifest):
        return (of.spec.budget.monthly_usd,)
    return of.spec.budget.monthly_usd, of.spec.budget.per_task_usd


def is_narrower(after: Manifest, before: Manifest) -> bool:
    gained = rights(after) - rights(before)
    return not gained and all(a <= b for a, b in zip(money(after), money(before), strict=True))


def assert_refused_or_narrower(text: str, before: Manifest) -> None:
    try:
        after = manifest.parse(text, name="x.yaml")
    except InvalidManifest:
        return
    assert is_narrower(after, before), f"gained {rights(after) - rights(before)} by\n{text}"


AGENT: dict[str, Any] = {
    "apiVersion": manifest.API_VERSION,
    "kind": "Agent",
    "metadata": {"name": "dev", "workspace": "acme"},
    "spec": {
        "surfaces": [
            {"type": "slack", "channel": "#dev"},
            {"type": "console"},
            {"channel": "eng", "type": "discord"},
            {"type": "github", "repo": "acme/api"},
        ],
        "instructions": "Be brief.\nBe kind.\n",
        "memory": {"scope": "channel", "retention_days": 30},
        "model_policy": {
            "default": "openai/gpt-4o-mini",
            "routes": [
                {"match": {"task": "code"}, "model": "a/b"},
                {"match": {"surface": "slack"}, "model": "a/c"},
            ],
        },
        "tools": [
            {"name": "github", "type": "native", "permissions": ["issues:write", "pulls:read"]},
            {
                "type": "mcp",
                "name": "ci",
                "server": "http://localhost:8931",
                "permissions": ["list_runs", "retry", "logs"],
                "effects": {"list_runs": "read", "logs": "read"},
            },
            {"name": "coding_worker", "type": "native", "permissions": ["pr:write"]},
        ],
        "approvals": {
            "require_for": ["github.pulls:write", "ci.logs", "coding_worker.pr:write"],
            "approvers": ["@priya", "@maintainers"],
            "allow": [
                {"permission": "github.issues:write", "repos": ["acme/docs", "acme/api"]},
                {"permission": "ci.retry"},
            ],
        },
        "budget": {"monthly_usd": 50, "per_task_usd": "0.5", "on_exceeded": "block"},
        "guests": "deny",
    },
}
WORKSPACE: dict[str, Any] = {
    "apiVersion": manifest.API_VERSION,
    "kind": "Workspace",
    "metadata": {"name": "acme"},
    "spec": {
        "people": {
            "anna": {"slack": "U0ANNA", "github": "anna"},
            "ben": {"slack": "U0BEN", "email": "ben@example.com"},
            "priya": {"slack": "U0PRIYA", "github": 4711, "email": "priya@example.com"},
        },
        "groups": {"leads": ["@priya"], "maintainers": ["@anna", "@leads"]},
        "roles": {"owner": ["@priya"], "approver": ["@maintainers"], "viewer": ["@ben"]},
        "solo_mode": False,
        "budget": {"monthly_usd": 200},
        "integrations": {"github": {"repos": ["acme/api"]}, "slack": {"team": "T0ACME"}},
        "prices": {"a/b": {"input_per_million": 1, "output_per_million": 2}},
        "retention": {"messages_days": 10},
    },
}


def written(plain: dict[str, Any]) -> str:
    """An agent with one key or item a line: the form in which a lost line does the most harm.

    A workspace as the reference page asks for it, with each group, role and person on one line:
    where one list of people follows another in block style, losing the key between them joins them.
    """
    style = None if plain.get("kind") == "Workspace" else False
    return yaml.safe_dump(plain, default_flow_style=style, sort_keys=False)


@pytest.mark.parametrize("plain", [AGENT, WORKSPACE], ids=["agent", "workspace"])
def test_losing_any_one_line_is_refused_or_gives_nobody_more(plain: dict[str, Any]) -> None:
    text = written(plain)
    before = manifest.parse(text, name="x.yaml")
    lines = text.splitlines(keepends=True)
    for index in range(len(lines)):
        assert_refused_or_narrower("".join(lines[:index] + lines[index + 1 :]), before)


@pytest.mark.parametrize(
    "path",
    sorted(p for p in EXAMPLES.rglob("*.yaml") if p.parent.name not in ("scripts", "tests")),
    ids=lambda path: path.name,
)
def test_losing_any_one_line_of_an_example_is_refused_or_gives_nobody_more(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    before = manifest.parse("".join(lines), name=path.name)
    for index in range(len(lines)):
        assert_refused_or_narrower("".join(lines[:index] + lines[index + 1 :]), before)


@pytest.mark.parametrize("plain", [AGENT, WORKSPACE], ids=["agent", "workspace"])
def test_losing_the_end_of_the_file_is_refused_or_gives_nobody_more(plain: dict[str, Any]) -> None:
    text = written(plain)
    before = manifest.parse(text, name="x.yaml")
    lines = text.splitlines(keepends=True)
    for index in range(len(lines)):
        assert_refused_or_narrower("".join(lines[:index]), before)


@pytest.mark.parametrize("plain", [AGENT, WORKSPACE], ids=["agent", "workspace"])
def test_any_mistyped_key_of_ours_is_refused(plain: dict[str, Any]) -> None:
    """A person's name, a model and the like are the author's own words and may be any."""
    text = written(plain)
    own = {"people", "groups", "prices", "effects"}
    for path in _keys(plain, ()):
        if own & set(path[:-1]) and path[-2] in own:
            continue
        mistyped = written(_renamed(plain, path))
        assert mistyped != text
        with pytest.raises(InvalidManifest):
            manifest.parse(mistyped, name="x.yaml")


def _keys(value: Plain, path: strict_yaml.Path) -> Iterator[strict_yaml.Path]:
    match value:
        case dict():
            for key, item in value.items():
                yield (*path, key)
                yield from _keys(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _keys(item, (*path, index))
        case _:
            pass


def _renamed(value: Plain, path: strict_yaml.Path) -> Any:
    head, *rest = path
    assert isinstance(value, list | dict)
    if isinstance(value, list):
        return [_renamed(item, tuple(rest)) if i == head else item for i, item in enumerate(value)]
    if rest:
        return {k: _renamed(v, tuple(rest)) if k == head else v for k, v in value.items()}
    return {f"{k}x" if k == head else k: v for k, v in value.items()}


def shuffled(draw: st.DrawFn, value: Plain) -> Any:
    """The same values with keys and items in any order."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(draw, value[key]) for key in keys}
    if isinstance(value, list):
        return [shuffled(draw, item) for item in draw(st.permutations(value))]
    return value


@st.composite
def manifests_and_a_line(draw: st.DrawFn) -> tuple[str, int]:
    text = written(shuffled(draw, draw(st.sampled_from([AGENT, WORKSPACE]))))
    return text, draw(st.integers(0, text.count("\n") - 1))


@given(manifests_and_a_line())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_order_of_keys_makes_a_lost_line_give_anybody_more(drawn: tuple[str, int]) -> None:
    text, index = drawn
    lines = text.splitlines(keepends=True)
    before = manifest.parse(text, name="x.yaml")
    assert_refused_or_narrower("".join(lines[:index] + lines[index + 1 :]), before)


def test_the_measure_sees_a_widening() -> None:
    """Guards the tests above: a gate that is really gone is seen as one."""
    before = manifest.parse(written(AGENT), name="x.yaml")
    spec = {**AGENT["spec"], "approvals": {**AGENT["spec"]["approvals"]}}
    spec["approvals"]["require_for"] = ["github.pulls:write"]
    spec["approvals"]["allow"] = [
        *AGENT["spec"]["approvals"]["allow"],
        {"permission": "coding_worker.pr:write", "repos": ["acme/api"]},
    ]
    after = manifest.parse(written({**AGENT, "spec": spec}), name="x.yaml")
    assert not is_narrower(after, before)
