"""What is mutated, and which tests look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

AREAS: Mapping[str, tuple[str, ...]] = {
    "policy": (
        *("domain/policy", "domain/verdict", "domain/rights", "domain/audience", "domain/sinks"),
        *("domain/typed", "domain/resources", "domain/facts", "domain/circumstances"),
        *("runtime/gate", "runtime/inquiry", "runtime/disclosing"),
    ),
    "approvals": (
        *("domain/approval", "actions/vote", "actions/voters", "actions/requesters"),
        *("actions/asking", "actions/cards", "actions/waiting", "actions/opening"),
        *("actions/editing", "actions/breaking", "actions/calls", "actions/twins"),
        *("actions/buttons", "storage/approvals", "storage/cards", "storage/glasses"),
        *("storage/requesters", "storage/room", "runtime/editing"),
    ),
    "budgets": (
        *("domain/budget", "domain/budget_rules", "storage/budgets", "storage/accounts"),
        *("storage/extensions", "storage/usage", "actions/extending", "actions/model_calls"),
        *("runtime/budgeting",),
    ),
}

MODULES = tuple(module for modules in AREAS.values() for module in modules)

_ROWS = (
    *(
        "tests/actions",
        "tests/runtime",
        "tests/api/test_approvals.py",
        "tests/api/test_resources.py",
        *("tests/api/test_doors.py", "tests/api/test_login_again.py"),
    ),
    "tests/guarantees/test_approval_mutants.py",
)
TESTS: Mapping[str, tuple[str, ...]] = {
    "policy": (
        *("tests/domain", "tests/runtime", "tests/actions/test_effects.py"),
        *("tests/actions/test_targets.py", "tests/api/test_dry_run.py"),
    ),
    "approvals": ("tests/domain/test_approval.py", *_ROWS),
    "budgets": (
        *("tests/domain/test_budget.py", "tests/domain/test_budget_rules.py"),
        *("tests/domain/test_manifest.py", *_ROWS),
    ),
}
"""Only those that touch the changed line are played."""
ABOUT: Mapping[str, tuple[str, ...]] = {
    "policy": (
        *("policy", "gate", "inquiry", "rights", "sinks", "facts", "targets", "resources"),
        *("typed", "addresses", "circumstances"),
    ),
    "approvals": (
        *("approval", "quorum", "vote", "editing", "breaking", "batches", "room", "twins"),
        *("people", "targets", "requester"),
    ),
    "budgets": (
        *("budget", "limits", "charge", "extensions", "extending", "tight", "model_calls"),
        *("account_rows", "usage_rows"),
    ),
}
"""Words in the names of files whose tests are played first: they are about this very area."""
