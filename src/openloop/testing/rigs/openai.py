"""A fake of an OpenAI-compatible provider: chat completions with tools, embeddings, and faults."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType


@dataclass(frozen=True, slots=True, kw_only=True)
class RigRequest:
    """A chat completion as the provider received it."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation."""
        return self.body["messages"]

    @property
    def turn(self) -> int:
        """How often the model has spoken in it."""
        return sum(each["role"] == "assistant" for each in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class RigCall:
    """A tool call; `arguments` as JSON values, or as the raw text of a model that writes badly."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A completion. `usage` says whether counts are given at all, or given as zeros."""

    text: str = ""
    calls: tuple[RigCall, ...] = ()
    finish: str | None = None
    refusal: str | None = None
    input_tokens: int = 120
    output_tokens: int = 30
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    usage: Literal["counted", "missing", "zero"] = "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer that is none. `disconnect` drops the connection after the work is done."""

    status: int = 500
    code: str = "server_error"
    message: str = "The rig was told to fail"
    retry_after_seconds: float | None = None
    disconnect: bool = False


@dataclass(slots=True)
class Hold:
    """Answers nothing until released; `arrived` is set once a call waits for it."""

    then: Answer
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)


Reaction = Answer | Fault | Hold


class OpenAIRig:
    """Serves on a free loopback port while it is entered.

    `respond` decides what is answered; what is put into `next` comes before it, once. Calls must
    carry `key`; the refusal of any other key repeats that key, as real providers have done.
    `billed` holds what a provider would write on its bill, answered or not.
    """

    def __init__(
        self, respond: Callable[[RigRequest], Reaction] | None = None, *, key: str = "sk-rig"
    ) -> None:
        self.respond: Callable[[RigRequest], Reaction] = respond or _greet
        self.next: deque[Reaction] = deque()
        self.requests: list[RigRequest] = []
        self.billed: list[Answer] = []
        self.key = key
        self.url = ""
        self._numbers = count(1)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=32 * 1024 * 1024)
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/embeddings", self._embeddings),
            ]
        )
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._check_key(request):
            return refusal
        received = RigRequest(body=await request.json(), headers=dict(request.headers))
        if problem := _problem_of(received.body):
            return _error(400, "invalid_request_error", problem)
        self.requests.append(received)
        reaction = self.next.popleft() if self.next else self.respond(received)
        if isinstance(reaction, Hold):
            reaction = await _held(reaction)
        if isinstance(reaction, Answer):
            self.billed.append(reaction)
            return web.json_response(self._completion(received.body["model"], reaction))
        if reaction.disconnect:
            self.billed.append(Answer())
            if request.transport is not None:
                request.transport.abort()
        wait = reaction.retry_after_seconds
        return _error(
            reaction.status,
            reaction.code,
            reaction.message,
            headers={} if wait is None else {"Retry-After": f"{wait:g}"},
        )

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._check_key(request):
            return refusal
        body = await request.json()
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [
            {"object": "embedding", "index": at, "embedding": _vector(text)}
            for at, text in enumerate(texts)
        ]
        tokens = sum(len(text) // 4 + 1 for text in texts)
        return web.json_response(
            {
                "object": "list",
                "data": vectors,
                "model": body["model"],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    def _check_key(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given == self.key:
            return None
        return _error(401, "invalid_api_key", f"Incorrect API key provided: {given}.")

    def _completion(self, model: str, answer: Answer) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text or None,
            "refusal": answer.refusal,
        }
        if answer.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{number}_{at}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": _arguments(call)},
                }
                for at, call in enumerate(answer.calls, start=1)
            ]
        finish = answer.finish or ("tool_calls" if answer.calls else "stop")
        completion: dict[str, Any] = {
            "id": f"chatcmpl-rig-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": f"{model}-2024-07-18",
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
            ],
        }
        if answer.usage != "missing":
            completion["usage"] = _usage(answer)
        return completion


def _greet(_request: RigRequest) -> Reaction:
    return Answer(text="Hello from the rig")


async def _held(hold: Hold) -> Answer:
    hold.arrived.set()
    try:
        await hold.released.wait()
    except asyncio.CancelledError:
        hold.abandoned.set()
        raise
    return hold.then


def _usage(answer: Answer) -> dict[str, Any]:
    counted = answer.usage == "counted"
    read, written = (answer.input_tokens, answer.output_tokens) if counted else (0, 0)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def _problem_of(body: Mapping[str, Any]) -> str | None:
    """What the real endpoint refuses and a careless client sends: tool answers without a call."""
    asked: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "assistant":
            asked = {call["id"] for call in message.get("tool_calls") or ()}
        elif message["role"] == "tool":
            if message.get("tool_call_id") not in asked:
                return "A message of role 'tool' must answer a preceding message with 'tool_calls'"
            asked.discard(message["tool_call_id"])
        elif asked:
            return "Each 'tool_calls' must be followed by tool messages that answer it"
    return "Each 'tool_calls' must be followed by tool messages that answer it" if asked else None


def _arguments(call: RigCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)


def _vector(text: str) -> list[float]:
    """Eight numbers that depend on the text alone."""
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def _error(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": code, "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)
