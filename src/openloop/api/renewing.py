"""Asking the identity provider, while a login lasts, whether it still vouches for its person.

Every serve process does this; a login is asked about by whoever takes it first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from openloop.actions import vouching
from openloop.actions.supervised import keep_doing
from openloop.domain.errors import Unavailable
from openloop.domain.login import NotVouchedFor
from openloop.storage import agents

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration
    from openloop.actions.secrets import KeyRing
    from openloop.actions.vouching import Asked
    from openloop.api.oidc import IdentityProvider
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 15.0
AT_ONCE = 8


class Renewing:
    """Keeps the logins of every workspace as good as the identity provider says they are."""

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        provider: IdentityProvider,
        keys: KeyRing,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._provider = provider
        self._keys = keys
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Ask until cancelled."""
        await keep_doing("logins", self.once, EVERY_SECONDS)

    async def once(self) -> None:
        """Ask about every login that is due."""
        async with self._database.directory() as tx:
            workspaces = await agents.list_workspaces(tx)
        for row in workspaces:
            due = await vouching.take_due(self._database, row.id, keys=self._keys)
            await asyncio.gather(*(self._renew(row.id, asked) for asked in due))

    async def _renew(self, workspace: WorkspaceId, asked: Asked) -> None:
        async with self._slots:
            await self._ask(workspace, asked)

    async def _ask(self, workspace: WorkspaceId, asked: Asked) -> None:
        if asked.renewal is None:
            log.warning("login not renewed", reason="its secret does not open here")
            return
        async with self._database.transaction(workspace) as tx:
            manifest = await self._configuration.workspace(tx)
        claim = manifest.spec.access.login.groups_claim if manifest is not None else ""
        try:
            again = await self._provider.vouch_again(asked.renewal, groups_claim=claim)
        except Unavailable as error:
            log.warning("login not renewed", reason=str(error))
            return
        except NotVouchedFor as refusal:
            await vouching.refused(self._database, workspace, asked.due, why=str(refusal))
            return
        try:
            await vouching.vouched(
                self._database, self._configuration, workspace, asked.due, again, keys=self._keys
            )
        except NotVouchedFor as refusal:
            log.info("login ended", reason=str(refusal))
