"""What a caller may read: found out once for each request, from what is in force now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import voters
from openloop.domain.principal import Right
from openloop.domain.readers import Reader
from openloop.storage import principals, readers

if TYPE_CHECKING:
    from openloop.api.kit import ApiKit
    from openloop.domain.principal import Caller
    from openloop.storage.database import Transaction


async def reader_of(kit: ApiKit, tx: Transaction, caller: Caller) -> Reader:
    """The caller as a reader; whoever reads everything is not looked up."""
    if Right.OVERSEE in caller.rights:
        return Reader(
            principal=caller.principal,
            sees=Right.SEE in caller.rights,
            audits=Right.AUDIT in caller.rights,
            oversees=True,
        )
    return Reader(
        principal=caller.principal,
        sees=Right.SEE in caller.rights,
        audits=Right.AUDIT in caller.rights,
        known_as=await readers.list_known_as(tx, caller.principal),
        references=await _references(kit, tx, caller),
    )


async def _references(kit: ApiKit, tx: Transaction, caller: Caller) -> frozenset[str]:
    """How the demands of approvals call somebody whose vote would count, and nobody else."""
    if caller.with_lent_token:
        return frozenset()
    person = await principals.find(tx, caller.principal)
    manifest = await kit.configuration.workspace_of_now(tx)
    if manifest is None or person is None or not person.active or person.kind != "person":
        return frozenset()
    if not await voters.is_approver(tx, manifest, person):
        return frozenset()
    return manifest.references_to(person.name)
