"""Tools: what an agent may do, declared by us and never by a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from openloop.domain.redaction import Redactor

Arguments = dict[str, Any]
"""Validated arguments of a call: plain JSON values."""


class Effect(StrEnum):
    """What a tool does to the world. `note` writes only our own rows and is never held."""

    READ = "read"
    NOTE = "note"
    WRITE = "write"
    DESTROY = "destroy"

    @property
    def leaves_us(self) -> bool:
        """True where the call changes something outside of OpenLoop."""
        return self in (Effect.WRITE, Effect.DESTROY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a tool is given beside its arguments.

    `key` is the idempotency key of the effect (`run_id:step_seq`), the same on every attempt;
    `intended_at` is when the intent was written: an effect older than that is not ours. `redactor`
    knows what this process keeps secret: results are redacted wherever they are written, and what
    a tool cuts it redacts before, since half of a secret is not recognised.
    """

    key: str
    intended_at: datetime
    redactor: Redactor = field(default_factory=Redactor, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call came to. `content` is JSON and reaches the model as data."""

    outcome: Literal["done", "failed", "refused", "unknown"]
    content: Mapping[str, object] | list[object] | str
    link: str = ""

    @staticmethod
    def done(content: Mapping[str, object] | list[object] | str, *, link: str = "") -> "ToolResult":
        """It happened, or it was read."""
        return ToolResult(outcome="done", content=content, link=link)

    @staticmethod
    def failed(message: str) -> "ToolResult":
        """It did not happen; the sentence says why."""
        return ToolResult(outcome="failed", content={"error": message})

    @staticmethod
    def refused(message: str) -> "ToolResult":
        """Policy or a person said no."""
        return ToolResult(outcome="refused", content={"refused": message})
