"""Whoever a manifest names to decide something has to be an approver of the workspace."""

from __future__ import annotations

import pytest

from openloop.domain import manifest
from tests.domain.test_manifest import RULE, WORKSPACE, agent, changed, with_rules, workspace

APPROVERS = """approver: ["@maintainers", '@ben']"""


@pytest.mark.parametrize(
    ("approvers", "codes"),
    [
        ('["@maintainers"], quorum: 1', []),
        ('["@maintainers"], quorum: 2', ["quorum_unreachable"]),
        ('["@maintainers", "@ben"]', ["approver_without_role"]),
        (
            '["@priya"], escalation: [{ after_hours: 1, approvers: ["@ben"] }]',
            ["approver_without_role"],
        ),
    ],
)
def test_whoever_is_named_to_decide_has_the_role_for_it(approvers: str, codes: list[str]) -> None:
    """Somebody of each name, and of them all as many as have to agree."""
    nobody = changed(APPROVERS, 'approver: ["@priya"]', text=WORKSPACE)
    found = manifest.check_references(agent(with_rules(f"{RULE} {approvers}")), workspace(nobody))
    assert [problem.code for problem in found] == codes


def test_a_role_that_a_login_gives_may_be_anybodys() -> None:
    """Who is in a group of the provider is not known before they log in."""
    without = changed(f", {APPROVERS}", "", text=WORKSPACE)
    asked = agent(with_rules(f'{RULE} ["@maintainers"], quorum: 2'))
    assert {p.code for p in manifest.check_references(asked, workspace(without))} == {
        "approver_without_role"
    }
    access = "  access: { login: { roles: { on-call: [approver] } } }\n"
    assert not manifest.check_references(asked, workspace(without + access))
