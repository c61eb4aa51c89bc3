"""Problems without secrets: what went wrong may quote what it went wrong with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.api.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from openloop.domain.redaction import Redactor

_PROBLEM = MEDIA_TYPE.encode()


class Redacting:
    """Takes what is known to be secret out of every problem. Other answers are made of rows."""

    def __init__(self, app: ASGIApp, redactor: Redactor) -> None:
        self._app, self._redactor = app, redactor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; a problem is held until its body is there."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(send, self._redactor).send)


class _Answer:
    """The answer to one request."""

    def __init__(self, send: Send, redactor: Redactor) -> None:
        self._send, self._redactor = send, redactor
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
            return
        if self._start is not None and message["type"] == "http.response.body":
            start, self._start = self._start, None
            body = self._redactor.json(message["body"])  # a problem is written in one piece
            length = (b"content-length", str(len(body)).encode())
            headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            await self._send({**start, "headers": [*headers, length]})
            message = {**message, "body": body}
        await self._send(message)


def _is_problem(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(_PROBLEM) for name, value in start["headers"]
    )
