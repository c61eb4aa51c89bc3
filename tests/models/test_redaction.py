"""No secret reaches a model, and none comes back from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from openloop.domain.model import ModelMessage, ModelReply, ModelRequest, ToolCall, Usage
from openloop.domain.redaction import REDACTED, Redactor
from openloop.models.client import GatewayClient
from openloop.models.wire import write_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = 'the "canary" of the prompts'
REPLY = ModelReply(
    model="openai/gpt",
    text=f"It is {SECRET}.",
    tool_calls=(ToolCall(id="1", name="say", arguments=orjson.dumps({"text": SECRET}).decode()),),
    usage=Usage(input_tokens=1, output_tokens=1),
    finish="tool_calls",
)


@pytest.fixture
async def asked() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A gateway that repeats secrets, and what it was asked."""
    bodies: list[bytes] = []

    async def chat(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(body=write_reply(REPLY, call_id="1", created=1))

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    async with TestServer(app) as server:
        yield str(server.make_url("")), bodies


async def test_a_prompt_and_a_reply_have_no_secret(asked: tuple[str, list[bytes]]) -> None:
    url, bodies = asked
    client = GatewayClient(url, redactor=Redactor([SECRET]))
    request = ModelRequest(
        model="openai/gpt",
        messages=(ModelMessage("user", f"{SECRET} and {SECRET.encode().hex()}"),),
        idempotency_key="1",
    )
    reply = await client.complete(request)
    await client.aclose()

    [message] = orjson.loads(bodies[0])["messages"]
    assert message["content"] == f"{REDACTED} and {REDACTED}"
    assert reply.text == f"It is {REDACTED}."
    assert orjson.loads(reply.tool_calls[0].arguments) == {"text": REDACTED}
