"""A problem quotes what it went wrong with, and no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openloop.api.problems import make_problem, response_of
from openloop.api.redacting import Redacting
from openloop.domain.redaction import REDACTED, Redactor

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

SECRET = "the-canary-of-the-problems"


async def answer(media_type: str) -> list[Message]:
    """What a client gets of an answer that quotes a secret."""
    response = response_of(make_problem(409, "conflict", f"{SECRET} is taken", [SECRET]))
    response.headers["content-type"] = media_type

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await response(scope, receive, send)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await Redacting(app, Redactor([SECRET]))({"type": "http", "method": "GET"}, receive, send)
    return sent


async def test_a_problem_has_no_secret_and_its_length_is_right() -> None:
    start, body = await answer("application/problem+json")
    said: dict[str, Any] = json.loads(body["body"])
    assert (said["detail"], said["problems"]) == (f"{REDACTED} is taken", [REDACTED])
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body["body"])).encode()


async def test_other_answers_pass_as_they_are() -> None:
    """They are made of rows, where no secret is written."""
    _, body = await answer("application/json")
    assert SECRET.encode() in body["body"]
