"""What the surface contract asks of a platform's fake: to play people, and to show what they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.surface import Delivery, Thread
    from openloop.plugin import Surface


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenButton:
    """A button as it stands in a message: which one, and what it carries."""

    action: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message as people see it now. `pings` are the ids of all whom it notifies."""

    id: str
    words: str
    by_us: bool
    buttons: tuple[SeenButton, ...] = ()
    pings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something a person did, and every delivery the platform made of it, twins among them."""

    thread: Thread
    id: str
    deliveries: tuple[Delivery, ...]


class Incoming(Protocol):
    """One surface with the fake of its platform behind it, as far as people speak.

    People are known by name: `anna` and `ben` are full members, `mallory` is nobody we know.
    """

    @property
    def surface(self) -> Surface:
        """What is under test."""
        ...

    @property
    def place(self) -> str | None:
        """Where the agent is, as a manifest names it; None: every agent has its own place there."""
        ...

    async def say(self, text: str, *, by: str, thread: Thread | None = None) -> Said:
        """Let somebody address the agent: in a new thread, or in this one."""
        ...

    def redelivered(self, delivery: Delivery) -> Delivery:
        """The same delivery as the platform sends it again, when no ack came."""
        ...

    def unproven(self, delivery: Delivery) -> Mapping[str, Delivery]:
        """Copies of a genuine delivery that prove nothing (wrong, absent, stale signature...)."""
        ...

    def person_id(self, name: str) -> str:
        """The stable id of somebody."""
        ...


class Platform(Incoming, Protocol):
    """The same, with what people see and press."""

    @property
    def most_text(self) -> int | None:
        """The longest message that people are shown; None where there is no limit."""
        ...

    @property
    def whispers(self) -> bool:
        """Whether one person can be told something that nobody else sees."""
        ...

    @property
    def all_pings(self) -> Sequence[str]:
        """Text that would notify people if it were taken as markup."""
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What must never be logged or told."""
        ...

    async def click(self, thread: Thread, seen: Seen, action: str, *, by: str) -> Said:
        """Let somebody press a button of a message."""
        ...

    def mention(self, name: str) -> str:
        """How text that an agent writes names somebody, live where it is allowed to be."""
        ...

    def seen(self, thread: Thread) -> Sequence[Seen]:
        """The thread now, oldest first, its opening message included."""
        ...

    def whispered(self, name: str) -> Sequence[str]:
        """What only this person was shown."""
        ...

    def lose_next_answer(self) -> None:
        """The next post is made, and its answer is lost."""
        ...

    def lose_next_request(self) -> None:
        """The next post is not made, and its caller cannot know that."""
        ...

    def refuse_next(self) -> None:
        """The next post is refused, with an error that names what was sent, as services do."""
        ...
