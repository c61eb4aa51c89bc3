"""The tool calls that runs have made, as they are on record: for deciding them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.domain.ids import RunId
from openloop.storage import readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.readers import Reader
    from openloop.storage.database import Transaction

_RANDOM_BITS = 80
_SLACK_SECONDS = 60
_READABLE = readers.of_run("r.id", "r.conversation_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run by its agent's name and the surface on which it was asked for."""

    id: RunId
    agent: str
    surface: str
    queued_at: datetime


async def list_runs(
    tx: Transaction, *, hours: int, before: RunId | None, limit: int, reader: Reader | None = None
) -> list[RecordedRun]:
    """The runs of the last hours that `reader` may know of, the newest first."""
    since: datetime = await tx.value(
        "SELECT openloop.now() - make_interval(hours => %(hours)s)", {"hours": hours}
    )
    return await tx.all(
        RecordedRun,
        """
        SELECT r.id, a.name AS agent, c.surface, r.queued_at
        FROM runs r JOIN agents a ON a.id = r.agent_id JOIN conversations c ON c.id = r.conversation_id
        WHERE r.id >= %(least)s AND (%(before)s::uuid IS NULL OR r.id < %(before)s)
          AND r.queued_at >= %(since)s
        """  # noqa: S608  # followed by constants
        + readers.only(reader, _READABLE)
        + " ORDER BY r.id DESC LIMIT %(limit)s",
        {
            "least": _first_id_of(since),
            "before": before,
            "since": since,
            "limit": limit,
            **readers.parameters(reader),
        },
    )


async def list_held(tx: Transaction, runs: Sequence[RunId]) -> set[tuple[RunId, int]]:
    """The calls of these runs that people were asked about, by run and step."""
    found = await tx.tuples(
        "SELECT DISTINCT run_id, step_seq FROM approvals WHERE run_id = ANY(%(runs)s)",
        {"runs": list(runs)},
    )
    return {(RunId(run), seq) for run, seq in found}


def _first_id_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a time, with room for clocks that differ: ids sort by their time."""
    milliseconds = int((moment.timestamp() - _SLACK_SECONDS) * 1000)
    return UUID(int=max(0, milliseconds) << _RANDOM_BITS)
