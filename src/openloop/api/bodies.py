"""Reading request bodies: bytes are counted before anything is parsed, and JSON is read strictly."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from openloop.api.problems import BodyTooLarge, MalformedRequest, NotJson
from openloop.domain import strict_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 1024 * 1024
DRAIN_BYTES = 16 * MAX_BYTES
DRAIN_SECONDS = 2.0
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BODY = "openloop.body"


class Disconnected(Exception):
    """The client went away before its request was complete."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header; None where it is absent.

    Raises:
        MalformedRequest: it is there twice, and two readers could believe two different things
    """
    found: list[bytes] = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise MalformedRequest(f"The header {name.decode()!r} is given twice")
    return found[0] if found else None


def refuse_announced(scope: Scope, limit: int = MAX_BYTES) -> None:
    """Refuse a body that says itself that it is too large, without reading any of it.

    Raises:
        BodyTooLarge, MalformedRequest
    """
    announced = header(scope, b"content-length")
    if announced is None:
        return
    if not announced.isdigit():
        raise MalformedRequest("The header 'content-length' is not a number")
    if len(announced) > 12 or int(announced) > limit:
        raise BodyTooLarge(limit, is_complete=False)


async def read(receive: Receive, limit: int = MAX_BYTES) -> bytes:
    """The whole body, counted while it arrives.

    Raises:
        BodyTooLarge, Disconnected
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(limit, is_complete=not message.get("more_body", False))
        if piece:
            pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def drain(receive: Receive) -> None:
    """Let a client that is still sending come to an end, as far as that is bearable.

    Closing a connection with unread bytes resets it, and the client never reads our answer.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


class StrictBodies:
    """Reads the body of every unsafe request and passes it on once it is known to be strict JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, check, hand on."""
        if scope["type"] != "http" or scope["method"] not in UNSAFE:
            await self._app(scope, receive, send)
            return
        body = await read(receive)
        if body:
            kind = (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise NotJson("The body must be JSON, sent as application/json")
            strict_json.load_object(body)
        scope[BODY] = body
        await self._app(scope, replay(body, receive), send)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, and then what comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
