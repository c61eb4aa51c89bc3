"""What the first and the last model call of a run write beside the money: one statement each.

Every run passes here, so the rows of several tables are written together; the functions of
`steps`, `runs` and `audit` do the same one by one, for everything that happens less often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from openloop.domain.audit import Who
    from openloop.domain.ids import AgentId, MessageId, OpId, RevisionId, RunId, WorkspaceId
    from openloop.storage.database import Transaction


async def start(
    tx: Transaction,
    workspace: WorkspaceId,
    run_id: RunId,
    *,
    agent_id: AgentId,
    revision_id: RevisionId,
    epoch: int,
    context: dict[str, object],
    model: str,
    by: Who,
    read: Sequence[MessageId],
) -> None:
    """A queued run begins to work: messages read, context journaled, budget rows made, audited."""
    await tx.send(
        """
        WITH r AS (
            UPDATE runs SET state = 'working', model = %(model)s, started_at = openloop.now()
            WHERE id = %(run_id)s AND state = 'queued' RETURNING id),
        m AS (
            UPDATE messages SET read_at = openloop.now(), run_id = coalesce(run_id, %(run_id)s)
            WHERE id = ANY(%(read)s)),
        s AS (
            INSERT INTO steps (workspace_id, run_id, seq, kind, state, epoch, output, finished_at)
            VALUES (%(workspace)s, %(run_id)s, 0, 'context', 'finished', %(epoch)s, %(context)s,
                    openloop.now())),
        b AS (
            INSERT INTO budgets (workspace_id, axis, subject, span, period)
            SELECT %(workspace)s, axis, subject, span, period FROM openloop.budget_keys(
                %(workspace)s, %(agent_id)s, %(run_id)s, openloop.month()) k
            -- Looked for first: a conflict waits for whoever is updating the row.
            WHERE NOT EXISTS (
                SELECT FROM budgets b WHERE (b.subject, b.span, b.period) = (k.subject, k.span, k.period)
                AND b.subject = ANY(ARRAY[%(agent_id)s, %(run_id)s, %(workspace)s]::uuid[]))
            ON CONFLICT DO NOTHING)
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        SELECT %(workspace)s, 'run.started', %(by)s, r.id, r.id,
               jsonb_build_object('model', %(model)s::text, 'revision', %(revision_id)s::uuid) FROM r
        """,
        {
            "workspace": workspace,
            "run_id": run_id,
            "agent_id": agent_id,
            "revision_id": revision_id,
            "epoch": epoch,
            "context": rows.json(context),
            "model": model,
            "by": rows.json(by),
            "read": list(read),
        },
    )


async def finish(
    tx: Transaction,
    workspace: WorkspaceId,
    run_id: RunId,
    seq: int,
    *,
    output: dict[str, object],
    outcome: str,
    model: str,
    by: Who,
    shown: tuple[OpId, UUID, Sequence[str]] | None,
) -> None:
    """The model has answered: its step, the run, and the status that was shown meanwhile are closed.

    `shown` is the status op that was sent: its id, its sender, and where it is.
    """
    await tx.send(
        """
        WITH o AS (
            UPDATE outbox SET state = 'sent', message_ids = %(shown_ids)s, sent_at = openloop.now(),
                attempts = attempts + 1, lease_until = NULL
            WHERE id = %(shown_id)s AND sender = %(shown_by)s AND state = 'sending'),
        s AS (
            UPDATE steps SET state = 'finished', output = %(output)s, finished_at = openloop.now()
            WHERE run_id = %(run_id)s AND seq = %(seq)s AND state <> 'finished'),
        r AS (
            UPDATE runs SET state = 'done', outcome = %(outcome)s, error_code = '',
                ended_at = openloop.now()
            WHERE id = %(run_id)s AND ended_at IS NULL RETURNING id)
        INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id, detail)
        SELECT %(workspace)s, 'run.done', %(by)s, r.id, r.id,
               jsonb_build_object('outcome', %(outcome)s::text, 'model', %(model)s::text) FROM r
        """,
        {
            "workspace": workspace,
            "run_id": run_id,
            "seq": seq,
            "output": rows.json(output),
            "outcome": outcome,
            "model": model,
            "by": rows.json(by),
            "shown_id": shown[0] if shown else None,
            "shown_by": shown[1] if shown else None,
            "shown_ids": list(shown[2]) if shown else [],
        },
    )
