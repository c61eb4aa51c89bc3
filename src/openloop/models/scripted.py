"""The scripted model: deterministic replies, no AI, and no memory of earlier requests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openloop.domain.model import ModelReply, ToolCall, Usage
from openloop.domain.pricing import estimate_input_tokens
from openloop.models.errors import BadScript
from openloop.models.script import FixedUsage, HashedUsage, NoUsage
from openloop.models.template import Filling, fill, fill_all

if TYPE_CHECKING:
    from openloop.domain.model import ModelRequest
    from openloop.models.script import Scenario, Script, Turn

_MOST_TEXT: Final = 4000  # what a pattern looks at, so that no pattern is slow for long


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """A reply, and how long the script wants it to take."""

    reply: ModelReply
    delay_seconds: float


def reply_to(request: ModelRequest, script: Script) -> ScriptedReply:
    """What the script says to this request.

    The scenario is the first whose `match` is found in the last paragraph of the first user
    message: what the run was asked. The turn is the number of assistant messages so far.

    Raises BadScript where the script has no answer.
    """
    asked = _asked(request)
    scenario, groups = _choose(script, asked)
    number = sum(message.role == "assistant" for message in request.messages)
    turn = _turn(script, scenario, number, _newest(request))
    filling = Filling(groups=groups, tool_result=_tool_result(request))
    calls = tuple(
        ToolCall(
            id=f"call_{number + 1}_{at}",
            name=call.name,
            arguments=json.dumps(fill_all(call.arguments, filling), ensure_ascii=False),
        )
        for at, call in enumerate(turn.calls, start=1)
    )
    reply = ModelReply(
        model=request.model,
        text=fill(turn.say, filling),
        tool_calls=calls,
        usage=_usage(turn, request),
        finish="tool_calls" if calls and turn.finish == "stop" else turn.finish,
    )
    return ScriptedReply(reply=reply, delay_seconds=turn.delay_seconds)


def _asked(request: ModelRequest) -> str:
    first = next((each.content for each in request.messages if each.role == "user"), None)
    if first is None:
        message = "A scripted model needs a user message to choose a scenario"
        raise BadScript(message)
    paragraphs = [each for each in first.replace("\r\n", "\n").split("\n\n") if each.strip()]
    return paragraphs[-1].strip()[-_MOST_TEXT:] if paragraphs else ""


def _newest(request: ModelRequest) -> str:
    heard = (each.content for each in reversed(request.messages) if each.role in ("tool", "user"))
    return next(heard, "")[-_MOST_TEXT:]


def _tool_result(request: ModelRequest) -> str | None:
    results = (each.content for each in reversed(request.messages) if each.role == "tool")
    return next(results, None)


def _choose(script: Script, asked: str) -> tuple[Scenario, dict[str, str | None]]:
    for scenario in script.scenarios:
        if scenario.match is None:
            return scenario, {}
        if found := scenario.match.search(asked):
            return scenario, found.groupdict()
    message = f"{script.file} has no scenario for {asked[:80]!r}"
    raise BadScript(message)


def _turn(script: Script, scenario: Scenario, number: int, newest: str) -> Turn:
    count = len(scenario.steps)
    if number >= count and not scenario.loop:
        message = (
            f"{script.file}:{scenario.line}: scenario {scenario.name!r} has {count} turns, "
            f"and turn {number + 1} is asked for"
        )
        raise BadScript(message)
    step = scenario.steps[number % count]
    for turn in step:
        if turn.when is None or turn.when.search(newest):
            return turn
    message = (
        f"{script.file}:{step[0].line}: scenario {scenario.name!r}: no `when` of turn "
        f"{number + 1} fits what came before"
    )
    raise BadScript(message)


def _usage(turn: Turn, request: ModelRequest) -> Usage:
    match turn.usage:
        case FixedUsage(input_tokens=input_tokens, output_tokens=output_tokens):
            return Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        case HashedUsage(least=least, most=most):
            share = least + (most - least) * _fraction(request)
            reserved = estimate_input_tokens(request.messages, request.tools)
            return Usage(
                input_tokens=int(share * reserved), output_tokens=int(share * request.max_tokens)
            )
        case NoUsage():
            return Usage(input_tokens=0, output_tokens=0, assumed=True)


def _fraction(request: ModelRequest) -> float:
    """From 0 to 1, the same for the same conversation."""
    digest = hashlib.sha256()
    for message in request.messages:
        for part in (
            message.role,
            message.content,
            *(call.arguments for call in message.tool_calls),
        ):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8) + encoded)
    return int.from_bytes(digest.digest()[:6]) / (2**48 - 1)
