"""The journal's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.step import Step
from openloop.storage import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.step import StepKind, StepState
    from openloop.domain.tool import Effect
    from openloop.storage.database import Pending, Transaction

_COLUMNS = """run_id, seq, kind, state, epoch, name, nullif(effect, '') AS effect, rule, input, output,
    started_at, finished_at"""


_FINISH = """
    UPDATE steps SET state = 'finished', output = %(output)s, finished_at = openloop.now()
    WHERE run_id = %(run_id)s AND seq = %(seq)s AND state <> 'finished'
"""


async def list_of(tx: Transaction, run_id: RunId) -> list[Step]:
    """The whole journal of a run, in order."""
    return await tx.all(
        Step,
        f"SELECT {_COLUMNS} FROM steps WHERE run_id = %(run_id)s ORDER BY seq",  # noqa: S608
        {"run_id": run_id},
    )


async def ask_write(
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
) -> Pending[Step]:
    """Journal a step; a step that is begun again after a crash takes the new epoch.

    A finished step is never overwritten: the statement then touches nothing and gives no row.
    """
    return await tx.ask(
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


async def rewrite(
    tx: Transaction, workspace: WorkspaceId, step: Step, *, state: StepState, epoch: int
) -> Step:
    """Journal what a step that is not finished is now, and wait for it."""
    asked = await ask_write(
        tx,
        workspace,
        step.run_id,
        step.seq,
        kind=step.kind,
        state=state,
        epoch=epoch,
        name=step.name,
        effect=step.effect,
        rule=step.rule,
        input=step.input,
    )
    return await asked.one()


async def send_finish(tx: Transaction, run_id: RunId, seq: int, *, output: object) -> None:
    """Record what a step came to, without waiting; one that is finished stays as it is."""
    await tx.send(_FINISH, {"run_id": run_id, "seq": seq, "output": rows.json(output)})


async def finish(tx: Transaction, run_id: RunId, seq: int, *, output: object) -> bool:
    """Record what a started (or held) step came to; False where that is on record already."""
    parameters = {"run_id": run_id, "seq": seq, "output": rows.json(output)}
    return bool(await tx.run(_FINISH, parameters))


async def finish_all(tx: Transaction, run_id: RunId, outputs: Mapping[int, object]) -> bool:
    """Record what each of these steps came to, by its number; False where one is on record already."""
    finished = await tx.run(
        """
        UPDATE steps s SET state = 'finished', output = came.output, finished_at = openloop.now()
        FROM unnest(%(seqs)s::integer[], %(outputs)s::jsonb[]) AS came(seq, output)
        WHERE s.run_id = %(run_id)s AND s.seq = came.seq AND s.state <> 'finished'
        """,
        {
            "run_id": run_id,
            "seqs": list(outputs),
            "outputs": [rows.json(output) for output in outputs.values()],
        },
    )
    return finished == len(outputs)


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
