"""What needs somebody who has proved a moment ago who they are: under a login, not by its cookie alone.

A cookie lasts a day, in a browser that somebody may have left open. Tokens and clicks on a platform
have no such moment, and are not asked for one; so a login that makes a token, or links its person to an
id on a platform, has to be fresh itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.login import LoginTooOld
from openloop.domain.tool import Effect
from openloop.storage import logins
from openloop.storage.logins import FRESH_MINUTES

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.approval import Approval, Decision
    from openloop.domain.ids import LoginId
    from openloop.storage.database import Transaction

LETS_RUN: frozenset[Decision] = frozenset({"approve", "retry"})


def needs_fresh_login(approval: Approval, decision: Decision) -> bool:
    """True where somebody lets a call run that destroys something; to say no is always possible."""
    effect = approval.preconditions.get("effect")
    return decision in LETS_RUN and effect == Effect.DESTROY


async def refuse_old_login(tx: Transaction, login: LoginId | None, *, of: UUID | None) -> None:
    """Send back whoever comes by a login that is too old, with the way to another.

    Raises:
        LoginTooOld
    """
    if login is None:
        return
    found = await logins.freshness(tx, login, of=of) if of is not None else None
    if found is not None and found.is_fresh:
        return
    way = "log in again"
    if found is not None:
        way = (
            "open another link of `openloop login`"
            if found.method == "link"
            else f"log in again at /login?again=true&workspace={found.workspace}"
        )
    message = (
        f"This needs somebody who has logged in within the last {FRESH_MINUTES} minutes: {way}, and "
        "ask for it then"
    )
    raise LoginTooOld(message)
