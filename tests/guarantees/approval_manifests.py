"""The manifests of a moment of the model's world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.guarantees.approval_rules import World

PEOPLE = ("anna", "ben", "mallory", "priya")
PER_RUN, PER_APPROVER = 4, 6


def workspace_spec(world: World) -> dict[str, Any]:
    """The Workspace manifest of a moment."""
    groups = {"maintainers": world.maintainers, "security": world.security}
    return {
        "people": {name: {"slack": f"U0{name.upper()}"} for name in PEOPLE},
        "groups": {
            name: [f"@{who}" for who in sorted(members)] for name, members in groups.items()
        },
        "roles": {
            "owner": [f"@{who}" for who in sorted(world.owners)],
            "approver": [f"@{who}" for who in sorted(world.approvers)],
            "operator": ["@ben"],
        },
        "solo_mode": world.solo_mode,
        "asks": {"per_run": PER_RUN, "per_approver": PER_APPROVER},
    }


def agent_spec(world: World, *, wording: str = "") -> dict[str, Any]:
    """The Agent manifest of a moment."""
    if not world.is_granted:
        return {"tools": [], "approvals": {}, "instructions": wording}
    later = [{"after_hours": 4, "approvers": ["@security"]}] if world.rule.escalates else []
    rule = {
        "match": {"permission": "github.issues:write"},
        "approvers": ["@maintainers"],
        "quorum": world.rule.quorum,
        "may_edit": world.rule.may_edit,
        "escalation": later,
    }
    approvals = {"approvers": ["@maintainers"], "rules": [rule]}
    return {"approvals": approvals, "instructions": wording}
