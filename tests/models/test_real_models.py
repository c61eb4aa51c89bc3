"""Real models: through litellm, in a gateway process of its own, to a fake provider."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

import openloop
from openloop.domain.model import ModelMessage, ModelRequest, ToolCall, ToolSpec, Usage
from openloop.models.client import GatewayClient
from openloop.models.errors import (
    ContextTooLong,
    ModelFailure,
    ModelOverloaded,
    ModelRefused,
    ModelUnavailable,
    ModelWarming,
    RateLimited,
    UnknownModel,
)
from openloop.testing.rigs.openai import Answer, Fault, Hold, OpenAIRig, RigCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

KEY, WRONG_KEY = "sk-canary-8c1f", "sk-canary-77aa"

SERVE = """
import asyncio, logging, os, sys
from pathlib import Path
import uvloop
from openloop.models.gateway import GatewayConfig, open_gateway
logging.basicConfig(level=logging.DEBUG)
config = GatewayConfig(
    environ=dict(os.environ), socket_path=Path(sys.argv[1]), warm=True,
    warm_wait_seconds=0.2, concurrency=2, waiting=2, drain_seconds=2,
)
async def serve_until_the_end_of_input():
    async with open_gateway(config):
        await asyncio.to_thread(sys.stdin.read)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(serve_until_the_end_of_input())
"""


@dataclass
class World:
    rig: OpenAIRig
    client: GatewayClient
    socket: Path
    log: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warming(until: Any) -> AsyncIterator[World]:
    """A gateway that has just started; its output goes to a file."""
    with tempfile.TemporaryDirectory(prefix="ol-") as name:
        folder = Path(name)
        async with OpenAIRig(key=KEY) as rig:
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": name,
                "PYTHONPATH": str(Path(openloop.__file__).parents[1]),
                "OPENAI_API_KEY": KEY,
                "OPENAI_API_BASE": rig.url,
                "GROQ_API_KEY": WRONG_KEY,
                "GROQ_API_BASE": rig.url,
                "MISTRAL_API_KEY": WRONG_KEY,
                "MISTRAL_API_BASE": "http://127.0.0.1:9/v1",
            }
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(  # noqa: ASYNC220 - it outlives this call
                    [sys.executable, "-c", SERVE, str(folder / "g.sock")],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environ,
                )
            world = World(rig, GatewayClient(folder / "g.sock"), folder / "g.sock", folder / "log")
            try:
                await until(lambda: is_at_least("warming", world.client))
                yield world
            finally:
                await world.client.aclose()
                assert process.stdin is not None
                process.stdin.close()
                try:
                    status = await asyncio.to_thread(process.wait, 20)
                finally:
                    process.kill()
                assert status == 0, world.log.read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(warming: World, until: Any) -> World:
    await until(lambda: is_at_least("ready", warming.client))
    return warming


async def is_at_least(status: str, client: GatewayClient) -> bool:
    try:
        return (await client.health()).status in (status, "ready")
    except ModelUnavailable:
        return False


def request(model: str = "openai/gpt-4o-mini", **more: Any) -> ModelRequest:
    messages = (ModelMessage("system", "You are a teammate"), ModelMessage("user", "Hello"))
    tool = ToolSpec(
        name="search", description="Search", parameters={"type": "object", "properties": {}}
    )
    return ModelRequest(
        model=model, messages=messages, tools=(tool,), idempotency_key="run:1", **more
    )


async def test_while_it_warms_a_call_is_told_to_come_again(warming: World) -> None:
    if (await warming.client.health()).status == "ready":
        pytest.skip("litellm was loaded before the first call")
    with pytest.raises(ModelWarming) as caught:
        await warming.client.complete(request())
    assert caught.value.retryable
    assert not caught.value.sent
    assert caught.value.retry_after_seconds


async def test_a_call_reaches_the_provider_as_it_was_meant(warm: World) -> None:
    call = ToolCall(id="call_9", name="search", arguments='{"text": "x"}')
    messages = (
        ModelMessage("system", "You are a teammate"),
        ModelMessage("user", "Hello"),
        ModelMessage("assistant", "", tool_calls=(call,)),
        ModelMessage("tool", '{"found": []}', tool_call_id="call_9"),
    )
    reply = await warm.client.complete(
        ModelRequest(
            model="openai/gpt-4o-mini", messages=messages, max_tokens=300, idempotency_key="r:7"
        )
    )
    received = warm.rig.requests[-1]

    assert reply.text == "Hello from the rig"
    assert reply.model == "openai/gpt-4o-mini"
    assert received.body["model"] == "gpt-4o-mini"
    assert received.body["max_tokens"] == 300
    assert received.messages[2]["tool_calls"][0]["function"]["arguments"] == call.arguments
    assert received.messages[3]["tool_call_id"] == "call_9"
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert headers["idempotency-key"] == "r:7"
    assert "stream" not in received.body


async def test_tool_calls_and_all_kinds_of_tokens_come_back(warm: World) -> None:
    warm.rig.next.append(
        Answer(
            calls=(RigCall(name="search", arguments='{"not json'),),
            input_tokens=1000,
            output_tokens=50,
            cached_tokens=400,
            reasoning_tokens=20,
        )
    )
    reply = await warm.client.complete(request())

    assert reply.finish == "tool_calls"
    assert reply.tool_calls[0].name == "search"
    assert reply.tool_calls[0].arguments == '{"not json'
    assert reply.usage == Usage(
        input_tokens=1000, output_tokens=50, cached_tokens=400, reasoning_tokens=20
    )


@pytest.mark.parametrize("usage", ["missing", "zero"])
async def test_usage_that_the_provider_did_not_count_is_assumed(warm: World, usage: Any) -> None:
    warm.rig.next.append(Answer(text="x", usage=usage))
    assert (await warm.client.complete(request())).usage.assumed


@pytest.mark.parametrize(
    ("answer", "finish", "text"),
    [
        (Answer(text="cut", finish="length"), "length", "cut"),
        (Answer(finish="content_filter"), "refused", ""),
        (Answer(refusal="I will not"), "refused", "I will not"),
    ],
)
async def test_how_an_answer_ended_is_kept(
    warm: World, answer: Answer, finish: str, text: str
) -> None:
    warm.rig.next.append(answer)
    reply = await warm.client.complete(request())
    assert (reply.finish, reply.text) == (finish, text)


TOO_LONG = "This model's maximum context length is 128000 tokens."
FAULTS: list[tuple[Fault, type[ModelFailure], dict[str, Any]]] = [
    (
        Fault(status=429, code="rate_limit_exceeded", retry_after_seconds=7),
        RateLimited,
        {"retryable": True, "sent": False, "retry_after_seconds": 7},
    ),
    (
        Fault(status=429, code="insufficient_quota", message="You exceeded your current quota"),
        ModelRefused,
        {"retryable": False, "reason": "credit"},
    ),
    (Fault(status=500), ModelUnavailable, {"retryable": True, "sent": True}),
    (Fault(status=502), ModelUnavailable, {"retryable": True, "sent": True}),
    (
        Fault(status=503, retry_after_seconds=3),
        ModelOverloaded,
        {"retryable": True, "sent": False, "retry_after_seconds": 3},
    ),
    (Fault(status=529), ModelOverloaded, {"retryable": True, "sent": False}),
    (Fault(disconnect=True), ModelUnavailable, {"retryable": True, "sent": True}),
    (
        Fault(status=400, code="context_length_exceeded", message=TOO_LONG),
        ContextTooLong,
        {"retryable": False, "sent": False},
    ),
    (Fault(status=400, code="bad"), ModelRefused, {"retryable": False, "reason": "request"}),
    (
        Fault(status=400, code="content_policy_violation"),
        ModelRefused,
        {"retryable": False, "reason": "content"},
    ),
    (Fault(status=401), ModelRefused, {"retryable": False, "reason": "key"}),
    (Fault(status=403), ModelRefused, {"retryable": False, "reason": "key"}),
    (Fault(status=402), ModelRefused, {"retryable": False, "reason": "credit"}),
    (Fault(status=404, code="model_not_found"), UnknownModel, {"retryable": False}),
]


@pytest.mark.parametrize(("fault", "kind", "expected"), FAULTS)
async def test_a_providers_error_is_mapped_once_and_never_retried(
    warm: World, fault: Fault, kind: type[ModelFailure], expected: dict[str, Any]
) -> None:
    warm.rig.next.append(fault)
    before = len(warm.rig.requests)

    with pytest.raises(kind) as caught:
        await warm.client.complete(request())

    assert len(warm.rig.requests) == before + 1
    assert {name: getattr(caught.value, name) for name in expected} == expected
    assert fault.message not in str(caught.value)


async def test_a_provider_that_cannot_be_reached_was_sent_nothing(warm: World) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        await warm.client.complete(request("mistral/mistral-small-latest"))
    assert not caught.value.sent


async def test_a_provider_that_is_too_slow_is_given_up_on(warm: World) -> None:
    hold = Hold(then=Answer(text="late"))
    warm.rig.next.append(hold)
    with pytest.raises(ModelUnavailable) as caught:
        await warm.client.complete(request(timeout_seconds=0.5))
    assert caught.value.sent
    async with asyncio.timeout(30):
        await hold.abandoned.wait()


async def test_a_caller_who_leaves_takes_the_providers_call_along(warm: World) -> None:
    hold = Hold(then=Answer(text="late"))
    warm.rig.next.append(hold)
    call = asyncio.create_task(warm.client.complete(request()))
    async with asyncio.timeout(30):
        await hold.arrived.wait()
        call.cancel()
        await hold.abandoned.wait()


async def is_full(client: GatewayClient) -> bool:
    with pytest.raises(ModelOverloaded) as refused:
        await client.complete(request(timeout_seconds=0.1))
    return "too many calls waiting" in str(refused.value)


async def test_calls_beyond_the_limit_wait_and_beyond_that_are_refused(
    warm: World, until: Any
) -> None:
    holds = [Hold(then=Answer(text="late")) for _ in range(2)]
    warm.rig.next.extend(holds)
    calls = [asyncio.create_task(warm.client.complete(request())) for _ in range(4)]
    async with asyncio.timeout(60):
        for hold in holds:
            await hold.arrived.wait()
        before = len(warm.rig.requests)
        await until(lambda: is_full(warm.client))
        assert len(warm.rig.requests) == before
        for hold in holds:
            hold.released.set()
        assert len(await asyncio.gather(*calls)) == 4


async def test_embeddings_come_back_in_order(warm: World) -> None:
    connector = aiohttp.UnixConnector(str(warm.socket))
    body = {"model": "openai/text-embedding-3-small", "input": ["one", "two"]}
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post("http://gateway/v1/embeddings", json=body) as response,
    ):
        answer = await response.json()
    assert response.status == 200, answer
    assert [len(each["embedding"]) for each in answer["data"]] == [8, 8]
    assert answer["data"][0]["embedding"] != answer["data"][1]["embedding"]
    assert answer["model"] == "openai/text-embedding-3-small"


async def test_a_key_that_a_provider_repeats_is_never_repeated_by_us(warm: World) -> None:
    connector = aiohttp.UnixConnector(str(warm.socket))
    seen: list[str] = []
    async with aiohttp.ClientSession(connector=connector) as http:
        for fault in (Fault(status=400, message=KEY), Fault(status=500, message=KEY)):
            warm.rig.next.append(fault)
            body = {
                "model": "openai/gpt-4o-mini",
                "messages": [{"role": "user", "content": "x"}],
                "max_tokens": 9,
            }
            async with http.post("http://gateway/v1/chat/completions", json=body) as response:
                seen.append(str(response.headers) + await response.text())
        for path in ("/v1/providers", "/v1/models", "/healthz"):
            async with http.get(f"http://gateway{path}") as response:
                seen.append(str(response.headers) + await response.text())
    with pytest.raises(ModelRefused) as caught:
        await warm.client.complete(request("groq/openai/gpt-oss-20b"))

    everything = "".join(seen) + str(caught.value) + warm.log.read_text()
    assert "openai answered 500" in everything
    assert "sk-canary" not in everything
    assert "Incorrect API key" not in everything
