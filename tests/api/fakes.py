"""A surface that believes whatever it is told, and misbehaves when asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from openloop.domain.audience import PlaceClass
from openloop.domain.surface import Accepted, HttpReply, Place, Receipt, Rejected
from tests import make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Delivery, Finding, Op, Person, Thread, ThreadMessage
    from openloop.plugin import Sink


class HelloSurface:
    """Its deliveries are JSON: `{"say": TEXT, "key": KEY}`, or what it should do instead."""

    name = "hello"

    def accept(self, delivery: Delivery) -> Accepted:
        if delivery.headers.get("x-hello") == "stranger":
            raise Rejected(401, "signature_wrong", "Hello does not know you")
        asked = orjson.loads(delivery.body)
        if "challenge" in asked:
            answer = orjson.dumps({"challenge": asked["challenge"]})
            return Accepted(reply=HttpReply(body=answer))
        if "break" in asked:
            raise ZeroDivisionError("a bug that quotes xoxb-a-secret")
        if "say" not in asked:
            return Accepted()
        key = asked["key"]
        return Accepted(
            events=(make.inbound(asked["say"], delivery_key=key, subject_key=key, root=key),)
        )

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        return Receipt(outcome="done", message_ids=(key,))

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        return Receipt(outcome="done", message_ids=(key,))

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        return ()

    async def person(self, tenant: str, user_id: str) -> Person:
        raise NotImplementedError

    async def audience(self, place: Place) -> PlaceClass:
        return PlaceClass.INTERNAL

    async def find_place(self, name: str) -> Place | None:
        return None

    async def listen(self, sink: Sink) -> None:
        return None

    async def check(self) -> Sequence[Finding]:
        return ()

    async def aclose(self) -> None:
        return None
