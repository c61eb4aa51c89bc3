"""The journal's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.step import Step
from openloop.storage import rows

if TYPE_CHECKING:
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.step import StepKind, StepState
    from openloop.domain.tool import Effect
    from openloop.storage.database import Transaction

_COLUMNS = """run_id, seq, kind, state, epoch, name, nullif(effect, '') AS effect, rule, input, output,
    started_at, finished_at"""


async def list_of(tx: Transaction, run_id: RunId) -> list[Step]:
    """The whole journal of a run, in order."""
    return await tx.all(
        Step,
        f"SELECT {_COLUMNS} FROM steps WHERE run_id = %(run_id)s ORDER BY seq",  # noqa: S608
        {"run_id": run_id},
    )


async def write(
    tx: Transaction,
    workspace: WorkspaceId,
    run_id: RunId,
    seq: int,
    *,
    kind: StepKind,
    state: StepState,
    epoch: int,
    name: str = "",
    effect: Effect | None = None,
    rule: str = "",
    input: object = None,
    output: object = None,
) -> Step:
    """Journal a step; a step that is begun again after a crash takes the new epoch.

    A finished step is never overwritten: the statement then touches nothing and this fails.
    """
    step = await tx.find(
        Step,
        f"""
        INSERT INTO steps AS s (workspace_id, run_id, seq, kind, state, epoch, name, effect, rule,
                                input, output, finished_at)
        VALUES (%(workspace)s, %(run_id)s, %(seq)s, %(kind)s, %(state)s, %(epoch)s, %(name)s,
                %(effect)s, %(rule)s, %(input)s, %(output)s,
                CASE WHEN %(state)s = 'finished' THEN openloop.now() END)
        ON CONFLICT (workspace_id, run_id, seq) DO UPDATE
        SET state = EXCLUDED.state, epoch = EXCLUDED.epoch, input = EXCLUDED.input,
            rule = EXCLUDED.rule, output = EXCLUDED.output, finished_at = EXCLUDED.finished_at
        WHERE s.state <> 'finished' AND s.kind = EXCLUDED.kind
        RETURNING {_COLUMNS}
        """,  # noqa: S608  # a constant column list
        {
            "workspace": workspace,
            "run_id": run_id,
            "seq": seq,
            "kind": kind,
            "state": state,
            "epoch": epoch,
            "name": name,
            "effect": effect or "",
            "rule": rule,
            "input": rows.json(input or {}),
            "output": None if output is None else rows.json(output),
        },
    )
    assert step is not None, f"step {run_id}:{seq} was finished already"  # noqa: S101
    return step


async def finish(tx: Transaction, run_id: RunId, seq: int, *, output: object) -> bool:
    """Record what a started (or held) step came to; False where that is on record already."""
    return bool(
        await tx.run(
            """
            UPDATE steps SET state = 'finished', output = %(output)s, finished_at = openloop.now()
            WHERE run_id = %(run_id)s AND seq = %(seq)s AND state <> 'finished'
            """,
            {"run_id": run_id, "seq": seq, "output": rows.json(output)},
        )
    )


async def sweep(tx: Transaction, *, keep_days: int, limit: int) -> int:
    """Empty the payloads of ended runs past their retention; that a step happened stays on record."""
    return await tx.run(
        """
        UPDATE steps SET input = '{}', output = '{}' WHERE (workspace_id, run_id, seq) IN (
            SELECT s.workspace_id, s.run_id, s.seq FROM steps s JOIN runs r ON r.id = s.run_id
            WHERE r.ended_at < openloop.now() - make_interval(days => %(days)s)
              AND (s.input <> '{}' OR s.output <> '{}')
            LIMIT %(limit)s)
        """,
        {"days": keep_days, "limit": limit},
    )
