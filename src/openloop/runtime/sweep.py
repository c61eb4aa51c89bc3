"""The sweep: what every worker looks for each second, and what it tidies each minute.

It is the whole recovery: a worker that died left a lapsed lease, a due timer or an open op behind,
and the next sweep of anybody finds it. No leader, no reconciler.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from openloop.actions import model_calls
from openloop.actions.supervised import keep_doing
from openloop.domain.conversation import ConversationRef
from openloop.storage import (
    agents,
    choices,
    conversations,
    deliveries,
    idempotency,
    lines,
    memories,
    messages,
    outbox,
    runs,
    steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.actions.configuration import Configuration
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

EVERY_SECONDS = 1.0
TIDY_EVERY = 60
BATCH = 100
KEEP_KEYS_DAYS = 90


class Sweep:
    """Finds what is due in every workspace and hands it to `wake`."""

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        wake: Callable[[ConversationRef], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._wake = wake

    async def run(self) -> None:
        """Sweep until cancelled."""
        beats = count()

        async def beat() -> None:
            await self.once(tidy=next(beats) % TIDY_EVERY == 0)

        await keep_doing("sweep", beat, EVERY_SECONDS)

    async def once(self, *, tidy: bool = False) -> None:
        """Look once at every workspace."""
        async with self._database.directory() as tx:
            workspaces = await agents.list_workspaces(tx)
        for row in workspaces:
            await self._wake_due(row.id)
            await model_calls.settle_lapsed(self._database, row.id, limit=BATCH)
            if tidy:
                await self._tidy(row.id)

    async def _wake_due(self, workspace: WorkspaceId) -> None:
        async with self._database.transaction(workspace) as tx:
            due = await conversations.list_due(tx, workspace, limit=BATCH)
            heads = await lines.list_heads(tx, workspace, limit=BATCH)
            undelivered = await outbox.list_due(tx, limit=BATCH)
        sending = (ConversationRef(workspace=workspace, id=each) for each in undelivered)
        for conversation in dict.fromkeys((*due, *heads, *sending)):
            self._wake(conversation)

    async def _tidy(self, workspace: WorkspaceId) -> None:
        """Retention: a bounded piece at a time, so that no transaction is long."""
        async with self._database.transaction(workspace) as tx:
            manifest = await self._configuration.workspace(tx)
            if manifest is None:
                return
            retention = manifest.spec.retention
            await memories.sweep(tx, limit=BATCH)
            await messages.sweep(tx, keep_days=retention.messages_days, limit=BATCH)
            await runs.sweep(tx, keep_days=retention.messages_days, limit=BATCH)
            await steps.sweep(tx, keep_days=retention.tool_payload_days, limit=BATCH)
            await idempotency.sweep(tx, limit=BATCH)
            await deliveries.sweep(tx, keep_days=KEEP_KEYS_DAYS, limit=BATCH)
            await choices.sweep(tx, limit=BATCH)
