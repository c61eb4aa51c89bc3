"""What stands around the runtime: a platform without a network, a scripted model, the toolsets."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.agentdojo.declared import TOOLS
from openloop.domain.audience import PlaceClass
from openloop.domain.surface import Accepted, Card, Field, Person, Place, Receipt
from openloop.domain.tool import ToolResult
from openloop.plugin import Tool, Toolset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bench.agentdojo.declared import Declared
    from bench.agentdojo.plays import Play
    from bench.agentdojo.suites import Function, Suite, Suites
    from openloop.domain.model import ModelReply, ModelRequest
    from openloop.domain.surface import Delivery, Finding, Op, Thread, ThreadMessage
    from openloop.domain.tool import Arguments, CallContext
    from openloop.plugin import Sink

SURFACE, TENANT = "slack", "T0DOJO"
MODEL = "ollama/agentdojo"


@dataclass(slots=True)
class Stagehands:
    """Which play a run is; `made` counts the calls that reached a world, by step."""

    suites: Suites
    plays: dict[str, Play] = field(default_factory=dict[str, "Play"])
    made: set[str] = field(default_factory=set[str])


class Platform:
    """A platform on which everybody is a full member and everything is delivered."""

    name = SURFACE

    def accept(self, delivery: Delivery) -> Accepted:
        return Accepted()

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        return Receipt(outcome="done", message_ids=(key,))

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        return Receipt(outcome="done", message_ids=(key,))

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        return ()

    async def person(self, tenant: str, user_id: str) -> Person:
        return Person(id=user_id, name=user_id.removeprefix("U0").lower(), kind="member")

    async def audience(self, place: Place) -> PlaceClass:
        return PlaceClass.INTERNAL

    async def find_place(self, name: str) -> Place | None:
        return Place(surface=SURFACE, tenant=TENANT, container=name.removeprefix("#"))

    async def listen(self, sink: Sink) -> None:
        return None

    async def check(self) -> Sequence[Finding]:
        return ()

    async def aclose(self) -> None:
        return None


TURN: ContextVar[int] = ContextVar("agentdojo_turn")
"""How many turns were said before the one whose calls are being decided; controls ask for it."""


class ScriptedModel:
    """Says what the play of a run has next. It stands where the gateway's client does."""

    def __init__(self, hands: Stagehands) -> None:
        self._hands = hands

    async def complete(self, request: ModelRequest) -> ModelReply:
        play = self._hands.plays[request.idempotency_key.partition(":")[0]]
        said = sum(message.role == "assistant" for message in request.messages)
        TURN.set(said)
        return play.reply(said, model=request.model)

    async def providers(self) -> Mapping[str, Any]:
        return {}


def toolset(suite: Suite, hands: Stagehands) -> Toolset:
    """The tools of a suite, declared as an integration declares its own.

    Raises:
        KeyError: a tool is not in our table
    """
    declared = TOOLS[suite.name]
    return Toolset(
        name=suite.name,
        tools=tuple(_tool(each, declared[each.name], hands) for each in suite.tools),
        check=_nothing,
        aclose=_done,
    )


def _tool(function: Function, declared: Declared, hands: Stagehands) -> Tool:
    return Tool(
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        permission=declared.permission,
        effect=declared.effect,
        call=_caller(function.name, hands),
        render=_renderer(function.name),
        sinks=declared.sinks,
    )


def _caller(
    name: str, hands: Stagehands
) -> Callable[[Arguments, CallContext], Awaitable[ToolResult]]:
    async def call(arguments: Arguments, context: CallContext) -> ToolResult:
        play = hands.plays[context.key.partition(":")[0]]
        hands.made.add(context.key)
        answer = await hands.suites.call(play.world, name, arguments)
        if "error" in answer:
            return ToolResult.failed(answer["error"])
        return ToolResult.done({"result": answer["result"]})

    return call


def _renderer(name: str) -> Callable[[Arguments], Card]:
    def render(arguments: Arguments) -> Card:
        fields = tuple(Field(label=label, value=str(value)) for label, value in arguments.items())
        return Card(title=name.replace("_", " ").capitalize(), fields=fields)

    return render


async def _nothing() -> Sequence[Finding]:
    return ()


async def _done() -> None:
    return None
