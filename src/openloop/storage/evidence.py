"""What runs did to the world, beside what the audit says of it: read to be held against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.audit_effects import ApprovalFact, EventFact, OpFact, RunFacts, StepFact
from openloop.storage import readers

if TYPE_CHECKING:
    from openloop.domain.ids import RunId
    from openloop.domain.readers import Reader
    from openloop.storage.database import Transaction


_READABLE = readers.of_run("r.id", "r.conversation_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseOp:
    """An op that belongs to no run, and whose transaction wrote no event."""

    id: UUID
    op: str


async def list_facts(
    tx: Transaction, *, after: RunId | None, limit: int, reader: Reader | None = None
) -> list[RunFacts]:
    """Runs after an id that `reader` may know of, in order, each with its effects and its events.

    One statement, so that all of it is of one moment while other runs go on.
    """
    found = await tx.tuples(
        """
        SELECT r.id::text, r.state,
            (SELECT jsonb_agg(jsonb_build_array(
                    s.seq, s.name, s.effect, s.state, coalesce(s.output->>'outcome', '')))
                FROM steps s WHERE s.run_id = r.id AND s.effect IN ('write', 'destroy')),
            (SELECT jsonb_agg(jsonb_build_array(
                    a.id, a.step_seq, a.hash, a.state, a.parked, a.card_id))
                FROM approvals a WHERE a.run_id = r.id),
            (SELECT jsonb_agg(jsonb_build_array(o.id, o.op->>'op', o.approval_id, o.xid::text))
                FROM outbox o WHERE o.run_id = r.id),
            (SELECT jsonb_agg(jsonb_build_array(
                    e.id, e.xid::text, e.kind, e.subject, e.detail->'step', e.detail->>'hash',
                    e.detail->>'outcome'))
                FROM audit_events e WHERE e.workspace_id = r.workspace_id AND e.run_id = r.id)
        FROM runs r WHERE (%(after)s::uuid IS NULL OR r.id > %(after)s)
        """  # noqa: S608  # followed by constants
        + readers.only(reader, _READABLE)
        + " ORDER BY r.id LIMIT %(limit)s",
        {"after": after, "limit": limit, **readers.parameters(reader)},
    )
    return [
        RunFacts(
            id=id,
            state=state,
            steps=[_step(*values) for values in steps or ()],
            approvals=[_approval(*values) for values in approvals or ()],
            ops=[_op(*values) for values in ops or ()],
            events=[_event(*values) for values in events or ()],
        )
        for id, state, steps, approvals, ops, events in found
    ]


async def list_lost_runs(
    tx: Transaction, *, after: RunId | None, until: RunId | None, limit: int
) -> list[UUID]:
    """Runs between two ids that events tell of and that are not there; no run is ever deleted."""
    found = await tx.tuples(
        """
        SELECT DISTINCT e.run_id FROM audit_events e
        WHERE e.run_id IS NOT NULL AND (%(after)s::uuid IS NULL OR e.run_id > %(after)s)
          AND (%(until)s::uuid IS NULL OR e.run_id <= %(until)s)
          AND NOT EXISTS (SELECT FROM runs r WHERE r.id = e.run_id)
        ORDER BY e.run_id LIMIT %(limit)s
        """,
        {"after": after, "until": until, "limit": limit},
    )
    return [id for (id,) in found]


async def list_loose_ops(tx: Transaction, *, limit: int) -> list[LooseOp]:
    """Messages outside of every run that no event accounts for."""
    return await tx.all(
        LooseOp,
        """
        SELECT o.id, o.op->>'op' AS op FROM outbox o
        WHERE o.run_id IS NULL AND o.xid IS NOT NULL AND o.op->>'op' <> 'SetStatus'
          AND NOT EXISTS (SELECT FROM audit_events e
                          WHERE e.workspace_id = o.workspace_id AND e.xid = o.xid)
        LIMIT %(limit)s
        """,
        {"limit": limit},
    )


def _step(seq: int, name: str, effect: str, state: str, outcome: str) -> StepFact:
    return StepFact(seq=seq, name=name, effect=effect, state=state, outcome=outcome)


def _approval(
    id: str, step_seq: int, hash: str, state: str, parked: str, card: str | None
) -> ApprovalFact:
    return ApprovalFact(
        id=id, step_seq=step_seq, hash=hash, state=state, is_parked=bool(parked), card=card
    )


def _op(id: str, op: str, approval_id: str | None, xid: str | None) -> OpFact:
    return OpFact(id=id, op=op, approval_id=approval_id, xid=xid)


def _event(
    id: int,
    xid: str,
    kind: str,
    subject: str | None,
    step: object,
    hash: str | None,
    outcome: str | None,
) -> EventFact:
    return EventFact(
        id=id,
        xid=xid,
        kind=kind,
        subject=subject,
        step=step if isinstance(step, int) else None,
        hash=hash or "",
        outcome=outcome or "",
    )
