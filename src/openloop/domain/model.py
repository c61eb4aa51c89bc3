"""What is asked of a model and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
MOST_TOKENS = 1_000_000_000
"""More than any model reads or writes in one call."""
Finish = Literal["stop", "tool_calls", "length", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one model call, as the provider counted them.

    `cached_tokens` are part of `input_tokens`, `reasoning_tokens` of `output_tokens`. Where the
    provider gave no count, `assumed` is true, all counts are zero, and the call is settled at its
    whole reservation.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    assumed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.cached_tokens <= self.input_tokens:
            message = f"{self.cached_tokens} cached of {self.input_tokens} input tokens"
            raise ValueError(message)
        if not 0 <= self.reasoning_tokens <= self.output_tokens:
            message = f"{self.reasoning_tokens} reasoning of {self.output_tokens} output tokens"
            raise ValueError(message)


def believed(usage: Usage, *, said: bool, is_whole: bool = True) -> Usage:
    """The usage of a reply, or `assumed` where its counts cannot be believed.

    A prompt is never empty, so no input means that nobody counted; so does no output where something
    was `said`. What was counted of a reply that was cut off is not all of it, and no call has so many
    tokens that they could not be booked.
    """
    counts_too_much = max(usage.input_tokens, usage.output_tokens) > MOST_TOKENS
    counts_nothing = usage.input_tokens == 0 or (said and usage.output_tokens == 0)
    if usage.assumed or counts_nothing or counts_too_much or not is_whole:
        return Usage(input_tokens=0, output_tokens=0, assumed=True)
    return usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as a model sees it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asks for. `arguments` is the raw text it wrote: perhaps not even JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """One entry of the conversation with a model."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call. `idempotency_key` is new for each attempt: each attempt is reserved by itself."""

    model: str
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 4096
    timeout_seconds: float = 120
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """What came back. `model` is the name that was asked for: the one that has a price."""

    model: str
    text: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    finish: Finish
