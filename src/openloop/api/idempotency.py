"""The Idempotency-Key header: a write that is sent again is answered again, and not done again."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, cast

import orjson

from openloop.actions import idempotency
from openloop.actions.idempotency import Answered
from openloop.api.authentication import CALLER
from openloop.api.bodies import BODY, UNSAFE, header
from openloop.api.problems import MalformedRequest
from openloop.domain.errors import OpenLoopError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from openloop.actions.idempotency import Claimed
    from openloop.domain.principal import Caller
    from openloop.storage.database import Database

KEY = "openloop.idempotency_key"
SECRET_ANSWER = "openloop.secret_answer"  # noqa: S105  # the name of a mark, not a secret
_SHAPE = re.compile(rb"[!-~]{1,200}")


class IdempotencyKeys:
    """Keeps the answers of writes that carry a key. A write that was refused leaves its key free."""

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry a request out, or answer it from the record."""
        key = header(scope, b"idempotency-key") if scope["type"] == "http" else None
        if key is None or scope["method"] not in UNSAFE or CALLER not in scope:
            await self._app(scope, receive, send)
            return
        if not _SHAPE.fullmatch(key):
            raise MalformedRequest("An Idempotency-Key has 1 to 200 visible ASCII characters")
        scope[KEY] = key.decode()
        caller = cast("Caller", scope[CALLER])
        claimed = await idempotency.claim(
            self._database, caller, key.decode(), request_sha256=_fingerprint(scope)
        )
        if isinstance(claimed, Answered):
            await _send_again(send, claimed)
            return
        await self._carry_out(scope, receive, send, caller, claimed)

    async def _carry_out(
        self, scope: Scope, receive: Receive, send: Send, caller: Caller, claimed: Claimed
    ) -> None:
        answer = _Kept(send)
        try:
            await self._app(scope, receive, answer.keep)
        except OpenLoopError:
            await idempotency.release(self._database, caller, claimed)
            raise
        if 200 <= answer.status < 300:
            body = None if SECRET_ANSWER in scope or not answer.body else orjson.loads(answer.body)
            await idempotency.settle(
                self._database, caller, claimed, status=answer.status, answer=body
            )
        else:
            await idempotency.release(self._database, caller, claimed)
        await answer.send_on()


class _Kept:
    """An answer that is held back until it is on record."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []
        self.status = 500
        self.body = b""

    async def keep(self, message: Message) -> None:
        """Take a piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")
        self._messages.append(message)

    async def send_on(self) -> None:
        """Send the answer."""
        for message in self._messages:
            await self._send(message)


def _fingerprint(scope: Scope) -> bytes:
    """Equal for equal requests: method, address and body."""
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], scope[BODY])
    return hashlib.sha256(b"\0".join(parts)).digest()


async def _send_again(send: Send, answered: Answered) -> None:
    body = b"" if answered.answer is None else orjson.dumps(answered.answer)
    headers = [(b"idempotency-replayed", b"true")]
    if body:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
