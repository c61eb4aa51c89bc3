"""What a tool answered, as it comes to the journal and the model."""

from __future__ import annotations

import orjson

from openloop.domain.redaction import Redactor
from openloop.domain.tool import ToolResult
from openloop.tools.results import MAX_BYTES, bounded


def test_what_a_tool_answers_is_cut_and_cleaned() -> None:
    huge = bounded(ToolResult.done({"text": "x" * (50 * 1024 * 1024)}), Redactor())
    assert len(orjson.dumps(huge.content)) < MAX_BYTES + 500
    hostile = bounded(
        ToolResult.done({"a\x1b": ["\x1b[31mred\x1b[0m", "\x00", "\ud800", "tab\t"]}), Redactor()
    )
    assert hostile.content == {"a": ["[31mred[0m", "", "", "tab\t"]}


def test_a_secret_that_lies_across_the_cut_is_not_shown_by_half() -> None:
    secret = "correct-horse-battery-staple"
    for before in range(MAX_BYTES - 60, MAX_BYTES, 3):
        huge = ToolResult.done({"text": "x" * before + secret + "y" * MAX_BYTES})
        shown = orjson.dumps(bounded(huge, Redactor([secret])).content).decode()
        assert "correct" not in shown
