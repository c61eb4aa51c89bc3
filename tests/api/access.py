"""Who may do what: every operation of the API, with the roles that it lets in.

A new operation has to be added here; the tests compare this table with the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ROLES = ("viewer", "operator", "approver", "admin", "owner")
ANYBODY = ROLES
OPEN = frozenset({"get_health", "get_readiness"})
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
    "list_agents": Operation(ANYBODY, 200),
    "get_agent": Operation(ANYBODY, 404, parameters={"name": "nobody"}),
    "list_agent_revisions": Operation(ANYBODY, 404, parameters={"name": "nobody"}),
    "apply_manifests": Operation(ADMINS, 422, body=NO_MANIFEST),
    "validate_manifests": Operation(ADMINS, 422, body=NO_MANIFEST),
    "list_memories": Operation(ANYBODY, 200),
    "forget_memory": Operation(MAKERS, 404, parameters={"memory_id": STRANGE_ID}),
    "list_audit_events": Operation(AUDITORS, 200),
    "list_recent_audit_events": Operation(AUDITORS, 200),
    "get_usage": Operation(ANYBODY, 200),
    "get_current_usage": Operation(ANYBODY, 200),
    "list_surfaces": Operation(ANYBODY, 200),
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
