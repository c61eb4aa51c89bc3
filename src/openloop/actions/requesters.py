"""Who asked for a run: nobody approves what they asked for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.apply import CONSOLE
from openloop.storage import principals, requesters

if TYPE_CHECKING:
    from openloop.domain.ids import PrincipalId
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction


async def is_requester(tx: Transaction, run: Run, principal: PrincipalId) -> bool:
    """True where the run was asked for by this principal, through whichever surface.

    Also where the id by which they asked was theirs then and is not any more.
    """
    asked = run.requested_by
    if asked.surface == CONSOLE:
        # On the console people are known as principals: their id there is the principal's.
        return asked.id == str(principal)
    found = await principals.find_by_identity(
        tx, surface=asked.surface, tenant=asked.tenant, external_id=asked.id
    )
    if found is not None and found.id == principal:
        return True
    return await requesters.was_asked_by(tx, asked, principal, since=run.queued_at)
