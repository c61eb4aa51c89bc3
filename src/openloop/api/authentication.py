"""Who is calling: a bearer token or a login, on every route but the few that are open to anybody.

A token comes with each request by intent. A cookie comes by itself, also with a request that a page
of another site has made up: so a write under a login has to come from a page of ours, which says so
by its Origin and by repeating what only our pages can read.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from openloop.actions import login, tokens, voters
from openloop.api.bodies import UNSAFE, header
from openloop.api.cookies import LOGIN, read_cookie, set_cookie
from openloop.api.kit import kit_of
from openloop.api.problems import ForeignOrigin, NotAuthenticated
from openloop.domain.audit import Who
from openloop.domain.errors import Forbidden
from openloop.domain.principal import Caller, Right

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from openloop.actions.configuration import Configuration
    from openloop.actions.login import Recognised
    from openloop.storage.database import Database

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/login", "/login/callback"})
OPEN_LINKS = "/login/link/"
CALLER = "openloop.caller"
CSRF = "openloop.csrf"
CSRF_HEADER = b"x-openloop-csrf"
VIA = "api"


class NotFromOurPage(Forbidden):
    """A write under a login lacks the proof that a page of ours has made it."""

    code = "csrf_token_wrong"


class Authentication:
    """Answers 401 before anything else looks at a request. Nothing is cached: revoking is at once."""

    def __init__(self, app: ASGIApp, *, database: Database, configuration: Configuration) -> None:
        self._app = app
        self._database = database
        self._configuration = configuration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who is calling, and go on."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if header(scope, b"authorization") is not None:
            scope[CALLER] = await _by_token(self._database, scope)
            await self._app(scope, receive, send)
            return
        recognised = await _by_cookie(self._database, self._configuration, scope)
        scope[CALLER], scope[CSRF] = recognised.caller, recognised.csrf
        if scope["method"] in UNSAFE:
            _refuse_forged(scope, recognised.csrf)
        if recognised.cookie is not None:
            send = _with_cookie(send, recognised.cookie)
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """True where nobody has to say who they are."""
    return path in OPEN or path.startswith(OPEN_LINKS)


async def authenticate(database: Database, configuration: Configuration, scope: Scope) -> Caller:
    """Who sent a request that was let in before: the same, as of now.

    Raises:
        NotAuthenticated, Unavailable
    """
    if header(scope, b"authorization") is not None:
        return await _by_token(database, scope)
    return (await _by_cookie(database, configuration, scope, is_request=False)).caller


async def _by_token(database: Database, scope: Scope) -> Caller:
    given = (header(scope, b"authorization") or b"").decode("latin-1")
    scheme, _, text = given.partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated("Send a token as `Authorization: Bearer ol_...`")
    caller = await tokens.authenticate(database, text.strip())
    if caller is None:
        raise NotAuthenticated("This token is not valid: it is unknown, expired or revoked")
    return caller


async def _by_cookie(
    database: Database, configuration: Configuration, scope: Scope, *, is_request: bool = True
) -> Recognised:
    cookie = read_cookie(scope, LOGIN)
    if cookie is None:
        raise NotAuthenticated("Send a token as `Authorization: Bearer ol_...`, or log in")
    found = await login.recognise(database, configuration, cookie, is_request=is_request)
    if found is None:
        raise NotAuthenticated("This login is over: log in again")
    return found


def _refuse_forged(scope: Scope, csrf: str) -> None:
    # Whose page an Origin names was compared with the Host before (guard.py); here it has to be there.
    if header(scope, b"origin") is None:
        raise ForeignOrigin("A write under a login has to say which page it comes from")
    given = header(scope, CSRF_HEADER) or b""
    if not hmac.compare_digest(given, csrf.encode()):
        raise NotFromOurPage("The header X-OpenLoop-CSRF is missing or belongs to another login")


def _with_cookie(send: Send, cookie: str) -> Send:
    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), set_cookie(LOGIN, cookie)]
        await send(message)

    return send_on


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
            raise _lacking(right)
        return caller

    return check


async def _may_vote(request: Request) -> Caller:
    """Let through whoever has the role `approver` now: cards ask for the same, and nothing else.

    A mirrored group or another login may give it, of which the rights of this credential do not know.
    """
    caller = caller_of(request)
    if Right.VOTE in caller.rights:
        return caller
    kit = kit_of(request)
    if caller.with_lent_token or not await voters.may_vote(
        kit.database, kit.configuration, caller.workspace, caller.principal
    ):
        raise _lacking(Right.VOTE)
    return caller


def _lacking(right: Right) -> Forbidden:
    return Forbidden(f"This needs the right {right.value!r}, which you do not have here")


async def _anybody(request: Request) -> Caller:
    return caller_of(request)


async def _whole(request: Request) -> Caller:
    """Let through whoever holds all that this credential stands for: a link to a person gives that."""
    caller = caller_of(request)
    if caller.is_narrowed:
        raise Forbidden("This token carries some rights only: link with one that carries all")
    return caller


KnownCaller = Annotated[Caller, Depends(_anybody)]
WholeCaller = Annotated[Caller, Depends(_whole)]
Seeing = Annotated[Caller, Depends(_needs(Right.SEE))]
Running = Annotated[Caller, Depends(_needs(Right.RUN))]
Voting = Annotated[Caller, Depends(_may_vote)]
Configuring = Annotated[Caller, Depends(_needs(Right.CONFIGURE))]
Syncing = Annotated[Caller, Depends(_needs(Right.SYNC))]
Auditing = Annotated[Caller, Depends(_needs(Right.AUDIT))]
Minting = Annotated[Caller, Depends(_needs(Right.TOKENS))]
Erasing = Annotated[Caller, Depends(_needs(Right.ERASE))]
