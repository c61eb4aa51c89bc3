"""AgentTest manifests: read as strictly as all of them, and never without an expectation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from openloop.domain import agent_test, manifest
from openloop.domain.manifest import InvalidManifest

HEAD = "apiVersion: openloop.ai/v1alpha1\nkind: AgentTest\nmetadata: { name: t, agent: dev }\n"
SAID = '  thread: [ { by: anna, text: "hello" } ]\n'


def load(spec: str) -> agent_test.AgentTest:
    return agent_test.load(f"{HEAD}spec:\n{spec}", name="t.yaml")


def problems(spec: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidManifest) as refused:
        load(spec)
    return [(each.code, each.path) for each in refused.value.found]


def test_a_test_is_read() -> None:
    spec = load(
        SAID
        + "  tools: [ { tool: github__get_issue, content: { number: 7 } } ]\n"
        + '  expect: { asks_approval: ["github.issues:write"], costs_less_than_usd: 0.05 }\n'
    ).spec

    assert spec.thread[0].by == "anna"
    assert spec.mentioned
    assert spec.tools[0].content == {"number": 7}
    assert spec.expect.costs_less_than_usd == Decimal("0.05")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (SAID + "  expect: {}\n", [("agent_test_expects_nothing", "spec.expect")]),
        (
            SAID + "  expect: { stays_silent: true, says: [x] }\n",
            [("agent_test_contradicted", "spec.expect.stays_silent")],
        ),
        (
            SAID + '  expect: { asks_nothing: true, asks_approval: ["a.b:write"] }\n',
            [("agent_test_contradicted", "spec.expect.asks_nothing")],
        ),
        (
            SAID + "  expect: { calls: [a__b], never_calls: [a__b] }\n",
            [
                ("agent_test_contradicted", "spec.expect.calls[0]"),
                ("agent_test_unscripted", "spec.expect.calls[0]"),
            ],
        ),
        (
            SAID + "  expect: { stays_slient: true }\n",
            [("manifest_unknown_key", "spec.expect.stays_slient")],
        ),
        ("  expect: { stays_silent: true }\n", [("manifest_missing_key", "spec.thread")]),
    ],
)
def test_what_tests_nothing_is_refused(spec: str, expected: Any) -> None:
    assert problems(spec) == expected


def test_a_test_is_told_from_a_manifest_and_is_not_applied() -> None:
    text = f"# kind: Agent\n{HEAD}spec:\n{SAID}  expect: {{ stays_silent: true }}\n"

    assert agent_test.is_test(text)
    assert not agent_test.is_test("kind: Agent\n# kind: AgentTest\n")
    with pytest.raises(InvalidManifest, match="openloop agents test"):
        manifest.load(text, name="t.yaml")
