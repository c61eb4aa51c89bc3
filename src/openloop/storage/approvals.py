"""Approval rows: held calls, votes, and the compare-and-sets that make them count once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.approval import Approval, ApprovalState, Vote
from openloop.domain.errors import NotFound
from openloop.domain.ids import ApprovalId, PrincipalId
from openloop.storage import readers, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from openloop.domain.approval import Parked, VoteKind
    from openloop.domain.ids import AgentId, RunId, WorkspaceId
    from openloop.domain.readers import Reader
    from openloop.storage.database import Transaction

EXPIRES_HOURS = 72
"""How long a call might wait that was held before rows said so."""
_COLUMNS = """id, run_id, step_seq, conversation_id, tool, permission, arguments, preconditions, hash,
    card, requested_by, demands, may_edit, solo_mode, rule, state, asked_at, expires_at, round,
    attempt, edited_by, escalated, parked, card_id, told, decided_by, decided_at, reason, result"""
_SELECT = f"SELECT {_COLUMNS} FROM approvals "  # noqa: S608  # a constant column list
_READABLE = readers.of_run("approvals.run_id", "approvals.conversation_id")


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    *,
    agent_id: AgentId,
    token_sha256: bytes,
) -> None:
    """Store a new ask."""
    await tx.send(
        """
        INSERT INTO approvals (workspace_id, id, run_id, step_seq, conversation_id, agent_id, tool,
            permission, arguments, preconditions, hash, card, requested_by, demands, may_edit, solo_mode,
            rule, token_sha256, state, asked_at, expires_at, edited_by, parked, card_id, told)
        VALUES (%(workspace)s, %(id)s, %(run_id)s, %(step_seq)s, %(conversation_id)s, %(agent_id)s,
            %(tool)s, %(permission)s, %(arguments)s, %(preconditions)s, %(hash)s, %(card)s,
            %(requested_by)s, %(demands)s, %(may_edit)s, %(solo_mode)s, %(rule)s, %(token)s, %(state)s,
            %(asked_at)s, %(expires_at)s, %(edited_by)s, %(parked)s, %(card_id)s, %(told)s)
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
            "demands": rows.json(approval.demands),
            "may_edit": approval.may_edit,
            "solo_mode": approval.solo_mode,
            "rule": approval.rule,
            "token": token_sha256,
            "state": approval.state,
            "asked_at": approval.asked_at,
            "expires_at": approval.expires_at,
            "edited_by": approval.edited_by,
            "parked": approval.parked,
            "card_id": approval.card_id,
            "told": list(approval.told),
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


async def find_by_token(tx: Transaction, token_sha256: bytes) -> Approval | None:
    """The approval that a button's token names, with the bytes that it was made for."""
    return await tx.find(
        Approval, _SELECT + "WHERE token_sha256 = %(token)s", {"token": token_sha256}
    )


async def list_of_run(
    tx: Transaction, run_id: RunId, *, reader: Reader | None = None
) -> list[Approval]:
    """The approvals of a run, in the order of their steps; what was asked anew comes later.

    None where `reader` may not know of the run.
    """
    return await tx.all(
        Approval,
        _SELECT
        + "WHERE run_id = %(id)s"
        + readers.only(reader, _READABLE)
        + " ORDER BY step_seq, id",
        {"id": run_id, **readers.parameters(reader)},
    )


async def list_newest(
    tx: Transaction,
    *,
    limit: int,
    before: UUID | None = None,
    state: str | None = None,
    reader: Reader | None = None,
) -> list[Approval]:
    """The newest asks first, of those that `reader` may know of."""
    return await tx.all(
        Approval,
        _SELECT
        + """
        WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
          AND (%(state)s::text IS NULL OR state = %(state)s)
        """
        + readers.only(reader, _READABLE)
        + " ORDER BY id DESC LIMIT %(limit)s",
        {"before": before, "state": state, "limit": limit, **readers.parameters(reader)},
    )


async def add_vote(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    *,
    principal_id: PrincipalId,
    decision: VoteKind,
    via: str,
) -> None:
    """Record who voted what in this attempt; a second vote of the same person is the same vote."""
    await tx.send(
        """
        INSERT INTO votes (workspace_id, approval_id, round, attempt, principal_id, decision, via)
        VALUES (%(workspace)s, %(id)s, %(round)s, %(attempt)s, %(principal_id)s, %(decision)s, %(via)s)
        ON CONFLICT DO NOTHING
        """,
        {
            "workspace": workspace,
            "id": approval.id,
            "round": approval.round,
            "attempt": approval.attempt,
            "principal_id": principal_id,
            "decision": decision,
            "via": via,
        },
    )


async def list_votes(tx: Transaction, id: ApprovalId) -> list[Vote]:
    """Every vote on an approval, in every round, the oldest first."""
    return await tx.all(
        Vote,
        """
        SELECT principal_id, decision, round, attempt, via, voted_at FROM votes
        WHERE approval_id = %(id)s ORDER BY voted_at, principal_id
        """,
        {"id": id},
    )


async def list_votes_of(tx: Transaction, ids: Sequence[ApprovalId]) -> dict[ApprovalId, list[Vote]]:
    """The votes on each of these approvals, the oldest first."""
    found = await tx.tuples(
        """
        SELECT approval_id, principal_id, decision, round, attempt, via, voted_at FROM votes
        WHERE approval_id = ANY(%(ids)s::uuid[]) ORDER BY voted_at, principal_id
        """,
        {"ids": list(ids)},
    )
    votes: dict[ApprovalId, list[Vote]] = {}
    for approval, principal, decision, round, attempt, via, voted_at in found:
        votes.setdefault(ApprovalId(approval), []).append(
            Vote(
                principal_id=PrincipalId(principal),
                decision=decision,
                round=round,
                attempt=attempt,
                via=via,
                voted_at=voted_at,
            )
        )
    return votes


async def save_decision(
    tx: Transaction,
    id: ApprovalId,
    *,
    before: ApprovalState,
    after: ApprovalState,
    by: PrincipalId,
    at: datetime,
    round: int = 1,
    attempt: int = 1,
    reason: str = "",
) -> bool:
    """Write the decision if the approval is still as it was; a round decides once.

    A retry is a decision of its own: it is good for as long as the call might have waited at first.
    """
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = %(after)s, decided_by = %(by)s, decided_at = %(at)s,
                reason = %(reason)s, attempt = %(attempt)s,
                expires_at = CASE WHEN state = 'unknown' THEN greatest(expires_at,
                    openloop.now() + make_interval(
                        hours => coalesce((preconditions->>'expires_hours')::integer, %(hours)s)))
                    ELSE expires_at END
            WHERE id = %(id)s AND state = %(before)s AND round = %(round)s
              AND (state <> 'pending' OR openloop.now() < expires_at)
            """,
            {
                "id": id,
                "before": before,
                "after": after,
                "by": by,
                "at": at,
                "round": round,
                "attempt": attempt,
                "reason": reason,
                "hours": EXPIRES_HOURS,
            },
        )
    )


async def keep_asking(tx: Transaction, approval: Approval) -> None:
    """Somebody wants it tried again, and more have to: for as long as it might have waited at first."""
    await tx.send(
        """
        UPDATE approvals SET attempt = %(attempt)s, expires_at = greatest(expires_at,
            openloop.now() + make_interval(
                hours => coalesce((preconditions->>'expires_hours')::integer, %(hours)s)))
        WHERE id = %(id)s AND state = 'unknown'
        """,
        {"id": approval.id, "attempt": approval.attempt, "hours": EXPIRES_HOURS},
    )


async def next_attempt(tx: Transaction, id: ApprovalId) -> bool:
    """executing -> unknown: nobody knows whether it happened, and no vote lets it run again."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = 'unknown', reason = 'the answer was lost', attempt = attempt + 1
            WHERE id = %(id)s AND state = 'executing'
            """,
            {"id": id},
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


async def consume(tx: Transaction, approval: Approval) -> bool:
    """approved -> executing, for these bytes and this attempt, by the clock of the database.

    The one place where an approval is used up.
    """
    return bool(
        await tx.run(
            """
            UPDATE approvals SET state = 'executing'
            WHERE id = %(id)s AND state = 'approved' AND hash = %(hash)s AND round = %(round)s
              AND attempt = %(attempt)s AND openloop.now() < expires_at
            """,
            {
                "id": approval.id,
                "hash": approval.hash,
                "round": approval.round,
                "attempt": approval.attempt,
            },
        )
    )


async def save_edit(
    tx: Transaction, before: Approval, after: Approval, token_sha256: bytes
) -> bool:
    """Write other bytes, and begin the next round, if the approval is pending and as it was read."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET arguments = %(arguments)s, preconditions = %(preconditions)s,
                hash = %(hash)s, card = %(card)s, demands = %(demands)s, may_edit = %(may_edit)s,
                rule = %(rule)s, solo_mode = %(solo_mode)s, round = round + 1,
                edited_by = %(edited_by)s, token_sha256 = %(token)s
            WHERE id = %(id)s AND state = 'pending' AND round = %(round)s
              AND openloop.now() < expires_at
            """,
            {
                "id": before.id,
                "round": before.round,
                "arguments": after.arguments,
                "preconditions": rows.json(after.preconditions),
                "hash": after.hash,
                "card": rows.json(after.card),
                "demands": rows.json(after.demands),
                "may_edit": after.may_edit,
                "rule": after.rule,
                "solo_mode": after.solo_mode,
                "edited_by": after.edited_by,
                "token": token_sha256,
            },
        )
    )


async def replace_token(tx: Transaction, id: ApprovalId, token_sha256: bytes) -> None:
    """A new card carries a new token; the old buttons are void."""
    await tx.send(
        "UPDATE approvals SET token_sha256 = %(token)s WHERE id = %(id)s",
        {"id": id, "token": token_sha256},
    )


async def limit_time(tx: Transaction, id: ApprovalId, *, hours: int) -> None:
    """It is good for so many hours from now at most."""
    await tx.send(
        """
        UPDATE approvals SET expires_at = least(expires_at,
            openloop.now() + make_interval(hours => %(hours)s)) WHERE id = %(id)s
        """,
        {"id": id, "hours": hours},
    )


async def set_escalated(
    tx: Transaction, approval: Approval, stages: int, *, told: Sequence[PrincipalId]
) -> bool:
    """Note how many stages were told, if nobody has noted it before."""
    return bool(
        await tx.run(
            """
            UPDATE approvals SET escalated = %(stages)s, told = %(told)s
            WHERE id = %(id)s AND state = 'pending' AND escalated = %(before)s
            """,
            {
                "id": approval.id,
                "before": approval.escalated,
                "stages": stages,
                "told": list(told),
            },
        )
    )


async def set_shown(
    tx: Transaction,
    id: ApprovalId,
    *,
    parked: Parked,
    card_id: UUID | None,
    told: Sequence[PrincipalId],
) -> None:
    """On which card it is and whom that names, or why it is on none."""
    await tx.send(
        """
        UPDATE approvals SET parked = %(parked)s, card_id = %(card_id)s, told = %(told)s
        WHERE id = %(id)s
        """,
        {"id": id, "parked": parked, "card_id": card_id, "told": list(told)},
    )


async def wake_parked(tx: Transaction, *, limit: int) -> None:
    """Somebody has room again: runs whose asks wait for that are looked at, the oldest first.

    Whoever is being changed by somebody else is skipped: the run looks again by itself.
    """
    await tx.send(
        """
        -- Arrays, since the planner would ask again for each conversation where it has no statistics.
        UPDATE conversations SET wakes = wakes + 1 WHERE id = ANY(ARRAY(
            SELECT c.id FROM conversations c WHERE c.id = ANY(ARRAY(
                SELECT conversation_id FROM approvals
                WHERE state = 'pending' AND parked = 'approvers' ORDER BY id LIMIT %(limit)s))
            FOR NO KEY UPDATE SKIP LOCKED))
        """,
        {"limit": limit},
    )


async def wake_waiting(tx: Transaction, agent_id: AgentId | None) -> None:
    """What decides has changed: whatever waits for people, of one agent or of all, looks again."""
    await tx.send(
        """
        UPDATE conversations SET wakes = wakes + 1 WHERE id IN (
            SELECT c.id FROM conversations c WHERE c.id IN (
                SELECT conversation_id FROM approvals WHERE state IN ('pending', 'approved')
                  AND (%(agent)s::uuid IS NULL OR agent_id = %(agent)s))
            ORDER BY c.id FOR NO KEY UPDATE)
        """,
        {"agent": agent_id},
    )
