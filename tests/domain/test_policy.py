"""The policy: what is not granted is denied, writes are held, and the stricter of two wins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict, is_granted, stricter
from openloop.domain.tool import Effect
from openloop.domain.verdict import Demand
from tests import make
from tests.domain.judging import READ, WORKSPACE, WRITE, agent, judge


def test_what_is_not_granted_is_denied() -> None:
    for granted in (agent(), agent("pulls:read"), agent("issues:read")):
        assert isinstance(judge(WRITE, granted, WORKSPACE), Deny)
    assert isinstance(judge(READ, agent("pulls:read"), WORKSPACE), Deny)


def test_who_may_write_may_read_the_same_and_nothing_else() -> None:
    writer = agent("issues:write")
    assert isinstance(judge(READ, writer, WORKSPACE), Allow)
    pulls = Call(
        toolset="github", permission="pulls:read", effect=Effect.READ, resource="acme/platform"
    )
    assert isinstance(judge(pulls, writer, WORKSPACE), Deny)
    assert isinstance(judge(WRITE, agent("issues:read"), WORKSPACE), Deny)
    assert is_granted("github", "issues:read", writer)
    assert not is_granted("github", "issues:write", agent("issues:read"))


def test_every_write_is_held_unless_a_rule_names_exactly_it() -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    repos = ["acme/platform", "acme/other"]
    assert isinstance(judge(WRITE, agent("issues:write"), WORKSPACE), Hold)
    allowed = agent("issues:write", repos=repos, allow=[rule])
    assert isinstance(judge(WRITE, allowed, WORKSPACE), Allow)
    elsewhere = Call(
        toolset="github", permission="issues:write", effect=Effect.WRITE, resource="acme/other"
    )
    assert isinstance(judge(elsewhere, allowed, WORKSPACE), Hold)
    nowhere = Call(toolset="github", permission="issues:write", effect=Effect.WRITE)
    assert isinstance(judge(nowhere, allowed, WORKSPACE), Hold)


def test_a_rule_for_writing_allows_no_destroying() -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    granted = agent("issues:write", "issues:destroy", allow=[rule])
    destroy = Call(
        toolset="github",
        permission="issues:destroy",
        effect=Effect.DESTROY,
        resource="acme/platform",
    )
    assert isinstance(judge(destroy, granted, WORKSPACE), Hold)


def test_require_for_holds_reads_too() -> None:
    held = agent("issues:read", require_for=["github.issues:read"])
    assert isinstance(judge(READ, held, WORKSPACE), Hold)


@pytest.mark.parametrize("resource", ["acme/secret", "evil/platform", "acme/platform2", ""])
def test_a_repository_outside_the_list_is_denied(resource: str) -> None:
    call = Call(toolset="github", permission="issues:write", effect=Effect.WRITE, resource=resource)
    verdict = judge(call, agent("issues:write"), WORKSPACE)
    assert isinstance(verdict, Deny)
    assert verdict.rule == "spec.tools[0].repos"


def test_names_of_repositories_have_no_case() -> None:
    call = Call(
        toolset="github", permission="issues:write", effect=Effect.WRITE, resource="Acme/Platform"
    )
    assert isinstance(judge(call, agent("issues:write"), WORKSPACE), Hold)


def test_a_tools_own_list_replaces_that_of_the_workspace() -> None:
    narrowed = agent("issues:write", repos=["acme/docs"])
    assert isinstance(judge(WRITE, narrowed, WORKSPACE), Deny)


def test_without_any_list_the_line_to_add_is_named() -> None:
    bare = make.workspace_manifest({"integrations": {}})
    verdict = judge(WRITE, agent("issues:write"), bare)
    assert isinstance(verdict, Deny)
    assert "repos: [owner/name]" in verdict.reason


@pytest.mark.parametrize("effect", list(Effect))
def test_memory_is_never_held_and_writes_only_our_own_rows(effect: Effect) -> None:
    call = Call(toolset="memory", permission="memory:note", effect=effect)
    verdict = judge(call, agent(), WORKSPACE)
    assert isinstance(verdict, Deny if effect.leaves_us else Allow)


# --- the stricter of two revisions ---------------------------------------------------------------


def strength(verdict: Verdict) -> int:
    """How much a verdict lets through; less is stricter."""
    match verdict:
        case Deny():
            return 0
        case Hold():
            return 1
        case Allow():
            return 2


REPOS: tuple[str, ...] = ("acme/platform", "acme/docs")
PERMISSIONS = ("issues:read", "issues:write", "pulls:read")
CALLS = [
    Call(
        toolset="github",
        permission=permission,
        effect=Effect.READ if permission.endswith("read") else Effect.WRITE,
        resource=repo,
    )
    for permission in PERMISSIONS
    for repo in REPOS
]


@some.composite
def agents(draw: some.DrawFn) -> Any:
    """Small manifests that differ in all that the policy looks at."""
    permissions = draw(some.lists(some.sampled_from(PERMISSIONS), unique=True))
    repos = draw(some.none() | some.lists(some.sampled_from(REPOS), min_size=1, unique=True))
    gated = [f"github.{permission}" for permission in permissions]
    required = draw(some.lists(some.sampled_from(gated), unique=True)) if gated else []
    allowing = "github.issues:write" in gated and "github.issues:write" not in required
    rules = (
        [{"permission": "github.issues:write", "repos": [draw(some.sampled_from(repos or REPOS))]}]
        if allowing and draw(some.booleans())
        else []
    )
    return agent(
        *permissions,
        repos=repos,
        require_for=required,
        allow=rules,
        approvers=draw(some.sampled_from([["@maintainers"], ["@priya"], ["@anna", "@priya"]])),
        expires_hours=draw(some.sampled_from([1, 24, 72])),
    )


VERDICTS: list[Verdict] = [
    Deny(rule="a", reason="no"),
    Hold(rule="b", demands=(Demand(rule="b", approvers=("@anna",)),), expires_hours=1),
    Hold(rule="c", demands=(Demand(rule="c", approvers=("@priya",)),), expires_hours=9),
    Allow(rule="d"),
]


@pytest.mark.parametrize("one", VERDICTS)
@pytest.mark.parametrize("other", VERDICTS)
def test_of_every_two_verdicts_the_stricter_wins(one: Verdict, other: Verdict) -> None:
    assert strength(stricter(one, other)) == min(strength(one), strength(other))


def test_of_two_holds_both_are_demanded_within_the_shorter_time() -> None:
    _, begun, live, _ = VERDICTS
    assert isinstance(begun, Hold)
    assert isinstance(live, Hold)
    both = stricter(begun, live)
    demands = (*begun.demands, *live.demands)
    assert both == Hold(rule="b; c", demands=demands, expires_hours=1, may_edit=False)
    assert isinstance(both, Hold)
    assert both.approvers == ("@anna", "@priya")


def test_what_two_revisions_ask_alike_is_asked_once_wherever_it_is_written() -> None:
    one = Hold(rule="r", demands=(Demand(rule="rules[0]", approvers=("@anna",)),), expires_hours=5)
    moved = Hold(
        rule="r", demands=(Demand(rule="rules[1]", approvers=("@anna",)),), expires_hours=5
    )
    twice = Hold(
        rule="r",
        demands=(Demand(rule="rules[1]", approvers=("@anna",), quorum=2),),
        expires_hours=5,
    )
    assert stricter(one, moved) == one
    both = stricter(one, twice)
    assert isinstance(both, Hold)
    assert [demand.quorum for demand in both.demands] == [1, 2]


@pytest.mark.parametrize(
    ("one", "other"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_people_may_edit_only_where_both_revisions_let_them(one: bool, other: bool) -> None:  # noqa: FBT001
    holds = [
        Hold(
            rule="r",
            demands=(Demand(rule="r", approvers=("@anna",)),),
            expires_hours=1,
            may_edit=may,
        )
        for may in (one, other)
    ]
    both = stricter(*holds)
    assert isinstance(both, Hold)
    assert both.may_edit is (one and other)


@settings(max_examples=60)
@given(begun=agents(), live=agents(), call=some.sampled_from(CALLS))
def test_the_stricter_of_two_is_as_strict_as_the_stricter_one(
    begun: Any, live: Any, call: Call
) -> None:
    one, other = judge(call, begun, WORKSPACE), judge(call, live, WORKSPACE)
    both, turned = stricter(one, other), stricter(other, one)

    assert strength(both) == min(strength(one), strength(other))
    assert strength(both) == strength(turned)
    if isinstance(both, Hold):
        assert isinstance(turned, Hold)
        hours = [verdict.expires_hours for verdict in (one, other) if isinstance(verdict, Hold)]
        assert both.expires_hours == turned.expires_hours == min(hours)


@settings(max_examples=60)
@given(manifest=agents(), call=some.sampled_from(CALLS))
def test_the_stricter_of_the_same_is_the_same(manifest: Any, call: Call) -> None:
    verdict = judge(call, manifest, WORKSPACE)
    assert stricter(verdict, verdict) == verdict


@settings(max_examples=60)
@given(manifest=agents(), call=some.sampled_from(CALLS))
def test_without_a_grant_nothing_passes_and_without_a_rule_no_write(
    manifest: Any, call: Call
) -> None:
    """No grant, no right; no standing rule, no free write."""
    verdict = judge(call, manifest, WORKSPACE)
    without_tools = judge(call, agent(), WORKSPACE)
    assert isinstance(without_tools, Deny)
    spec = manifest.spec
    without_rules = judge(
        call,
        agent(
            *(p for tool in spec.tools for p in tool.permissions),
            repos=list(spec.tools[0].repos) if spec.tools and spec.tools[0].repos else None,
            require_for=list(spec.approvals.require_for),
        ),
        WORKSPACE,
    )
    assert strength(without_rules) <= strength(verdict)
    if call.effect.leaves_us:
        assert strength(without_rules) < strength(Allow(rule=""))


# --- resources -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "resource", "granted"),
    [
        ("acme/*", "acme/platform", True),
        ("acme/*", "ACME/other", True),
        ("acme/*", "acme2/platform", False),
        ("acme/*", "acme/", False),
        ("acme/*", "acme/a/b", False),
        ("acme/platform", "acme/platform", True),
        ("acme/platform", "acme/platform2", False),
    ],
)
def test_a_pattern_grants_what_it_names(pattern: str, resource: str, granted: bool) -> None:  # noqa: FBT001
    call = Call(toolset="github", permission="issues:read", effect=Effect.READ, resource=resource)
    verdict = judge(call, agent("issues:read", repos=[pattern]), WORKSPACE)
    assert isinstance(verdict, Allow) is granted


@pytest.mark.parametrize(
    ("kind", "key", "pattern", "resource", "granted"),
    [
        ("host", "hosts", "*.acme.example", "api.acme.example", True),
        ("host", "hosts", "*.acme.example", "acme.example", False),
        ("host", "hosts", "*.acme.example", "evilacme.example", False),
        ("host", "hosts", "*.acme.example", ".acme.example", False),
        ("host", "hosts", "acme.example", "API.acme.example", False),
        ("host", "hosts", "acme.example", "ACME.example", True),
        ("channel", "channels", "#dev", "dev", True),
        ("channel", "channels", "#dev", "dev2", False),
    ],
)
def test_channels_and_hosts_are_granted_like_repositories(
    kind: Any,
    key: str,
    pattern: str,
    resource: str,
    granted: bool,  # noqa: FBT001
) -> None:
    tool = {"name": "web", "type": "native", "permissions": ["pages:read"], key: [pattern]}
    manifest = make.agent_manifest({"tools": [tool], "approvals": {}})
    call = Call(
        toolset="web", permission="pages:read", effect=Effect.READ, resource=resource, kind=kind
    )
    assert isinstance(judge(call, manifest, WORKSPACE), Allow) is granted
    without = make.agent_manifest(
        {
            "tools": [{key: value for key, value in tool.items() if key != f"{kind}s"}],
            "approvals": {},
        }
    )
    assert isinstance(judge(call, without, WORKSPACE), Deny)
