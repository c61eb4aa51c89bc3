"""One row in every table of identity and access, made by the product's own actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import linking, login, pause, tokens
from openloop.domain.audit import SYSTEM
from openloop.domain.pause import PauseScope
from openloop.domain.principal import Role
from openloop.storage import groups, principals

if TYPE_CHECKING:
    from tests.make import Stage


async def identified(stage: Stage) -> None:
    """A login, one on its way, a link that nobody opened, a code, an id that was somebody's before, a
    group, and at last a pause.
    """
    database, workspace = stage.database, stage.workspace
    token = await tokens.create(
        database, workspace, principal="anna", role=Role.VIEWER, name="canary", by=SYSTEM
    )
    token_id = token.split("_")[2]
    opened = await login.make_link(database, workspace, token_id, by=SYSTEM)
    await login.log_in_by_link(database, opened)
    await login.make_link(database, workspace, token_id, by=SYSTEM)
    await login.set_out(database, workspace, return_to="/canary")
    anna = await stage.principal("anna")
    await linking.begin(database, workspace, anna.id, surface="slack", by=SYSTEM)
    async with stage.tx() as tx:
        for person in (anna, await stage.principal("ben")):
            await principals.set_identity(
                tx, workspace, person.id, surface="slack", tenant="", external_id="U0CANARY"
            )
        await groups.declare(tx, workspace, surface="slack", groups={"maintainers": "S0CANARY"})
    await pause.pause(database, workspace, scope=PauseScope.WORKSPACE, reason="canary", by=SYSTEM)
