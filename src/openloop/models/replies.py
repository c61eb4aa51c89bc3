"""From litellm's answer to ours."""

from __future__ import annotations

from typing import Any, Final

from openloop.domain.model import Finish, ModelReply, ToolCall, Usage, believed
from openloop.models.errors import ModelUnavailable

_FINISHES: Final[dict[object, Finish]] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "refused",
}


def read_completion(model: str, answer: Any) -> ModelReply:
    """The reply in a litellm ModelResponse, under the name that was asked for.

    Raises ModelUnavailable where there is none in it.
    """
    if not answer.choices:
        message = f"The provider of {model!r} answered without a reply"
        raise ModelUnavailable(message, sent=True)
    choice = answer.choices[0]
    message = choice.message
    more: Any = getattr(message, "provider_specific_fields", None) or {}
    refusal: str | None = more.get("refusal")
    calls = tuple(
        ToolCall(id=each.id, name=each.function.name or "", arguments=each.function.arguments or "")
        for each in message.tool_calls or ()
    )
    finish = "refused" if refusal else _FINISHES.get(choice.finish_reason, "stop")
    text = message.content or refusal or ""
    usage = read_usage(getattr(answer, "usage", None))
    is_whole = choice.finish_reason is not None
    return ModelReply(
        model=model,
        text=text,
        tool_calls=calls,
        usage=believed(usage, said=bool(text or calls), is_whole=is_whole),
        finish="tool_calls" if calls and finish == "stop" else finish,
    )


def read_usage(counts: Any) -> Usage:
    """The counts of a call; where input counts nothing, none can be believed.

    Some providers leave reasoning out of the output count and only in the total: what the total
    holds beside the input was output, and is billed as such.
    """
    read = _number(counts, "prompt_tokens")
    if read == 0:
        return Usage(input_tokens=0, output_tokens=0, assumed=True)
    written = max(_number(counts, "completion_tokens"), _number(counts, "total_tokens") - read)
    cached = _number(getattr(counts, "prompt_tokens_details", None), "cached_tokens")
    reasoning = _number(getattr(counts, "completion_tokens_details", None), "reasoning_tokens")
    return Usage(
        input_tokens=read,
        output_tokens=max(written, reasoning),
        cached_tokens=min(cached, read),
        reasoning_tokens=reasoning,
    )


def _number(counts: Any, name: str) -> int:
    value = getattr(counts, name, None)
    return value if isinstance(value, int) and value > 0 else 0
