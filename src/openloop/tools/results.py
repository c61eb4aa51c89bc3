"""What a tool answered, made safe to hand to a model: bounded, and without control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from openloop.domain.tool import ToolResult

if TYPE_CHECKING:
    from openloop.domain.redaction import Redactor

MAX_BYTES = 32 * 1024
_CONTROL = dict.fromkeys(
    (*range(9), 11, 12, *range(14, 32), 127, *range(128, 160), *range(0xD800, 0xE000))
)
"""Control characters, and halves of surrogate pairs, which no encoder takes."""


def bounded(result: ToolResult, redactor: Redactor) -> ToolResult:
    """The result without control characters; a large one becomes its beginning, and says so.

    What is secret goes before anything is cut: half of it would not be known for what it is.
    """
    content = _clean(result.content)
    text = orjson.dumps(content, default=str)
    if len(text) > MAX_BYTES:
        text = redactor.json(text)
        content = {
            "cut": f"The answer has {len(text)} bytes; this is the beginning of it.",
            "beginning": text[:MAX_BYTES].decode(errors="ignore"),
        }
    return ToolResult(outcome=result.outcome, content=content, link=result.link)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_CONTROL)
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return {_clean(str(key)): _clean(each) for key, each in pairs.items()}
    if isinstance(value, (list, tuple)):
        items: list[Any] = [*value]
        return [_clean(each) for each in items]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)  # no encoder takes it as a number
    return value
