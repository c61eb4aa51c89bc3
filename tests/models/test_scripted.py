"""The scripted model: the same request, the same reply, and nothing made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openloop.domain.model import ModelMessage, ModelReply, ModelRequest, ToolCall, Usage
from openloop.domain.pricing import cost, estimate_input_tokens
from openloop.models.errors import BadScript
from openloop.models.script import Script
from openloop.models.script_file import parse_script
from openloop.models.script_folder import ScriptFolder
from openloop.models.scripted import reply_to

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "price: { input_per_million: 0.15, output_per_million: 0.60 }\n"
ASKED = ModelMessage("user", "anna: what about Postgres?\n\nOpen an issue in acme/platform")


def script(scenarios: str) -> Script:
    return parse_script((HEAD + scenarios).encode(), file="s.yaml")


def request(*messages: ModelMessage, max_tokens: int = 4096) -> ModelRequest:
    system = ModelMessage("system", "You are a teammate")
    return ModelRequest(
        model="scripted/s", messages=(system, *messages), max_tokens=max_tokens, idempotency_key="k"
    )


def answered(content: object) -> tuple[ModelMessage, ModelMessage]:
    """An assistant message that called a tool, and what the tool gave."""
    call = ToolCall(id="call_1_1", name="github__create_issue", arguments="{}")
    text = content if isinstance(content, str) else json.dumps(content)
    return (
        ModelMessage("assistant", "One moment.", tool_calls=(call,)),
        ModelMessage("tool", text, tool_call_id="call_1_1"),
    )


@pytest.fixture
def demo(scripts: Path) -> Script:
    return ScriptFolder(scripts).read("demo")


def say(made: Script, *messages: ModelMessage) -> ModelReply:
    return reply_to(request(*messages), made).reply


def test_the_scenario_is_chosen_by_what_the_run_was_asked(demo: Script) -> None:
    reply = say(demo, ASKED)

    assert reply.text == "One moment."
    assert reply.finish == "tool_calls"
    (call,) = reply.tool_calls
    assert call.name == "github__create_issue"
    assert json.loads(call.arguments) == {
        "repo": "acme/platform",
        "title": "Use Postgres 16",
        "labels": ["decision"],
    }


def test_the_thread_before_the_request_chooses_nothing(demo: Script) -> None:
    thread = ModelMessage("user", "ben: open an issue in acme/platform\n\nThanks, good night")
    assert say(demo, thread).text == "Hello."


def test_steering_does_not_change_the_scenario(demo: Script) -> None:
    steering = ModelMessage("user", "be quick")
    reply = say(demo, ASKED, *answered({"number": 7, "url": "https://x/7"}), steering)
    assert reply.text == "Created #7: https://x/7"


def test_the_turn_is_the_number_of_replies_so_far(demo: Script) -> None:
    reply = say(demo, ASKED, *answered({"number": 7, "url": "https://x/7"}))

    assert reply.text == "Created #7: https://x/7"
    assert reply.finish == "stop"
    assert reply.usage == Usage(input_tokens=500, output_tokens=20)


def test_a_refusal_leads_elsewhere(demo: Script) -> None:
    assert say(demo, ASKED, *answered({"refused": "no"})).text == "Not created: it was refused."


def test_a_result_wrapped_in_words_is_read_all_the_same(demo: Script) -> None:
    wrapped = 'Result of the tool {as data}:\n{"number": 7, "url": "u"}\nEnd of the result.'
    assert say(demo, ASKED, *answered(wrapped)).text == "Created #7: u"


@pytest.mark.parametrize("content", [{"number": 7}, "no JSON at all", "{", [1]])
def test_a_field_that_is_not_there_is_an_error_and_not_a_gap(demo: Script, content: object) -> None:
    with pytest.raises(BadScript, match="tool"):
        say(demo, ASKED, *answered(content))


def test_a_single_place_keeps_its_type_and_braces_are_written_twice() -> None:
    made = script(
        "usage: none\nscenarios:\n  - name: a\n    turns:\n      - say: first\n"
        "      - call: [{name: t, arguments: {n: '{tool.a.n}', text: '{{{tool.a.n}}}'}}]\n"
    )
    (call,) = say(made, ASKED, *answered({"a": {"n": 7}})).tool_calls
    assert json.loads(call.arguments) == {"n": 7, "text": "{7}"}


def test_a_finished_script_says_that_it_is_finished(demo: Script) -> None:
    done = ModelMessage("assistant", "Created.")
    with pytest.raises(BadScript, match=r"demo\.yaml:\d+: scenario 'issue' has 2 turns"):
        say(demo, ASKED, *answered({}), done)


def test_a_script_without_an_answer_says_so() -> None:
    made = script("usage: none\nscenarios: [{name: a, match: never, turns: [{say: x}]}]")
    with pytest.raises(BadScript, match="no scenario"):
        say(made, ASKED)
    with pytest.raises(BadScript, match="user message"):
        say(made)


def test_a_loop_never_ends() -> None:
    made = script(
        "usage: {input: 1, output: 1}\nscenarios:\n  - name: a\n    loop: true\n    turns:\n"
        "      - call: [{name: search, arguments: {}}]\n"
    )
    history = [part for _ in range(50) for part in answered({"found": []})]
    assert say(made, ASKED, *history).tool_calls[0].id == "call_51_1"


def test_usage_is_reported_as_declared_even_above_the_limit() -> None:
    made = script("scenarios: [{name: a, turns: [{say: x, usage: {input: 9, output: 9000}}]}]")
    assert reply_to(request(ASKED, max_tokens=256), made).reply.usage.output_tokens == 9000


def test_usage_may_be_left_out_as_some_providers_do() -> None:
    made = script("scenarios: [{name: a, turns: [{say: x, usage: none, finish: length}]}]")
    reply = say(made, ASKED)
    assert reply.usage.assumed
    assert reply.finish == "length"


HASHED = script("scenarios: [{name: a, turns: [{say: x, usage_from: sha256}]}]")
PRICE = HASHED.price


@settings(deadline=None)
@given(st.text(min_size=1), st.integers(min_value=256, max_value=8192))
def test_hashed_usage_is_a_tenth_to_the_whole_of_the_reservation(text: str, limit: int) -> None:
    asked = request(ModelMessage("user", text), max_tokens=limit)
    reserved_input = estimate_input_tokens(asked.messages)
    reserved = cost(Usage(input_tokens=reserved_input, output_tokens=limit), PRICE)

    usage = reply_to(asked, HASHED).reply.usage

    assert reserved_input // 10 <= usage.input_tokens <= reserved_input
    assert limit // 10 <= usage.output_tokens <= limit
    assert cost(usage, PRICE) <= reserved
    assert reply_to(asked, HASHED).reply.usage == usage


def test_hashed_usage_covers_its_range() -> None:
    shares = [
        reply_to(request(ModelMessage("user", f"run {number}")), HASHED).reply.usage.output_tokens
        / 4096
        for number in range(200)
    ]
    assert min(shares) < 0.15
    assert max(shares) > 0.95
    assert 0.45 < sum(shares) / len(shares) < 0.65


def test_a_range_may_be_given() -> None:
    made = script("scenarios: [{name: a, turns: [{say: x, usage_from: {sha256: [0.5, 0.5]}}]}]")
    assert reply_to(request(ASKED, max_tokens=1000), made).reply.usage.output_tokens == 500


def test_a_delay_is_asked_for_and_not_slept() -> None:
    made = script("usage: none\nscenarios: [{name: a, turns: [{say: x, delay_seconds: 1.5}]}]")
    assert reply_to(request(ASKED), made).delay_seconds == 1.5
