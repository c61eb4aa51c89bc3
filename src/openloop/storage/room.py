"""How much people are asked about already, and what else is asked: what a run has to know that asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # rows are read with its types
from typing import TYPE_CHECKING

from openloop.domain.ids import ApprovalId, PrincipalId

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openloop.domain.ids import RunId
    from openloop.storage.database import Pending, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How many times a run had asked people by a card, at that time."""

    at: datetime
    times: int


async def lock(tx: Transaction) -> None:
    """Whoever counts what people are asked about does so alone in the workspace, until they have asked."""
    await tx.send(
        """
        SELECT pg_advisory_xact_lock(hashtextextended(current_setting('openloop.workspace'), 6))
        """
    )


async def ask_shown(tx: Transaction, run_id: RunId) -> Pending[Shown]:
    """How many times a run has asked people by a card; can be read later."""
    return await tx.ask(
        Shown,
        """
        SELECT openloop.now() AS at, count(*) AS times FROM approvals
        WHERE run_id = %(id)s AND parked NOT IN ('run', 'approvers')
        """,
        {"id": run_id},
    )


async def count_open(tx: Transaction, people: Sequence[PrincipalId]) -> dict[PrincipalId, int]:
    """How many undecided calls each of these people has been asked about."""
    found = await tx.tuples(
        """
        SELECT person, count(*) FROM approvals, unnest(told) AS person
        WHERE state = 'pending' AND told <> '{}' AND openloop.now() < expires_at
          AND person = ANY(%(people)s::uuid[])
        GROUP BY person
        """,
        {"people": list(people)},
    )
    return {PrincipalId(row[0]): int(row[1]) for row in found}


async def list_same(
    tx: Transaction, hashes: Iterable[str], *, but_of: RunId
) -> dict[str, tuple[ApprovalId, str]]:
    """The oldest pending ask of another run for each of these bytes and preconditions, and where it is."""
    found = await tx.tuples(
        """
        SELECT wanted.hash, same.id, same.request_link
        FROM unnest(%(hashes)s::text[]) AS wanted (hash), LATERAL (
            SELECT a.id, r.request_link FROM approvals a JOIN runs r ON r.id = a.run_id
            WHERE a.hash = wanted.hash AND a.state = 'pending' AND a.run_id <> %(run)s
              AND openloop.now() < a.expires_at
            ORDER BY a.id LIMIT 1) AS same
        """,
        {"hashes": list(hashes), "run": but_of},
    )
    return {hash: (ApprovalId(id), link) for hash, id, link in found}
