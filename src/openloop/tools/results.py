"""What a tool answered, made safe to hand to a model: bounded, and without control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from openloop.domain.tool import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 32 * 1024
_CONTROL = {code: None for code in (*range(9), 11, 12, *range(14, 32), 127, *range(0x80, 0xA0))}


def bounded(result: ToolResult) -> ToolResult:
    """The result with control characters removed; a large one becomes its beginning, and says so."""
    content = _clean(result.content)
    text = orjson.dumps(content, default=str)
    if len(text) > MAX_BYTES:
        content = {
            "cut": f"The answer has {len(text)} bytes; this is the beginning of it.",
            "beginning": text[:MAX_BYTES].decode(errors="ignore"),
        }
    return ToolResult(outcome=result.outcome, content=content, link=result.link)


def _clean(
    value: Mapping[str, object] | list[object] | str | object,
) -> dict[str, object] | list[object] | str:
    return _cleaned(value)  # pyright: ignore[reportReturnType]  # same shape as what came in


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return value.translate(_CONTROL)
    if isinstance(value, dict):
        return {str(key): _cleaned(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(each) for each in value]
    return value
