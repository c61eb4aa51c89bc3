"""Approval rows: held calls, votes, and the compare-and-sets that make them count once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.approval import Approval, ApprovalState
from openloop.domain.errors import NotFound
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from openloop.domain.approval import Decision
    from openloop.domain.ids import AgentId, ApprovalId, PrincipalId, RunId, WorkspaceId
    from openloop.storage.database import Transaction

_COLUMNS = """id, run_id, step_seq, conversation_id, tool, permission, arguments, preconditions, hash,
    card, requested_by, approvers, solo_mode, rule, state, asked_at, expires_at, decided_by,
    decided_at, reason, result"""
_SELECT = f"SELECT {_COLUMNS} FROM approvals "  # noqa: S608  # a constant column list


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    *,
    agent_id: AgentId,
    token_sha256: bytes,
) -> None:
    """Store a new ask."""
    await tx.run(
        """
        INSERT INTO approvals (workspace_id, id, run_id, step_seq, conversation_id, agent_id, tool,
            permission, arguments, preconditions, hash, card, requested_by, approvers, solo_mode, rule,
            token_sha256, state, asked_at, expires_at)
        VALUES (%(workspace)s, %(id)s, %(run_id)s, %(step_seq)s, %(conversation_id)s, %(agent_id)s,
            %(tool)s, %(permission)s, %(arguments)s, %(preconditions)s, %(hash)s, %(card)s,
            %(requested_by)s, %(approvers)s, %(solo_mode)s, %(rule)s, %(token)s, %(state)s, %(asked_at)s,
            %(expires_at)s)
        """,
        {
            "workspace": workspace,
            "id": approval.id,
            "run_id": approval.run_id,
            "step_seq": approval.step_seq,
            "conversation_id": approval.conversation_id,
            "agent_id": agent_id,
            "tool": approval.tool,
            "permission": approval.permission,
            "arguments": approval.arguments,
            "preconditions": rows.json(approval.preconditions),
            "hash": approval.hash,
            "card": rows.json(approval.card),
            "requested_by": rows.json(approval.requested_by),
            "approvers": list(approval.approvers),
            "solo_mode": approval.solo_mode,
            "rule": approval.rule,
            "token": token_sha256,
            "state": approval.state,
            "asked_at": approval.asked_at,
            "expires_at": approval.expires_at,
        },
    )


async def get(tx: Transaction, id: ApprovalId) -> Approval:
    """The approval of that id."""
    found = await tx.find(Approval, _SELECT + "WHERE id = %(id)s", {"id": id})
    if found is None:
        raise NotFound(f"No approval {id}")
    return found


async def lock(tx: Transaction, id: ApprovalId) -> Approval:
    """The approval, locked until this transaction ends."""
    found = await tx.find(Approval, _SELECT + "WHERE id = %(id)s FOR UPDATE", {"id": id})
    if found is None:
        raise NotFound(f"No approval {id}")
    return found


async def find_by_token(tx: Transaction, token_sha256: bytes) -> ApprovalId | None:
    """Which approval a button's token names."""
    return await tx.value(
        "SELECT id FROM approvals WHERE token_sha256 = %(token)s", {"token": token_sha256}
    )


async def list_of_run(tx: Transaction, run_id: RunId) -> list[Approval]:
    """The approvals of a run, in the order of their steps."""
    return await tx.all(
        Approval, _SELECT + "WHERE run_id = %(id)s ORDER BY step_seq", {"id": run_id}
    )


async def list_newest(
    tx: Transaction, *, limit: int, before: UUID | None = None, state: str | None = None
) -> list[Approval]:
    """The newest asks first."""
    return await tx.all(
        Approval,
        _SELECT
        + """
        WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
          AND (%(state)s::text IS NULL OR state = %(state)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        {"before": before, "state": state, "limit": limit},
    )


async def add_vote(
    tx: Transaction,
    workspace: WorkspaceId,
    id: ApprovalId,
    *,
    principal_id: PrincipalId,
    decision: Decision,
    via: str,
) -> None:
    """Record who voted what; a second vote of the same person is the same vote."""
    await tx.run(
        """
        INSERT INTO votes (workspace_id, approval_id, principal_id, decision, via)
        VALUES (%(workspace)s, %(id)s, %(principal_id)s, %(decision)s, %(via)s)
        ON CONFLICT DO NOTHING
        """,
        {
            "workspace": workspace,
            "id": id,
            "principal_id": principal_id,
            "decision": decision,
            "via": via,
        },
    )


async def save_decision(
    tx: Transaction,
    id: ApprovalId,
    *,
    before: ApprovalState,
    after: ApprovalState,
    by: PrincipalId,
    at: datetime,
    reason: str = "",
) -> bool:
    """Write the decision if the approval is still as it was; a row decides once."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = %(after)s, decided_by = %(by)s, decided_at = %(at)s,
                reason = %(reason)s
            WHERE id = %(id)s AND state = %(before)s
              AND (state <> 'pending' OR openloop.now() < expires_at)
            """,
            {
                "id": id,
                "before": before,
                "after": after,
                "by": by,
                "at": at,
                "reason": reason,
            },
        )
    )


async def move(
    tx: Transaction,
    id: ApprovalId,
    *,
    before: Sequence[ApprovalState],
    after: ApprovalState,
    reason: str | None = None,
    result: object = None,
) -> bool:
    """Compare-and-set of the state; the winner goes on, everybody else has lost."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = %(after)s, reason = coalesce(%(reason)s, reason),
                result = coalesce(%(result)s, result)
            WHERE id = %(id)s AND state = ANY(%(before)s)
            """,
            {
                "id": id,
                "before": [str(state) for state in before],
                "after": after,
                "reason": reason,
                "result": None if result is None else rows.json(result),
            },
        )
    )


async def consume(tx: Transaction, id: ApprovalId, *, hash: str) -> bool:
    """approved -> executing, for these bytes only: the one place where an approval is used up."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = 'executing'
            WHERE id = %(id)s AND state = 'approved' AND hash = %(hash)s
            """,
            {"id": id, "hash": hash},
        )
    )


async def replace_token(tx: Transaction, id: ApprovalId, token_sha256: bytes) -> None:
    """A new card carries a new token; the old buttons are void."""
    await tx.run(
        "UPDATE approvals SET token_sha256 = %(token)s WHERE id = %(id)s",
        {"id": id, "token": token_sha256},
    )
