"""What an integration's author imports: Integration, Surface, Toolset, Tool and `discover`.

An integration is a folder with one object named in the entry-point group
`openloop.integrations`. It imports `openloop.domain` and this module, and nothing else of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from openloop.domain.audience import PlaceClass
    from openloop.domain.bookmark import Gap
    from openloop.domain.facts import Access
    from openloop.domain.groups import GroupMembers
    from openloop.domain.resources import ResourceKind
    from openloop.domain.sinks import SinkValue
    from openloop.domain.surface import (
        Accepted,
        Card,
        Delivery,
        Finding,
        Op,
        Person,
        Place,
        Receipt,
        Thread,
        ThreadMessage,
    )
    from openloop.domain.tool import Arguments, CallContext, Effect, ToolResult

GROUP = "openloop.integrations"


class Sink(Protocol):
    """Where a surface that listens by itself (Socket Mode) hands in what it accepted.

    Returns when the events are committed; raises where they could not be, and then the platform
    must not be told that they were.
    """

    async def __call__(self, accepted: Accepted) -> None: ...


class Surface(Protocol):
    """A platform on which people talk to agents: pure translation and I/O, no policy."""

    name: str

    def accept(self, delivery: Delivery) -> Accepted:
        """Verify and decode, with no network. Raises `Rejected`."""
        ...

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """Carry out one op. `key` is its idempotency key and must be findable afterwards."""
        ...

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """Find out what became of an ambiguous op: done, retry (it is not there) or unknown."""
        ...

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        """The newest `limit` messages of a thread, oldest first."""
        ...

    async def person(self, tenant: str, user_id: str) -> Person:
        """What the platform says of a user; kind `unknown` where it knows nobody of that id.

        Raises `Unavailable` where it cannot be asked at the moment.
        """
        ...

    async def audience(self, place: Place) -> PlaceClass:
        """Who can read in a place, as the platform says; remembered for 60 seconds at most.

        Raises an error of ours where that cannot be found out: nothing is assumed.
        """
        ...

    async def find_place(self, name: str) -> Place | None:
        """The place that people call `name` (`#dev-platform`), by stable id."""
        ...

    async def listen(self, sink: Sink) -> None:
        """Receive by an outbound connection until cancelled; returns at once where there is none."""
        ...

    async def check(self) -> Sequence[Finding]:
        """What `doctor` shows: token, scopes, reachability."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@runtime_checkable
class GroupSource(Protocol):
    """A surface whose groups can be mirrored; not every platform has any."""

    async def group_members(self, group_id: str) -> GroupMembers:
        """Who is in a group now; raises an error of ours where the platform does not say."""
        ...


@runtime_checkable
class PlaceRights(Protocol):
    """A surface where everybody can speak, and where each place says what people may do in it."""

    async def person_in(self, place: Place, user_id: str) -> Person:
        """What the platform says of a user in a place, with a standing; remembered for 60 seconds.

        Raises an error of ours where it does not say: then nobody may anything.
        """
        ...


@runtime_checkable
class TellsOpen(Protocol):
    """A surface where a place that outsiders read need not be open to every full member."""

    async def is_open(self, place: Place) -> bool:
        """Whether every full member can read in a place, whoever else does.

        Asked right after `audience`, with whose answer it has to agree. Raises an error of ours where
        that cannot be found out.
        """
        ...


@runtime_checkable
class TellsAlone(Protocol):
    """A surface that can tell one person something where nobody else reads it."""

    def alone_with(self, tenant: str, user_id: str) -> Thread:
        """Where that is, by the person's id; it takes every `Say`, whether they ever wrote to us or not."""
        ...


@runtime_checkable
class TellsStale(Protocol):
    """A surface whose events can be overtaken by others before somebody looks into them."""

    async def is_stale(self, thread: Thread, message_id: str) -> bool:
        """Whether what a message is about is not so any more; raises where it cannot be found out."""
        ...


@runtime_checkable
class ShowsProgress(Protocol):
    """A surface on which a status stays until it is changed: it is told of each step of a run."""

    progress_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPlace:
    """A place that agents are bound to, under the name that its manifest gives it."""

    place: Place
    name: str


class Bookmark(Protocol):
    """How far a list of the platform has been read; ours until another process takes it over."""

    @property
    def read(self) -> Mapping[str, object] | None:
        """What was kept last, by whichever process; None at the very first time."""
        ...

    async def keep(self, read: Mapping[str, object], *, gap: Gap | None = None) -> None:
        """Keep how far it is read: only after the sink has returned, so that nothing is lost.

        A `gap` is told in `doctor` and in the record. What `read` holds under `unread` (an `Unread`
        by its name) is told in `doctor` for as long as it stands there. Raises `LostBookmark`.
        """
        ...


class Bookmarks(Protocol):
    """What a surface that asks its platform is given: rows that outlive it, one reader at a time."""

    def hold(self, name: str) -> AbstractAsyncContextManager[Bookmark]:
        """Wait until no other process reads the list `name`, and hold its bookmark."""
        ...

    async def places(self) -> Sequence[BoundPlace]:
        """The places of this surface that agents are bound to."""
        ...


@runtime_checkable
class Polling(Protocol):
    """A surface that asks its platform what has happened, beside or instead of being told."""

    async def poll(self, sink: Sink, bookmarks: Bookmarks) -> None:
        """Ask until cancelled; returns at once where there is nothing to ask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One thing an agent may do.

    `permission` is what a manifest grants (`issues:write`), `effect` what it does to the world,
    `resource` the thing it touches (`acme/platform`), compared with the manifest before anything
    is called. `render` shows a call to people from its arguments alone. `look_up` says what became
    of a write whose answer was lost: a result where that is certain, else None.

    `version` says of a write in which state the thing is that it would change: all that people have
    decided about, and nothing that changes by itself or by what others say there. It is asked when
    the call is held and again before it is made; where it differs, what was approved is stale and
    asked anew. It raises where the thing is not there or cannot be looked at: then nothing is made.

    `resource_kind` says under which key of a manifest the resource is granted. `sinks` are the
    arguments that decide whom a call reaches (recipients, targets, hosts): their names, or what
    makes values of them. A write that declares none is never let through by a standing rule unless
    every one of its arguments was typed by a requester; one that has none says `()`.

    `opens` says which thread a call has opened where people can speak to agents, from its arguments and
    its result: a conversation of its own, linked with the one in which it was asked for.

    `call` raises `TryLater` where nothing was sent and `AmbiguousEffect` where it may have been.
    """

    name: str
    description: str
    parameters: Mapping[str, object]
    permission: str
    effect: Effect
    call: Callable[[Arguments, CallContext], Awaitable[ToolResult]]
    render: Callable[[Arguments], Card]
    resource: Callable[[Arguments], str] | None = None
    resource_kind: ResourceKind = "repo"
    sinks: Sequence[str] | Callable[[Arguments], Sequence[SinkValue]] | None = None
    look_up: Callable[[Arguments, CallContext], Awaitable[ToolResult | None]] | None = None
    opens: Callable[[Arguments, ToolResult], Thread | None] | None = None
    version: Callable[[Arguments], Awaitable[str]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    """The tools of one integration under one name; a model sees `name__tool`.

    `may` asks the service whether somebody (by their id there) may read or write a resource, and
    `audience` who can read it. Both are remembered for 60 seconds at most, and raise where the
    service does not say. Without `may`, nobody has rights of their own at this service.
    """

    name: str
    tools: Sequence[Tool]
    check: Callable[[], Awaitable[Sequence[Finding]]]
    aclose: Callable[[], Awaitable[None]]
    may: Callable[[str, str, Access], Awaitable[bool]] | None = None
    audience: Callable[[str], Awaitable[PlaceClass]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """An environment variable of an integration, for validation and the settings reference."""

    name: str
    meaning: str
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """A folder with several faces.

    Each factory takes the environment and returns None where the integration is not configured;
    it raises `Misconfigured` with every problem where it is configured wrongly.
    """

    name: str
    variables: Sequence[Variable] = ()
    surface: Callable[[Mapping[str, str]], Surface | None] | None = None
    toolset: Callable[[Mapping[str, str]], Toolset | None] | None = None


def discover() -> Mapping[str, Integration]:
    """Every installed integration by name; two of one name are refused."""
    found: dict[str, Integration] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        integration = point.load()
        if not isinstance(integration, Integration):
            message = f"Entry point {point.name!r} in {GROUP} is not an Integration"
            raise Misconfigured(message)
        if integration.name in found:
            message = f"Two installed integrations are called {integration.name!r}"
            raise Misconfigured(message)
        found[integration.name] = integration
    return found
