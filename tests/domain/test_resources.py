"""Patterns of manifests: what they name, and when one of them names all that another does."""

from __future__ import annotations

import pytest

from openloop.domain.policy import Call, Deny
from openloop.domain.resources import ResourceKind, covers, is_within
from openloop.domain.tool import Effect
from tests import make
from tests.domain.judging import WORKSPACE, judge

COVERED: list[tuple[ResourceKind, str, str]] = [
    ("repo", "acme/platform", "ACME/Platform"),
    ("repo", "Acme/*", "acme/platform"),
    ("host", "api.example.com", "API.example.com"),
    ("host", "*.example.com", "a.example.com"),
    ("host", "*.Example.com", "a.b.example.COM"),
    ("channel", "#general", "general"),
    ("channel", "general", "#general"),
    ("channel", "C0GENERAL", "C0GENERAL"),
]
NOT_COVERED: list[tuple[ResourceKind, str, str]] = [
    ("repo", "acme/platform", "acme/platform2"),
    ("repo", "acme/*", "acme/"),
    ("repo", "acme/*", "acme"),
    ("repo", "acme/*", "acme/platform/issues"),
    ("repo", "acme/*", "acme2/platform"),
    ("repo", "acme/platform", "acme/*"),
    ("host", "*.example.com", "example.com"),
    ("host", "*.example.com", ".example.com"),
    ("host", "*.example.com", "evilexample.com"),
    ("host", "*.example.com", "a.example.com.evil"),
    ("host", "example.com", "a.example.com"),
    ("channel", "#general", "#General"),
    ("channel", "#general", "general2"),
]
WITHIN: list[tuple[ResourceKind, str, str]] = [
    ("repo", "acme/platform", "acme/*"),
    ("repo", "acme/*", "acme/*"),
    ("repo", "ACME/*", "acme/*"),
    ("host", "a.example.com", "*.example.com"),
    ("host", "*.a.example.com", "*.example.com"),
    ("host", "*.Example.com", "*.example.com"),
    ("channel", "#general", "general"),
]
NOT_WITHIN: list[tuple[ResourceKind, str, str]] = [
    ("repo", "acme/*", "acme/platform"),
    ("repo", "acme/*", "acme/x"),
    ("repo", "acme/*", "other/*"),
    ("host", "*.example.com", "example.com"),
    ("host", "*.example.com", "a.example.com"),
    ("host", "*.example.com", "x.example.com"),
    ("host", "*.example.com", "*.a.example.com"),
    ("channel", "#general", "#random"),
]


@pytest.mark.parametrize(("kind", "pattern", "resource"), COVERED)
def test_a_pattern_names_these(kind: ResourceKind, pattern: str, resource: str) -> None:
    assert covers(kind, pattern, resource)


@pytest.mark.parametrize(("kind", "pattern", "resource"), NOT_COVERED)
def test_a_pattern_names_nothing_else(kind: ResourceKind, pattern: str, resource: str) -> None:
    assert not covers(kind, pattern, resource)


@pytest.mark.parametrize(("kind", "pattern", "other"), WITHIN)
def test_one_pattern_is_within_another(kind: ResourceKind, pattern: str, other: str) -> None:
    assert is_within(kind, pattern, other)


@pytest.mark.parametrize(("kind", "pattern", "other"), NOT_WITHIN)
def test_a_wider_pattern_is_not_within(kind: ResourceKind, pattern: str, other: str) -> None:
    assert not is_within(kind, pattern, other)


@pytest.mark.parametrize(
    ("kind", "key"), [("repo", "repos"), ("channel", "channels"), ("host", "hosts")]
)
def test_a_denial_says_under_which_key_a_resource_would_be_named(
    kind: ResourceKind, key: str
) -> None:
    tool = {"name": "github", "type": "native", "permissions": ["issues:read"]}
    bare = make.workspace_manifest({"integrations": {}})
    manifest = make.agent_manifest({"tools": [tool], "approvals": {"approvers": ["@maintainers"]}})
    call = Call(
        toolset="github", permission="issues:read", effect=Effect.READ, resource="a/b", kind=kind
    )
    verdict = judge(call, manifest, bare)
    assert isinstance(verdict, Deny)
    assert verdict.rule == f"spec.tools[0].{key}: empty"
    assert f"`{key}: [" in verdict.reason
    named = {**tool, key: ["c/d" if kind == "repo" else "c.example"]}
    manifest = make.agent_manifest({"tools": [named], "approvals": {"approvers": ["@maintainers"]}})
    verdict = judge(call, manifest, WORKSPACE)
    assert isinstance(verdict, Deny)
    assert verdict.rule == f"spec.tools[0].{key}"
    shown = "repositories" if kind == "repo" else key
    assert verdict.reason == f"a/b is not among the {shown} of this agent"
