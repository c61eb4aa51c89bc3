"""The gateway over its socket: what it answers, refuses and survives, without litellm."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from openloop.domain.errors import Misconfigured
from openloop.domain.model import ModelMessage, ModelRequest, ToolSpec, Usage
from openloop.models.client import GatewayClient
from openloop.models.errors import (
    BadCall,
    BadScript,
    ModelFailure,
    ModelRefused,
    ModelUnavailable,
    UnknownModel,
)
from openloop.models.gateway import GatewayConfig, open_gateway

if TYPE_CHECKING:
    from pathlib import Path

CHAT: dict[str, Any] = {
    "model": "scripted/demo",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 100,
}


def request(model: str = "scripted/demo", asked: str = "hello", **more: Any) -> ModelRequest:
    messages = (ModelMessage("system", "You are a teammate"), ModelMessage("user", asked))
    return ModelRequest(model=model, messages=messages, idempotency_key="run:1", **more)


async def answers(client: GatewayClient) -> bool:
    try:
        return (await client.health()).status == "ready"
    except ModelUnavailable:
        return False


async def post(
    config: GatewayConfig, body: bytes | io.BytesIO, path: str = "/v1/chat/completions"
) -> Any:
    """The status and the JSON of a bare request."""
    connector = aiohttp.UnixConnector(str(config.socket_path))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.post(f"http://gateway{path}", data=body) as response,
    ):
        return response.status, await response.json()


async def test_a_scripted_model_answers_without_litellm(gateway: GatewayClient) -> None:
    tool = ToolSpec(name="github__create_issue", description="", parameters={"type": "object"})
    reply = await gateway.complete(request(asked="open an issue in acme/platform", tools=(tool,)))

    assert reply.model == "scripted/demo"
    assert reply.tool_calls[0].name == "github__create_issue"
    assert reply.usage == Usage(input_tokens=400, output_tokens=60)
    assert reply.finish == "tool_calls"
    health = await gateway.health()
    assert (health.status, health.litellm) == ("ready", "not needed")


async def test_uncounted_usage_stays_uncounted_on_the_way(
    gateway: GatewayClient, scripts: Path
) -> None:
    (scripts / "mute.yaml").write_text(
        "price: {input_per_million: 1, output_per_million: 1}\nusage: none\n"
        "scenarios: [{name: a, turns: [{say: x, finish: refused}]}]\n"
    )
    reply = await gateway.complete(request("scripted/mute"))
    assert reply.usage == Usage(input_tokens=0, output_tokens=0, assumed=True)
    assert reply.finish == "refused"


async def test_the_wire_is_openai_chat_completions(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    assert gateway
    parts = [{"type": "text", "text": "open an issue "}, {"type": "text", "text": "in acme/x"}]
    body = {**CHAT, "messages": [{"role": "user", "content": parts}], "max_completion_tokens": 9}

    status, answer = await post(gateway_config, json.dumps(body).encode())

    assert status == 200
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["choices"][0]["message"]["tool_calls"][0]["type"] == "function"
    assert answer["usage"]["total_tokens"] == 460


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "model_bad_call"),
        (b"[]", 400, "model_bad_call"),
        (b'{"model": NaN}', 400, "model_bad_call"),
        (b"\xff\xfe", 400, "model_bad_call"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, 400, "model_bad_call"),
        (b"[" * 100_000, 400, "model_bad_call"),
        (json.dumps({**CHAT, "model": "x y"}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "model": 7}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "messages": []}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "messages": ["hello"]}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "messages": [{"role": "root"}]}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "max_tokens": 0}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "max_tokens": None}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "stream": True}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "tools": [{"type": "function"}]}).encode(), 400, "model_bad_call"),
        (json.dumps({**CHAT, "model": "scripted/none"}).encode(), 404, "model_unknown"),
        (json.dumps({**CHAT, "model": "scripted/../demo"}).encode(), 404, "model_unknown"),
        (json.dumps({**CHAT, "model": "nobody/model"}).encode(), 404, "model_unknown"),
        (json.dumps({**CHAT, "model": "groq/model"}).encode(), 424, "model_refused"),
    ],
)
async def test_what_is_no_model_call_is_refused_by_code(
    gateway: GatewayClient, gateway_config: GatewayConfig, body: bytes, status: int, code: str
) -> None:
    answered, answer = await post(gateway_config, body)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert (await gateway.complete(request())).text == "Hello."


@pytest.mark.parametrize(
    "field", ["api_key", "api_base", "base_url", "extra_headers", "mock_response", "metadata"]
)
async def test_a_caller_cannot_set_keys_addresses_or_headers(
    gateway: GatewayClient, gateway_config: GatewayConfig, field: str
) -> None:
    assert gateway
    body = json.dumps({**CHAT, "model": "openai/gpt-4o-mini", field: "x"}).encode()
    status, answer = await post(gateway_config, body)
    assert status == 400
    assert field in answer["error"]["message"]


async def test_a_body_beyond_the_limit_is_not_read(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    with pytest.raises(ModelFailure):
        await gateway.complete(request(asked="x" * 8 * 1024 * 1024))
    assert (await gateway.complete(request(asked="hello " * 400_000))).text == "Hello."
    status, _ = await post(gateway_config, io.BytesIO(b" " * (8 * 1024 * 1024 + 1)))
    assert status == 413


async def test_unknown_paths_and_methods_are_answered_as_json(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    assert gateway
    assert (await post(gateway_config, b"{}", "/v1/nothing"))[0] == 404
    assert (await post(gateway_config, b"{}", "/healthz"))[0] == 405


async def test_failures_arrive_as_what_they_are(gateway: GatewayClient, scripts: Path) -> None:
    (scripts / "broken.yaml").write_text("price: 1\ncolor: red\n")

    with pytest.raises(BadScript) as broken:
        await gateway.complete(request("scripted/broken"))
    assert len(broken.value.problems) > 1
    with pytest.raises(UnknownModel):
        await gateway.complete(request("scripted/none"))
    with pytest.raises(ModelRefused, match="no ANTHROPIC_API_KEY") as refused:
        await gateway.complete(request("anthropic/claude-sonnet-4-6"))
    assert refused.value.reason == "no_key"
    with pytest.raises(BadCall):
        await gateway.complete(request(max_tokens=0))


async def test_providers_are_told_by_name_and_never_by_key(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    providers = await gateway.providers()

    assert providers["openai"].ready
    assert not providers["anthropic"].ready
    assert providers["anthropic"].keys == ("ANTHROPIC_API_KEY",)
    assert providers["ollama"].ready
    assert not providers["hosted_vllm"].ready
    assert "sk-canary" not in repr(providers) + repr(gateway_config)


async def test_models_list_what_can_be_called_and_what_is_wrong_with_a_script(
    gateway: GatewayClient, gateway_config: GatewayConfig, scripts: Path
) -> None:
    assert gateway
    (scripts / "broken.yaml").write_text("price: 1\n")
    connector = aiohttp.UnixConnector(str(gateway_config.socket_path))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.get("http://gateway/v1/models") as response,
    ):
        listed = {each["id"]: each for each in (await response.json())["data"]}

    assert "openai/gpt-4o-mini" in listed
    assert "anthropic/claude-sonnet-4-6" not in listed
    assert "problem" not in listed["scripted/demo"]
    assert "broken.yaml:1" in listed["scripted/broken"]["problem"]


async def test_only_the_owner_reaches_the_socket(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    assert gateway
    path = gateway_config.socket_path
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_over_tcp_a_token_is_needed(scripts: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = GatewayConfig(environ={}, tcp=("127.0.0.1", port), scripts=scripts)
    with pytest.raises(Misconfigured, match="token"):
        async with open_gateway(config):
            pass

    async with open_gateway(replace(config, token="right", drain_seconds=1)):
        right = GatewayClient(f"http://127.0.0.1:{port}", "right")
        assert (await right.complete(request())).text == "Hello."
        for token in (None, "wrong", "righ", "rïght"):
            stranger = GatewayClient(f"http://127.0.0.1:{port}", token)
            with pytest.raises(ModelFailure):
                await stranger.complete(request())
            await stranger.aclose()
        await right.aclose()


async def test_a_start_that_cannot_be_honoured_lists_every_problem(tmp_path: Path) -> None:
    config = GatewayConfig(environ={}, tcp=("127.0.0.1", 1), scripts=tmp_path / "missing")
    with pytest.raises(Misconfigured) as caught:
        async with open_gateway(config):
            pass
    assert len(caught.value.problems) == 2


async def test_a_second_gateway_does_not_take_the_socket_over(
    gateway: GatewayClient, gateway_config: GatewayConfig
) -> None:
    with pytest.raises(Misconfigured, match="Another model gateway"):
        async with open_gateway(gateway_config):
            pass
    assert (await gateway.complete(request())).text == "Hello."


async def test_the_socket_of_a_dead_gateway_is_replaced(gateway_config: GatewayConfig) -> None:
    path = gateway_config.socket_path
    assert path is not None
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async with open_gateway(gateway_config):
        client = GatewayClient(path)
        assert (await client.health()).status == "ready"
        await client.aclose()


async def test_what_is_not_a_socket_is_not_removed(gateway_config: GatewayConfig) -> None:
    path = gateway_config.socket_path
    assert path is not None
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(Misconfigured, match="not a socket"):
        async with open_gateway(gateway_config):
            pass
    assert path.read_text() == "precious"


async def test_a_gateway_that_is_not_there_was_sent_nothing(short_folder: Path) -> None:
    client = GatewayClient(short_folder / "nobody.sock")
    with pytest.raises(ModelUnavailable) as caught:
        await client.complete(request())
    assert not caught.value.sent
    await client.aclose()


SLOW = """\
price: {input_per_million: 1, output_per_million: 1}
usage: none
scenarios: [{name: a, turns: [{say: Done., delay_seconds: DELAY}]}]
"""


async def test_an_answer_that_takes_too_long_may_have_cost(
    gateway: GatewayClient, scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scripts / "slow.yaml").write_text(SLOW.replace("DELAY", "60"))
    monkeypatch.setattr("openloop.models.client._GATEWAY_SECONDS", 0.0)
    with pytest.raises(ModelUnavailable) as caught:
        await gateway.complete(request("scripted/slow", timeout_seconds=0.05))
    assert caught.value.sent


async def fails_after_it_was_sent(path: Path) -> None:
    client = GatewayClient(path)
    with pytest.raises(ModelUnavailable) as caught:
        await client.complete(request())
    assert caught.value.sent
    await client.aclose()


async def test_a_connection_lost_during_a_call_may_have_cost(short_folder: Path) -> None:
    path = short_folder / "rude.sock"

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(hang_up, path):
        await fails_after_it_was_sent(path)


@pytest.mark.parametrize("body", [b"{}", b"nothing", b"[]", b'{"choices": [], "usage": 7}'])
@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
async def test_an_answer_that_is_no_reply_may_have_cost(
    short_folder: Path, status: bytes, body: bytes
) -> None:
    path = short_folder / "odd.sock"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = str(len(body)).encode()
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: " + length + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, path):
        await fails_after_it_was_sent(path)


async def test_open_calls_are_finished_before_it_stops(
    gateway_config: GatewayConfig, scripts: Path, until: Any
) -> None:
    (scripts / "slow.yaml").write_text(SLOW.replace("DELAY", "0.3"))
    path = gateway_config.socket_path
    assert path is not None
    stop = asyncio.Event()

    async def serve() -> None:
        async with open_gateway(gateway_config):
            await stop.wait()

    async with asyncio.timeout(30):
        served = asyncio.create_task(serve())
        client = GatewayClient(path)
        await until(lambda: answers(client))

        call = asyncio.create_task(client.complete(request("scripted/slow")))
        await client.health()  # the call was sent before this question
        stop.set()

        assert (await call).text == "Done."
        await served
    assert not path.exists()
    with pytest.raises(ModelUnavailable):
        await client.complete(request())
    await client.aclose()
