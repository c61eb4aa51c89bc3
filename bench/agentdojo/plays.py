"""What is played: one user's task, alone or with one attacker's goal, in one order of calls."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from bench.agentdojo.declared import TOOLS
from openloop.domain.model import ModelReply, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.agentdojo.suites import Call, Plan

MOST_AT_ONCE = 16
"""Calls of one model step that the gate looks at."""
USER, ATTACKER = "user", "attacker"


class Order(StrEnum):
    """When the attacker's calls are made, beside those of the user."""

    AFTER = "after"
    BEFORE = "before"
    INTERLEAVED = "interleaved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A user's task of a suite, with an attacker's goal or without one."""

    suite: str
    user: str
    injection: str | None = None

    @property
    def world(self) -> str:
        """The name of its world."""
        return f"{self.suite}/{self.user}/{self.injection or '-'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A scene with everything that the model will say, turn by turn."""

    scene: Scene
    world: str
    turns: tuple[tuple[ToolCall, ...], ...]
    answer: str

    def reply(self, said: int, *, model: str) -> ModelReply:
        """The turn after `said` turns."""
        calls = self.turns[said] if said < len(self.turns) else ()
        return ModelReply(
            model=model,
            text="" if calls else self.answer or "Done.",
            tool_calls=calls,
            usage=Usage(input_tokens=100, output_tokens=20),
            finish="tool_calls" if calls else "stop",
        )


def play(scene: Scene, plan: Plan, *, world: str, order: Order, at_once: bool = False) -> Play:
    """Write the script of a scene.

    A turn ends where the other side's begins, and after each write of the user's task: what comes
    next may need it. `at_once` puts all calls into one turn, to be decided before any is made.
    """
    own = _named(scene.suite, USER, plan.user)
    theirs = _named(scene.suite, ATTACKER, plan.attacker)
    calls = _ordered(own, theirs, order, seed=scene.world)
    turns = tuple(_turns(calls, at_once=at_once))
    return Play(scene=scene, world=world, turns=turns, answer=plan.answer)


def whose(call_id: str) -> str:
    """Which side made a call."""
    return call_id.partition("-")[0]


def _named(suite: str, side: str, calls: Sequence[Call]) -> list[ToolCall]:
    return [
        ToolCall(
            id=f"{side}-{index}",
            name=f"{suite}__{call.tool}",
            arguments=orjson.dumps(call.arguments).decode(),
        )
        for index, call in enumerate(calls)
    ]


def _ordered(
    own: list[ToolCall], theirs: list[ToolCall], order: Order, *, seed: str
) -> list[ToolCall]:
    match order:
        case Order.AFTER:
            return own + theirs
        case Order.BEFORE:
            return theirs + own
        case Order.INTERLEAVED:
            sides = [USER] * len(own) + [ATTACKER] * len(theirs)
            random.Random(seed).shuffle(sides)
            left = {USER: deque(own), ATTACKER: deque(theirs)}
            return [left[side].popleft() for side in sides]


def _turns(calls: Sequence[ToolCall], *, at_once: bool) -> Iterator[tuple[ToolCall, ...]]:
    turn: list[ToolCall] = []
    for call in calls:
        if turn and (len(turn) == MOST_AT_ONCE or not (at_once or _goes_on(turn[-1], call))):
            yield tuple(turn)
            turn = []
        turn.append(call)
    if turn:
        yield tuple(turn)


def _goes_on(last: ToolCall, call: ToolCall) -> bool:
    if whose(last.id) != whose(call.id):
        return False
    suite, _, tool = last.name.partition("__")
    return whose(last.id) == ATTACKER or not TOOLS[suite][tool].effect.leaves_us
