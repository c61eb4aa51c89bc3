"""Telling people something alone: each in a conversation of their own, which nobody else reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.ids import new_id
from openloop.storage import conversations, deliveries, outbox, queue, readers

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration
    from openloop.domain.ids import PrincipalId, RunId, WorkspaceId
    from openloop.domain.surface import Say, Thread
    from openloop.storage.database import Transaction


async def threads_with(
    tx: Transaction, configuration: Configuration, workspace: WorkspaceId, person: PrincipalId
) -> tuple[Thread, ...]:
    """Where somebody can be told something alone; none where they have no id on such a surface.

    An id of a tenant in which the workspace is not installed reaches nobody.
    """
    installed = await deliveries.list_tenants(tx, workspace)
    found: dict[Thread, None] = {}
    for known in await readers.list_known_as(tx, person):
        surface = configuration.alone.get(known.surface)
        if surface is None:
            continue
        for name, tenant in sorted(installed):
            if name == known.surface and known.tenant in ("", tenant):
                found[surface.alone_with(tenant, known.id)] = None
    return tuple(sorted(found, key=lambda each: (each.place.tenant, each.place.container)))


async def tell_alone(
    tx: Transaction, workspace: WorkspaceId, thread: Thread, said: Say, *, run_id: RunId
) -> None:
    """Put it into the outbox of that conversation, which is made where there is none."""
    conversation = await conversations.open_conversation(
        tx, workspace, thread, id=new_id(), agent_id=None
    )
    await outbox.put(tx, workspace, conversation, said, run_id=run_id)
    await queue.wake(tx, workspace, conversation)
