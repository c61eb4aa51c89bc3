"""Counts that nobody can have counted are not believed: the call is charged at all that was set aside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from openloop.domain.model import ModelReply, Usage, believed
from openloop.models.replies import read_completion
from openloop.models.wire import read_reply, write_reply

COUNTED = Usage(input_tokens=100, output_tokens=20)


def completion(
    text: str = "x",
    *,
    counts: dict[str, int] | None,
    finish: str | None = "stop",
    calls: list[Any] | None = None,
) -> Any:
    """litellm's answer."""
    message = SimpleNamespace(content=text, tool_calls=calls, provider_specific_fields=None)
    return SimpleNamespace(
        choices=[SimpleNamespace(message=message, finish_reason=finish)],
        usage=None if counts is None else SimpleNamespace(**counts),
    )


CALLS = [SimpleNamespace(id="1", function=SimpleNamespace(name="search", arguments="{}"))]
WHOLE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


@pytest.mark.parametrize(
    ("answer", "assumed"),
    [
        (completion(counts=WHOLE), False),
        (completion(counts=None), True),
        (completion(counts={"prompt_tokens": 0, "completion_tokens": 20}), True),
        (completion(counts={"prompt_tokens": 100, "completion_tokens": 0}), True),
        (completion("", counts={"prompt_tokens": 100, "completion_tokens": 0}), False),
        (completion("", counts={"prompt_tokens": 100, "completion_tokens": 0}, calls=CALLS), True),
        (completion(counts=WHOLE, finish=None), True),
        (completion("", counts=WHOLE, finish=None), True),
    ],
    ids=[
        "counted",
        "no usage",
        "no input",
        "no output for an answer",
        "no output for no answer",
        "no output for a call",
        "cut off",
        "cut off before anything was said",
    ],
)
def test_what_a_provider_counts(answer: Any, *, assumed: bool) -> None:
    usage = read_completion("openai/gpt-4o-mini", answer).usage
    assert usage.assumed is assumed
    if assumed:
        assert (usage.input_tokens, usage.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("usage", "text", "assumed"),
    [
        (COUNTED, "x", False),
        (Usage(input_tokens=100, output_tokens=0), "x", True),
        (Usage(input_tokens=0, output_tokens=20), "x", True),
        (Usage(input_tokens=10**18, output_tokens=20), "x", True),
        (Usage(input_tokens=100, output_tokens=10**9), "x", False),
        (Usage(input_tokens=100, output_tokens=10**9 + 1), "x", True),
        (Usage(input_tokens=100, output_tokens=0), "", False),
    ],
)
def test_what_a_gateway_answers(usage: Usage, text: str, *, assumed: bool) -> None:
    said = ModelReply(model="openai/a", text=text, tool_calls=(), usage=usage, finish="stop")
    read = read_reply(write_reply(said, call_id="1", created=0))
    assert read.usage.assumed is assumed


def test_what_is_counted_stays_as_it_is() -> None:
    assert believed(COUNTED, said=True) is COUNTED
