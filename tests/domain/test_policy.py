"""The policy: what is not granted is denied, writes are held, and the stricter of two wins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict, is_granted, judge, stricter
from openloop.domain.tool import Effect
from tests import make

WORKSPACE = make.workspace_manifest()
WRITE = Call(
    toolset="github", permission="issues:write", effect=Effect.WRITE, resource="acme/platform"
)
READ = Call(
    toolset="github", permission="issues:read", effect=Effect.READ, resource="acme/platform"
)


def agent(*permissions: str, repos: list[str] | None = None, **approvals: Any) -> Any:
    """An agent with these permissions and rules."""
    tool: dict[str, Any] = {"name": "github", "type": "native", "permissions": list(permissions)}
    if repos is not None:
        tool["repos"] = repos
    return make.agent_manifest(
        {
            "tools": [tool] if permissions else [],
            "approvals": {"approvers": ["@maintainers"], **approvals},
        }
    )


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
def test_memory_is_never_held(effect: Effect) -> None:
    call = Call(toolset="memory", permission="memory:note", effect=effect)
    assert isinstance(judge(call, agent(), WORKSPACE), Allow)


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
    Hold(rule="b", approvers=("@anna",), expires_hours=1),
    Hold(rule="c", approvers=("@priya",), expires_hours=9),
    Allow(rule="d"),
]


@pytest.mark.parametrize("one", VERDICTS)
@pytest.mark.parametrize("other", VERDICTS)
def test_of_every_two_verdicts_the_stricter_wins(one: Verdict, other: Verdict) -> None:
    assert strength(stricter(one, other)) == min(strength(one), strength(other))


def test_of_two_holds_the_card_names_the_live_approvers_and_the_shorter_time() -> None:
    _, begun, live, _ = VERDICTS
    both = stricter(begun, live)
    assert both == Hold(rule="b; c", approvers=("@priya",), expires_hours=1)


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
