"""The OpenAI chat-completions format, as the gateway and its client speak it to each other.

Ours beside it, under `openloop`: `timeout_seconds` in a call, `assumed` in an answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

import orjson

from openloop.domain.model import (
    ModelMessage,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
    Usage,
    believed,
)
from openloop.models.errors import BadCall, ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.model import Finish, Role

Json = dict[str, object]

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
LONGEST_TIMEOUT_SECONDS: Final = 600.0
DEFAULT_TIMEOUT_SECONDS: Final = 120.0

_MAX_DEPTH: Final = 64
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{2,199}")

# What a caller may set for a provider. A list of what is taken, never of what is not: a key, an
# address or a header in a body would let whoever can reach the gateway redirect its keys.
PASSED_ON: Final = frozenset({"messages", "tools", "tool_choice", "temperature", "top_p", "stop"})
_CHAT_FIELDS: Final = PASSED_ON | {
    "model",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "openloop",
}
_FINISH_OUT: Final[Mapping[Finish, str]] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "refused": "content_filter",
}
_FINISH_IN: Final[Mapping[object, Finish]] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "content_filter": "refused",
}
_ROLES: Final[Mapping[object, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def parse_body(raw: bytes) -> Json:
    """The JSON object of a request. Raises BadCall; `raw` is at most MAX_BODY_BYTES long."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        message = "The body is not JSON"
        raise BadCall(message) from None
    if not isinstance(body, dict):
        message = "The body is not a JSON object"
        raise BadCall(message)
    checked = cast("Json", body)
    if _is_deep(checked):
        message = f"The body is nested deeper than {_MAX_DEPTH} levels"
        raise BadCall(message)
    return checked


def model_of(body: Json) -> str:
    """The model that is called. Raises BadCall."""
    model = body.get("model")
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        message = "`model` is missing or no model name"
        raise BadCall(message)
    return model


def check_chat(body: Json) -> None:
    """Refuse what the gateway does not do, rather than leave it out. Raises BadCall."""
    problems: list[str] = []
    if body.get("stream"):
        problems.append("`stream` is not supported: replies come whole")
    problems += [f"`{name}` is not taken" for name in body if name not in _CHAT_FIELDS]
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        problems.append("`messages` is a list with at least one message")
    elif not all(isinstance(each, dict) and each.get("role") in _ROLES for each in messages):  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
        problems.append("each of `messages` is an object with a known role")
    tokens = max_tokens_of(body)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        problems.append("`max_tokens` is a number from 1: what is not bounded cannot be budgeted")
    if problems:
        raise BadCall("; ".join(problems), problems=problems)


def max_tokens_of(body: Json) -> object:
    """The allowed length of the answer under either of its names."""
    return body.get("max_tokens", body.get("max_completion_tokens"))


def timeout_of(body: Json) -> float:
    """How long the provider may take."""
    ours = body.get("openloop")
    seconds = cast("Json", ours).get("timeout_seconds") if isinstance(ours, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
        return DEFAULT_TIMEOUT_SECONDS
    return min(float(seconds), LONGEST_TIMEOUT_SECONDS)


def write_request(request: ModelRequest) -> bytes:
    """A call, as the gateway reads it."""
    body: Json = {
        "model": request.model,
        "messages": [_message_out(each) for each in request.messages],
        "max_tokens": request.max_tokens,
        "openloop": {"timeout_seconds": request.timeout_seconds},
    }
    if request.tools:
        body["tools"] = [_tool_out(each) for each in request.tools]
    return orjson.dumps(body, default=dict)


def read_request(body: Json, *, idempotency_key: str) -> ModelRequest:
    """A checked call as a value, for the scripted model. Raises BadCall."""
    try:
        return ModelRequest(
            model=model_of(body),
            messages=tuple(_message_in(each) for each in cast("list[Json]", body["messages"])),
            tools=tuple(_tool_in(each) for each in cast("list[Json]", body.get("tools") or ())),
            max_tokens=cast("int", max_tokens_of(body)),
            timeout_seconds=timeout_of(body),
            idempotency_key=idempotency_key,
        )
    except (KeyError, TypeError, AttributeError):
        message = "A message or a tool is not of the shape that chat completions have"
        raise BadCall(message) from None


def write_reply(reply: ModelReply, *, call_id: str, created: int) -> bytes:
    """An answer, as OpenAI clients and ours read it. `model` is the name that was asked for."""
    message: Json = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message["tool_calls"] = [_call_out(each) for each in reply.tool_calls]
    usage = reply.usage
    return orjson.dumps(
        {
            "id": call_id,
            "object": "chat.completion",
            "created": created,
            "model": reply.model,
            "choices": [
                {"index": 0, "message": message, "finish_reason": _FINISH_OUT[reply.finish]}
            ],
            "usage": {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.input_tokens + usage.output_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            },
            "openloop": {"assumed": usage.assumed},
        }
    )


def read_reply(raw: bytes) -> ModelReply:
    """The answer of our gateway. Raises ModelUnavailable where it is none."""
    try:
        body = orjson.loads(raw)
        choice, counts = body["choices"][0], body["usage"]
        calls = tuple(_call_in(each) for each in choice["message"].get("tool_calls") or ())
        text: str = choice["message"]["content"]
        usage = Usage(
            input_tokens=counts["prompt_tokens"],
            output_tokens=counts["completion_tokens"],
            cached_tokens=counts["prompt_tokens_details"]["cached_tokens"],
            reasoning_tokens=counts["completion_tokens_details"]["reasoning_tokens"],
            assumed=body["openloop"]["assumed"],
        )
        return ModelReply(
            model=body["model"],
            text=text,
            tool_calls=calls,
            # Counted here once more: whatever gateway answers, nothing is free by mistake.
            usage=believed(usage, said=bool(text or calls)),
            finish=_FINISH_IN[choice["finish_reason"]],
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        message = "The model gateway answered something that is not a reply"
        raise ModelUnavailable(message, sent=True) from None


def _message_out(message: ModelMessage) -> Json:
    out: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        out["tool_calls"] = [_call_out(each) for each in message.tool_calls]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    return out


def _message_in(message: Json) -> ModelMessage:
    calls = cast("list[Json]", message.get("tool_calls") or ())
    tool_call_id = message.get("tool_call_id")
    return ModelMessage(
        role=_ROLES[message["role"]],
        content=_text(message.get("content")),
        tool_calls=tuple(_call_in(each) for each in calls),
        tool_call_id=None if tool_call_id is None else str(tool_call_id),
    )


def _text(content: object) -> str:
    if isinstance(content, list):  # parts, as some clients send them
        return "".join(str(part.get("text", "")) for part in cast("list[Json]", content))
    return "" if content is None else str(content)


def _call_out(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_in(call: Json) -> ToolCall:
    function = cast("Json", call["function"])
    return ToolCall(
        id=str(call["id"]), name=str(function["name"]), arguments=str(function["arguments"])
    )


def _tool_out(tool: ToolSpec) -> Json:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def _tool_in(tool: Json) -> ToolSpec:
    function = cast("Json", tool["function"])
    return ToolSpec(
        name=str(function["name"]),
        description=str(function.get("description", "")),
        parameters=cast("Json", function.get("parameters", {})),
    )


def _is_deep(body: object) -> bool:
    level: list[object] = [body]
    for _ in range(_MAX_DEPTH):
        level = [item for each in level for item in _items(each)]
        if not level:
            return False
    return True


def _items(value: object) -> list[object]:
    """What is inside, where that can hold more."""
    if isinstance(value, dict):
        inside = list(cast("Json", value).values())
    elif isinstance(value, list):
        inside = cast("list[object]", value)
    else:
        return []
    return [item for item in inside if isinstance(item, (dict, list))]
