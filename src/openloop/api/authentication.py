"""Who is calling: a bearer token on every route, but for the few that are open to anybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from openloop.actions import tokens
from openloop.api.bodies import header
from openloop.api.problems import NotAuthenticated
from openloop.domain.audit import Who
from openloop.domain.errors import Forbidden
from openloop.domain.principal import Caller, Right

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from openloop.storage.database import Database

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json"})
CALLER = "openloop.caller"
VIA = "api"


class Authentication:
    """Answers 401 before anything else looks at a request. Nothing is cached: revoking is at once."""

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who is calling, and go on."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            scope[CALLER] = await authenticate(self._database, scope)
        await self._app(scope, receive, send)


async def authenticate(database: Database, scope: Scope) -> Caller:
    """Who sent this request.

    Raises:
        NotAuthenticated, Unavailable
    """
    given = (header(scope, b"authorization") or b"").decode("latin-1")
    scheme, _, text = given.partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated("Send a token as `Authorization: Bearer ol_...`")
    caller = await tokens.authenticate(database, text.strip())
    if caller is None:
        raise NotAuthenticated("This token is not valid: it is unknown, expired or revoked")
    return caller


def caller_of(request: Request) -> Caller:
    """Who is calling."""
    return cast("Caller", request.scope[CALLER])


def who(caller: Caller) -> Who:
    """The caller as the audit names them."""
    return Who(kind="principal", name=caller.name, principal_id=caller.principal, via=VIA)


def _needs(right: Right) -> Callable[[Request], Awaitable[Caller]]:
    async def check(request: Request) -> Caller:
        caller = caller_of(request)
        if right not in caller.rights:
            raise Forbidden(f"This needs the right {right.value!r}, which the token does not give")
        return caller

    return check


Seeing = Annotated[Caller, Depends(_needs(Right.SEE))]
Running = Annotated[Caller, Depends(_needs(Right.RUN))]
Voting = Annotated[Caller, Depends(_needs(Right.VOTE))]
Configuring = Annotated[Caller, Depends(_needs(Right.CONFIGURE))]
Auditing = Annotated[Caller, Depends(_needs(Right.AUDIT))]
Minting = Annotated[Caller, Depends(_needs(Right.TOKENS))]
