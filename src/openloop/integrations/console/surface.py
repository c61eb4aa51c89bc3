"""The console surface: what an authenticated person types comes in, what is said waits in rows.

A place is an agent of a workspace; a person is the principal whose token came with the request.
Nothing leaves this installation: an op has arrived when it is in the outbox, where `openloop chat`
reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args
from uuid import UUID, uuid4

from openloop.domain import strict_json
from openloop.domain.audience import PlaceClass
from openloop.domain.priority import PriorityName
from openloop.domain.surface import (
    Accepted,
    Actor,
    Finding,
    Inbound,
    Person,
    Place,
    Receipt,
    Rejected,
    Thread,
    ThreadMessage,
)
from openloop.domain.typed import typed_in_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.surface import Delivery, Op
    from openloop.plugin import Sink

LONGEST = 100_000
_SHAPE = "A message has `agent`, `text` and maybe `thread` and `priority`"
_KEYS = frozenset({"agent", "text", "thread", "priority"})
_PRIORITIES: tuple[PriorityName, ...] = get_args(PriorityName)


class ConsoleSurface:
    """Takes deliveries of the API alone, which has authenticated the person before."""

    name = "console"

    def accept(self, delivery: Delivery) -> Accepted:
        """Decode what the API hands over: who it is in the headers, what was said in the body.

        The header `x-openloop-delivery` names a request that may be repeated; absent, it is new.

        Raises:
            Rejected: 401 where it comes from anywhere else, 400 where it cannot be read
        """
        headers = delivery.headers
        if delivery.transport != "console":
            raise Rejected(401, "not_authenticated", "The console speaks through the API only")
        person, workspace = headers["x-openloop-principal"], headers["x-openloop-workspace"]
        agent, text, root, priority = _read(delivery.body)
        message_id = headers.get("x-openloop-delivery") or str(uuid4())
        place = Place(surface=self.name, tenant=workspace, container=agent)
        said = Inbound(
            delivery_key=message_id,
            subject_key=message_id,
            kind="message",
            thread=Thread(place=place, root=root or message_id),
            actor=Actor(
                surface=self.name,
                tenant=workspace,
                id=str(UUID(person)),
                name=headers["x-openloop-name"],
            ),
            message_id=message_id,
            occurred_at=delivery.received_at,
            text=text,
            typed=typed_in_markdown(text),
            addressed="dm",
            priority=priority,
            is_private=True,
        )
        return Accepted(events=(said,))

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """It is there: the outbox row is what the terminal shows."""
        return Receipt(outcome="done", message_ids=(key,))

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """The same: what has a row has arrived."""
        return Receipt(outcome="done", message_ids=(key,))

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        """Nothing but our own record, which the runtime reads by itself."""
        return ()

    async def person(self, tenant: str, user_id: str) -> Person:
        """Whoever got as far as this has a token; the name stands with the message."""
        return Person(id=user_id, name="", kind="member")

    async def audience(self, place: Place) -> PlaceClass:
        """A terminal is read by whoever sits before it."""
        return PlaceClass.PRIVATE

    async def find_place(self, name: str) -> Place | None:
        """None: a place is an agent of a workspace, and every agent gets its own when applied."""
        return None

    async def listen(self, sink: Sink) -> None:
        """Nothing to listen to: the API calls."""

    async def check(self) -> Sequence[Finding]:
        """Always well."""
        return (Finding(subject="console", ok=True, detail="`openloop chat AGENT` works"),)

    async def aclose(self) -> None:
        """Nothing is open."""


def _read(body: bytes) -> tuple[str, str, str | None, PriorityName]:
    try:
        found: Mapping[str, object] = strict_json.load_object(body)
    except strict_json.Malformed as malformed:
        raise Rejected(400, malformed.code, str(malformed)) from None
    agent, text, root = found.get("agent"), found.get("text"), found.get("thread")
    if not (isinstance(agent, str) and isinstance(text, str) and found.keys() <= _KEYS):
        raise Rejected(400, "console_malformed", _SHAPE)
    if not agent or not text.strip() or len(text) > LONGEST or "\0" in text:
        message = f"The text of a message has 1 to {LONGEST} characters, none of them NUL"
        raise Rejected(400, "console_malformed", message)
    if root is not None and not (isinstance(root, str) and root):
        raise Rejected(400, "console_malformed", "`thread` is the id of a message, or absent")
    priority = found.get("priority", "interactive")
    if priority not in _PRIORITIES:
        raise Rejected(400, "console_malformed", f"`priority` is one of {', '.join(_PRIORITIES)}")
    return agent, text, root, priority
