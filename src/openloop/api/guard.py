"""The outermost layer: who we answer as, who may write, how long it may take, the last word."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING

import structlog

from openloop.api.authentication import OPEN_LINKS
from openloop.api.bodies import UNSAFE, Disconnected, drain, header, refuse_announced
from openloop.api.ingress import is_delivery
from openloop.api.problems import (
    BodyTooLarge,
    ForeignHost,
    ForeignOrigin,
    MalformedRequest,
    Problem,
    TimedOut,
    make_problem,
    problem_of,
    send_problem,
)
from openloop.domain.errors import OpenLoopError
from openloop.domain.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_HOST = re.compile(rb"(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+))(?::[0-9]{1,5})?")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SECURITY_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class Guard:
    """Refuses what is foreign, adds the security headers, and turns every error into a problem.

    A page of another site reaches an API on loopback by DNS rebinding (then the Host is foreign)
    or by a plain cross-site request (then the Origin is). Deliveries of platforms come under any
    name and are signed, so their Host is not looked at.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: frozenset[str], seconds: float) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in allowed_hosts}
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        deadline = asyncio.timeout(self._seconds)
        answer = _Answer(send, deadline)
        try:
            async with deadline:
                refuse_announced(scope)
                if not is_delivery(scope["path"]):
                    self._refuse_foreign(scope)
                await self._app(scope, receive, answer.send)
        except Disconnected:
            return
        except BodyTooLarge as error:
            rest = None if error.is_complete else partial(drain, receive)
            await answer.refuse(error, before_end=rest)
        except OpenLoopError as error:
            await answer.refuse(error)
        except TimeoutError as error:
            if deadline.expired():
                await answer.refuse(TimedOut(f"This took longer than {self._seconds:g} s"))
            else:
                await answer.give_up(scope, error)
        except Exception as error:  # noqa: BLE001  # the API's last handler
            await answer.give_up(scope, error)

    def _refuse_foreign(self, scope: Scope) -> None:
        if b"%00" in (scope.get("raw_path") or b"") or b"%00" in scope["query_string"]:
            raise MalformedRequest("The address holds a NUL character")
        host = header(scope, b"host")
        if host is None or host_name(host) not in self._hosts:
            raise ForeignHost("This installation is not known under that name")
        if scope["method"] not in UNSAFE:
            return
        origin = header(scope, b"origin")
        if origin is not None and not _is_same(origin, host):
            raise ForeignOrigin("A page of another site may not do this")


class _Answer:
    """What has been sent of an answer, and how long it may still take to begin."""

    def __init__(self, send: Send, deadline: asyncio.Timeout) -> None:
        self._send = send
        self._deadline: asyncio.Timeout | None = deadline
        self._begun = False

    async def send(self, message: Message) -> None:
        """Send on, with the headers; an answer that has begun may take its time (a stream)."""
        if message["type"] == "http.response.start":
            self._begun = True
            if self._deadline is not None:
                self._deadline.reschedule(None)
            message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
        await self._send(message)

    async def refuse(
        self, error: OpenLoopError, *, before_end: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Answer with an error of ours; an answer that broke off is left to be seen as one."""
        problem = problem_of(error)
        if problem.status >= 500:
            log.warning("request not served", code=problem.code, reason=str(error))
        await self._end(problem, before_end)

    async def give_up(self, scope: Scope, error: Exception) -> None:
        """Answer a fault of ours with an id that the log has, and nothing of its text."""
        fault = str(new_id())
        log.error(
            "request failed",
            fault=fault,
            method=scope["method"],
            path=_shown(scope["path"]),
            exc_info=error,
        )
        detail = f"Something is wrong on our side; the log has more under {fault}"
        await self._end(make_problem(500, "internal_error", detail))

    async def _end(
        self, problem: Problem, before_end: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._deadline = None  # it is over already
        if not self._begun:
            await send_problem(self.send, problem, before_end=before_end)


def _shown(path: str) -> str:
    """An address for the log: what comes after the prefix of a one-time link is a secret."""
    return f"{OPEN_LINKS}..." if path.startswith(OPEN_LINKS) else path


def host_name(host: bytes) -> str:
    """The name in a Host header, without its port; empty where it cannot be read."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).decode().lower() if found else ""


def _is_same(origin: bytes, host: bytes) -> bool:
    scheme, separator, place = origin.partition(b"://")
    return bool(separator) and scheme in (b"http", b"https") and place.lower() == host.lower()
