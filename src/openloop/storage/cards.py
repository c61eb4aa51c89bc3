"""What the cards of approvals show now, as the outbox has it, and whom they may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.ids import PrincipalId
from openloop.domain.outbox import decode
from openloop.domain.surface import Ask, Settle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from openloop.storage.database import Transaction


async def find_drawn(tx: Transaction, card_id: UUID) -> Ask | Settle | None:
    """A card as it was last drawn, or is about to be; None where it was never posted."""
    stored = await tx.value(
        """
        SELECT op FROM outbox
        WHERE approval_id = %(id)s AND op->>'op' IN ('Ask', 'Settle') AND state <> 'dropped'
        ORDER BY seq DESC LIMIT 1
        """,
        {"id": card_id},
    )
    op = decode(stored) if stored is not None else None
    return op if isinstance(op, Ask | Settle) else None


async def list_people(tx: Transaction, names: Iterable[str]) -> dict[str, PrincipalId]:
    """The active people of these names."""
    found = await tx.tuples(
        """
        SELECT name, id FROM principals
        WHERE name = ANY(%(names)s) AND active AND kind = 'person' ORDER BY name LIMIT 2000
        """,
        {"names": sorted(names)},
    )
    return {row[0]: PrincipalId(row[1]) for row in found}


async def list_addresses(
    tx: Transaction, people: Iterable[PrincipalId], *, surface: str, limit: int = 20
) -> list[str]:
    """The ids of these people on a surface, for mentioning them."""
    found = await tx.tuples(
        """
        SELECT external_id FROM identities
        WHERE principal_id = ANY(%(people)s::uuid[]) AND surface = %(surface)s
        ORDER BY 1 LIMIT %(limit)s
        """,
        {"people": list(people), "surface": surface, "limit": limit},
    )
    return [row[0] for row in found]
