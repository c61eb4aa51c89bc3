"""A platform, a model and a toolset without a network, each with the dials that tests turn.

They are real implementations of the ports and not mocks: what a test asserts is what they hold.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import AmbiguousEffect, OpenLoopError, TryLater
from openloop.domain.model import ModelReply, ToolCall, Usage
from openloop.domain.surface import (
    Accepted,
    Ask,
    Card,
    Field,
    Person,
    Place,
    Receipt,
    Say,
    SetStatus,
    Settle,
    Thread,
)
from openloop.domain.tool import Effect, ToolResult
from openloop.plugin import Tool, Toolset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from openloop.domain.model import ModelRequest
    from openloop.domain.surface import (
        Delivery,
        Finding,
        Op,
        PersonKind,
        ThreadMessage,
    )
    from openloop.domain.tool import Arguments, CallContext
    from openloop.plugin import Sink

TENANT = "T0ACME"


class Killed(BaseException):
    """The process died here. No `except Exception` of the product sees it."""


@dataclass
class FakeSurface:
    """A platform that holds what was posted to it, by idempotency key."""

    name: str = "slack"
    posted: dict[str, Op] = field(default_factory=dict[str, "Op"])
    performed: list[tuple[str, Op]] = field(default_factory=list[tuple[str, "Op"]])
    looked_up: list[str] = field(default_factory=list[str])
    kinds: dict[str, PersonKind] = field(default_factory=dict[str, "PersonKind"])
    names: dict[str, str] = field(default_factory=dict[str, str])
    place_class: PlaceClass | Exception = PlaceClass.INTERNAL
    audiences_asked: list[str] = field(default_factory=list[str])
    thread: list[ThreadMessage] = field(default_factory=list["ThreadMessage"])
    answers: list[Receipt | Literal["lost", "lost before"]] = field(
        default_factory=list["Receipt | Literal['lost', 'lost before']"]
    )
    absent: set[str] = field(default_factory=set[str])
    silent_look_ups: int = 0
    gate: asyncio.Event | None = None
    person_error: OpenLoopError | None = None

    def accept(self, delivery: Delivery) -> Accepted:
        return Accepted()

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """Post the op; the next of `answers` says what the caller is told about it."""
        if self.gate is not None:
            await self.gate.wait()
        self.performed.append((key, op))
        answer = self.answers.pop(0) if self.answers else None
        if answer == "lost before":
            return Receipt(outcome="unknown", detail="the answer was lost")
        if isinstance(answer, Receipt):
            return answer
        self.posted[key] = op
        if answer == "lost":
            return Receipt(outcome="unknown", detail="the answer was lost")
        return Receipt(outcome="done", message_ids=(f"m-{key}",))

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        self.looked_up.append(key)
        if self.silent_look_ups:
            self.silent_look_ups -= 1
            return Receipt(outcome="unknown")
        if key in self.posted:
            return Receipt(outcome="done", message_ids=(f"m-{key}",))
        return Receipt(outcome="retry")

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        return self.thread[-limit:]

    async def person(self, tenant: str, user_id: str) -> Person:
        if self.person_error is not None:
            raise self.person_error
        kind = self.kinds.get(user_id, "member")
        name = self.names.get(user_id, user_id.removeprefix("U0").lower())
        return Person(id=user_id, name=name, kind=kind)

    def alone_with(self, tenant: str, user_id: str) -> Thread:
        return Thread(place=Place(surface=self.name, tenant=tenant, container=user_id), root="")

    async def audience(self, place: Place) -> PlaceClass:
        self.audiences_asked.append(place.container)
        if isinstance(self.place_class, Exception):
            raise self.place_class
        return self.place_class

    async def find_place(self, name: str) -> Place | None:
        return Place(surface=self.name, tenant=TENANT, container=name.lstrip("#").upper())

    async def listen(self, sink: Sink) -> None:
        return None

    async def check(self) -> Sequence[Finding]:
        return ()

    async def aclose(self) -> None:
        return None

    @property
    def said(self) -> list[str]:
        """The texts of the messages that are there, in the order in which they came."""
        return [op.markdown for _, op in self._there() if isinstance(op, Say)]

    @property
    def cards(self) -> list[Ask]:
        """The approval cards that are there."""
        return [op for _, op in self._there() if isinstance(op, Ask)]

    @property
    def settled(self) -> list[Settle]:
        """What cards were replaced by."""
        return [op for _, op in self._there() if isinstance(op, Settle)]

    @property
    def statuses(self) -> list[SetStatus]:
        """The statuses that were shown."""
        return [op for _, op in self._there() if isinstance(op, SetStatus)]

    def _there(self) -> list[tuple[str, Op]]:
        return list(self.posted.items())


def reply(
    text: str = "",
    *calls: tuple[str, str],
    usage: tuple[int, int] | None = (100, 20),
    model: str = "ollama/test",
) -> ModelReply:
    """What a model says; each call is a tool's name and the raw text of its arguments."""
    return ModelReply(
        model=model,
        text=text,
        tool_calls=tuple(
            ToolCall(id=f"call-{index}", name=name, arguments=arguments)
            for index, (name, arguments) in enumerate(calls)
        ),
        usage=(
            Usage(input_tokens=0, output_tokens=0, assumed=True)
            if usage is None
            else Usage(input_tokens=usage[0], output_tokens=usage[1])
        ),
        finish="tool_calls" if calls else "stop",
    )


Turn = ModelReply | BaseException


@dataclass
class FakeModels:
    """Answers turn by turn, by how many turns of the conversation there are already."""

    turns: list[Turn] = field(default_factory=list["Turn"])
    requests: list[ModelRequest] = field(default_factory=list["ModelRequest"])
    before: Callable[[ModelRequest], Awaitable[None]] | None = None
    after: Callable[[ModelRequest], Awaitable[None]] | None = None

    async def complete(self, request: ModelRequest) -> ModelReply:
        if self.before is not None:
            await self.before(request)
        self.requests.append(request)
        said = sum(message.role == "assistant" for message in request.messages)
        turn = self.turns[min(said, len(self.turns) - 1)]
        if isinstance(turn, BaseException):
            # A failure is answered once; the turn behind it is what the next try gets.
            self.turns.remove(turn)
            raise turn
        if self.after is not None:
            await self.after(request)
        return turn

    async def providers(self) -> Mapping[str, object]:
        return {}


@dataclass
class FakeTracker:
    """An issue tracker: what was written, by idempotency key, and how often that was tried."""

    issues: dict[str, Arguments] = field(default_factory=dict[str, "Arguments"])
    writes: list[str] = field(default_factory=list[str])
    wanted: dict[str, Arguments] = field(default_factory=dict[str, "Arguments"])
    reads: list[str] = field(default_factory=list[str])
    look_ups: list[str] = field(default_factory=list[str])
    next: list[Literal["later", "lost", "lost before", "broken", "declined"] | None] = field(
        default_factory=list[Literal["later", "lost", "lost before", "broken", "declined"] | None]
    )
    knows: bool = True
    before: Callable[[str], Awaitable[None]] | None = None
    after: Callable[[str], Awaitable[None]] | None = None
    opens: Callable[[Arguments, ToolResult], Thread | None] | None = None

    async def create(self, arguments: Arguments, context: CallContext) -> ToolResult:
        self.writes.append(context.key)
        self.wanted[context.key] = arguments
        if self.before is not None:
            await self.before(context.key)
        dial = self.next.pop(0) if self.next else None
        match dial:
            case "later":
                raise TryLater("The tracker is busy")
            case "lost before":
                raise AmbiguousEffect("The answer was lost")
            case "broken":
                raise KeyError("a bug in a toolset")
            case "declined":
                raise OpenLoopError("The tracker declined")
            case _:
                pass
        number = len(self.issues) + 1
        self.issues[context.key] = arguments
        if self.after is not None:
            await self.after(context.key)
        if dial == "lost":
            raise AmbiguousEffect("The answer was lost")
        return ToolResult.done({"number": number}, link=f"https://tracker.example/{number}")

    async def find(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        self.look_ups.append(context.key)
        if not self.knows or context.key not in self.issues:
            return None
        return ToolResult.done({"number": 1}, link="https://tracker.example/1")

    async def read(self, arguments: Arguments, context: CallContext) -> ToolResult:
        self.reads.append(context.key)
        if self.before is not None:
            await self.before(context.key)
        return ToolResult.done({"number": arguments["number"], "title": "Vacuum is slow"})

    def toolset(self) -> Toolset:
        """The tracker under the name and the permissions that manifests know."""

        async def check() -> Sequence[Finding]:
            return ()

        async def aclose() -> None:
            return None

        return Toolset(
            name="github",
            tools=(
                Tool(
                    name="create_issue",
                    description="Open an issue.",
                    parameters=_schema(
                        {"repo": _TEXT, "title": _TEXT, "body": _TEXT}, "repo title"
                    ),
                    permission="issues:write",
                    effect=Effect.WRITE,
                    call=self.create,
                    render=_card("Open an issue"),
                    resource=_repo,
                    sinks=(),
                    look_up=self.find,
                    opens=self.opens,
                ),
                Tool(
                    name="get_issue",
                    description="Read an issue.",
                    parameters=_schema(
                        {"repo": _TEXT, "number": {"type": "integer"}}, "repo number"
                    ),
                    permission="issues:read",
                    effect=Effect.READ,
                    call=self.read,
                    render=_card("Read an issue"),
                    resource=_repo,
                ),
                Tool(
                    name="get_pull",
                    description="Read a pull request.",
                    parameters=_schema(
                        {"repo": _TEXT, "number": {"type": "integer"}}, "repo number"
                    ),
                    permission="pulls:read",
                    effect=Effect.READ,
                    call=self.read,
                    render=_card("Read a pull request"),
                    resource=_repo,
                ),
            ),
            check=check,
            aclose=aclose,
        )


_TEXT: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": 60_000}


def _schema(properties: dict[str, dict[str, object]], required: str) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _repo(arguments: Arguments) -> str:
    return str(arguments["repo"])


def _card(title: str) -> Callable[[Arguments], Card]:
    def render(arguments: Arguments) -> Card:
        fields = tuple(Field(label=name, value=str(value)) for name, value in arguments.items())
        return Card(title=title, fields=fields)

    return render
