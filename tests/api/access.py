"""Who may do what: every operation of the API, with the roles that it lets in.

A new operation has to be added here; the tests compare this table with the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

ROLES = ("viewer", "operator", "approver", "admin", "owner", "sync")
ANYBODY = ROLES
OPEN = frozenset({"get_health", "get_readiness", "begin_login", "finish_login", "use_login_link"})
STRANGE_ID = "01999999-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Operation:
    """How to ask for an operation, who may, and what those are answered who may."""

    roles: tuple[str, ...]
    status: int
    body: dict[str, Any] | None = None
    parameters: dict[str, str] = field(default_factory=dict[str, str])


MAKERS = ("operator", "admin", "owner")
ADMINS = ("admin", "owner")
AUDITORS = ("approver", "admin", "owner")
ONE_RUN = {"run_id": STRANGE_ID}
ONE_APPROVAL = {"approval_id": STRANGE_ID}
NO_MANIFEST: dict[str, Any] = {"files": [{"name": "a.yaml", "text": "kind: Agent"}]}
NEW_TOKEN = {"principal": "robot", "role": "viewer", "name": "ci"}

OPERATIONS: dict[str, Operation] = {
    "list_runs": Operation(ANYBODY, 200),
    "get_run": Operation(ANYBODY, 404, parameters=ONE_RUN),
    "list_run_steps": Operation(ANYBODY, 404, parameters=ONE_RUN),
    "cancel_run": Operation(MAKERS, 404, body={}, parameters=ONE_RUN),
    "list_approvals": Operation(ANYBODY, 200),
    "get_approval": Operation(ANYBODY, 404, parameters=ONE_APPROVAL),
    "vote_on_approval": Operation(
        ("approver",), 404, body={"decision": "approve"}, parameters=ONE_APPROVAL
    ),
    "edit_approval": Operation(
        ("approver",),
        404,
        body={"arguments": {}, "hash": "0" * 64},
        parameters=ONE_APPROVAL,
    ),
    "withdraw_approval": Operation(MAKERS, 404, body={"reason": "why"}, parameters=ONE_APPROVAL),
    "break_glass": Operation(("owner",), 404, body={"reason": "why"}, parameters=ONE_APPROVAL),
    "list_agents": Operation(ANYBODY, 200),
    "get_agent": Operation(ANYBODY, 404, parameters={"name": "nobody"}),
    "list_agent_revisions": Operation(ANYBODY, 404, parameters={"name": "nobody"}),
    "explain_agent_call": Operation(
        ANYBODY, 404, parameters={"name": "nobody", "?call": "github.issues:write"}
    ),
    "apply_manifests": Operation(ADMINS, 422, body=NO_MANIFEST),
    "validate_manifests": Operation(ADMINS, 422, body=NO_MANIFEST),
    "plan_manifests": Operation(ANYBODY, 422, body=NO_MANIFEST),
    "dry_run_manifests": Operation(ANYBODY, 422, body={**NO_MANIFEST, "hours": 24}),
    "diff_manifests": Operation(ANYBODY, 422, body=NO_MANIFEST),
    "sync_manifests": Operation(
        ("admin", "owner", "sync"), 422, body={**NO_MANIFEST, "origin": "sync here"}
    ),
    "list_manifest_sources": Operation(ANYBODY, 200),
    "list_changes": Operation(ANYBODY, 200),
    "get_change": Operation(ANYBODY, 404, parameters={"change_id": STRANGE_ID}),
    "vote_on_change": Operation(
        ADMINS, 404, body={"decision": "approve"}, parameters={"change_id": STRANGE_ID}
    ),
    "get_effective_agent": Operation(ANYBODY, 404, parameters={"name": "nobody"}),
    "roll_back_agent": Operation(ADMINS, 404, body={}, parameters={"name": "nobody"}),
    "list_workspace_revisions": Operation(ANYBODY, 200),
    "get_effective_workspace": Operation(ANYBODY, 200),
    "roll_back_workspace": Operation(ADMINS, 404, body={}),
    "list_memories": Operation(ANYBODY, 200),
    "forget_memory": Operation(MAKERS, 404, parameters={"memory_id": STRANGE_ID}),
    "list_audit_events": Operation(AUDITORS, 200),
    "list_recent_audit_events": Operation(AUDITORS, 200),
    "export_audit": Operation(ADMINS, 200),
    "list_checkpoints": Operation(AUDITORS, 200),
    "get_audit_status": Operation(AUDITORS, 200),
    "check_effects": Operation(AUDITORS, 200),
    "erase_audit_texts": Operation(("owner",), 422, body={}),
    "explain_run": Operation(AUDITORS, 404, parameters=ONE_RUN),
    "get_usage": Operation(ANYBODY, 200),
    "get_current_usage": Operation(ANYBODY, 200),
    "list_surfaces": Operation(ANYBODY, 200),
    "list_pauses": Operation(ANYBODY, 200),
    "pause": Operation(
        ADMINS, 404, body={"scope": "agent", "agent": "nobody", "reason": "it is loud"}
    ),
    "resume": Operation(ADMINS, 404, body={"scope": "agent", "agent": "nobody"}),
    "list_principals": Operation(ADMINS, 200),
    "offboard_principal": Operation(ADMINS, 404, body={}, parameters={"name": "nobody"}),
    "restore_principal": Operation(("owner",), 404, body={}, parameters={"name": "nobody"}),
    "list_groups": Operation(ANYBODY, 200),
    # These are about whoever asks: here services, which are nobody on a surface.
    "get_me": Operation(ANYBODY, 200),
    "begin_link": Operation((), 403, body={"surface": "hello"}),
    "confirm_link": Operation(ANYBODY, 404, body={"code": "AAAAA-AAAAA"}),
    "unlink": Operation(ANYBODY, 404, parameters={"surface": "slack"}),
    "create_login_link": Operation(ANYBODY, 201, body={}),
    "log_out": Operation(ANYBODY, 422, body={}),
    "list_logins": Operation(("owner",), 200),
    "end_login": Operation(("owner",), 404, parameters={"login_id": STRANGE_ID}),
    "list_tokens": Operation(("owner",), 200),
    "create_token": Operation(("owner",), 201, body=NEW_TOKEN),
    "revoke_token": Operation(("owner",), 404, parameters={"token_id": "abc"}),
    "say_to_agent": Operation(MAKERS, 404, body={"agent": "nobody", "text": "hello"}),
    "list_conversation_messages": Operation(
        ANYBODY, 404, parameters={"conversation_id": STRANGE_ID}
    ),
    # A stream has no end to wait for: a position that cannot be read is refused after the rights.
    "stream_events": Operation(ANYBODY, 400, parameters={"?after": "x"}),
}

Texts: TypeAlias = Literal["none", "of readers"]

TEXTS: dict[str, Texts] = {
    "list_runs": "of readers",
    "get_run": "of readers",
    "list_run_steps": "of readers",
    "cancel_run": "of readers",
    "list_approvals": "of readers",
    "get_approval": "of readers",
    "vote_on_approval": "of readers",
    "edit_approval": "of readers",
    "withdraw_approval": "of readers",
    "break_glass": "of readers",
    "dry_run_manifests": "of readers",
    "list_memories": "of readers",
    "forget_memory": "of readers",
    "list_audit_events": "of readers",
    "list_recent_audit_events": "of readers",
    "export_audit": "of readers",
    "check_effects": "of readers",
    "explain_run": "of readers",
    "say_to_agent": "of readers",
    "list_conversation_messages": "of readers",
    "stream_events": "of readers",
    # Manifests, people, tokens, numbers and hashes.
    **dict.fromkeys(
        (
            "list_agents",
            "get_agent",
            "list_agent_revisions",
            "explain_agent_call",
            "apply_manifests",
            "validate_manifests",
            "plan_manifests",
            "diff_manifests",
            "sync_manifests",
            "list_manifest_sources",
            "list_changes",
            "get_change",
            "vote_on_change",
            "get_effective_agent",
            "roll_back_agent",
            "list_workspace_revisions",
            "get_effective_workspace",
            "roll_back_workspace",
            "list_checkpoints",
            "get_audit_status",
            "erase_audit_texts",
            "get_usage",
            "get_current_usage",
            "list_surfaces",
            "list_pauses",
            "pause",
            "resume",
            "list_principals",
            "offboard_principal",
            "restore_principal",
            "list_groups",
            "get_me",
            "begin_link",
            "confirm_link",
            "unlink",
            "create_login_link",
            "log_out",
            "list_logins",
            "end_login",
            "list_tokens",
            "create_token",
            "revoke_token",
        ),
        "none",
    ),
}
"""What of conversations an operation tells, or changes: nothing, or what its reader may read.

A new operation has to be sorted here; tests/api/test_readers.py looks for a text that gets out.
"""

PATH_PARAMETERS = (
    "run_id",
    "approval_id",
    "memory_id",
    "conversation_id",
    "change_id",
    "token_id",
    "login_id",
    "name",
    "surface",
)
"""What addresses name. The sweep makes one of each in another workspace, and asks for that."""
