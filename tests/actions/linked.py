"""People of the manifest who link another Slack id, and take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import linking
from openloop.domain.audit import SYSTEM
from openloop.storage import principals
from tests import make

if TYPE_CHECKING:
    from tests.make import Stage


async def link(stage: Stage, name: str, external_id: str) -> None:
    """As `openloop link` does in the end."""
    person = await stage.principal(name)
    async with stage.tx() as tx:
        await principals.set_identity(
            tx,
            stage.workspace,
            person.id,
            surface="slack",
            tenant=make.TENANT,
            external_id=external_id,
            origin="link",
        )


async def unlink(stage: Stage, name: str) -> None:
    """All that they have linked on Slack, as `openloop unlink` does."""
    person = await stage.principal(name)
    await linking.unlink(stage.database, stage.workspace, person.id, surface="slack", by=SYSTEM)
