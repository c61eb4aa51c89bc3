"""Choices on a surface where everybody can speak: kept as they come in, and carried out by a worker
that has asked the platform what the person may do in that place.

A permission there makes nobody an approver: who may decide is said by the manifest, as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.vote import carry_out
from openloop.domain.audit import actor_as_who
from openloop.storage import audit, choices, conversations

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.actions.configuration import Configuration
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.surface import Inbound
    from openloop.storage.choices import WaitingChoice
    from openloop.storage.database import Database


async def keep(database: Database, workspace: WorkspaceId, inbound: Inbound) -> bool:
    """Keep a choice until a worker has looked at it; False for a duplicate.

    What cannot name anything of ours, since no agent ever spoke in that thread, is not kept.
    """
    async with database.transaction(workspace) as tx:
        addressee = await conversations.take_keys(
            tx,
            workspace,
            inbound.thread,
            delivery_key=inbound.delivery_key,
            subject_key=inbound.subject_key,
        )
        if not addressee.is_new:
            return False
        if addressee.conversation_id is not None:
            await choices.put(tx, workspace, inbound)
    return True


async def accept(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    waiting: WaitingChoice,
) -> bool:
    """Carry out a choice of somebody who may act in that place; False where somebody else did."""
    async with database.transaction(workspace) as tx:
        if not await choices.take_away(tx, waiting.id):
            return False
        addressee = await conversations.find_addressee(tx, waiting.inbound.thread)
        return await carry_out(
            tx, configuration, workspace, waiting.inbound, addressee.conversation_id
        )


async def refuse(
    database: Database, workspace: WorkspaceId, waiting: WaitingChoice, *, code: str
) -> None:
    """Let a choice go that does not count; nobody is answered."""
    async with database.transaction(workspace) as tx:
        if await choices.take_away(tx, waiting.id):
            await audit.append(
                tx,
                workspace,
                "click.refused",
                actor=actor_as_who(waiting.inbound.actor),
                code=code,
            )


async def put_off(
    database: Database, workspace: WorkspaceId, waiting: WaitingChoice, *, until: datetime | None
) -> None:
    """Look at a choice again when the platform can be asked."""
    async with database.transaction(workspace) as tx:
        await choices.put_off(tx, waiting.id, until=until)
