"""The console surface as the surface contract wants to see it: what comes in.

What goes out stays in our own rows, where the terminal reads it: there is no platform behind it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4, uuid5

import orjson

from openloop.domain.ids import new_id
from openloop.domain.surface import Delivery
from openloop.integrations.console.surface import ConsoleSurface
from openloop.testing.contracts.platform import Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.surface import Thread

AGENT = "dev-platform"
WORKSPACE = "acme"


class ConsolePlatform:
    """Hands in what the API hands in for people whose tokens it has checked."""

    place = None

    def __init__(self) -> None:
        self.surface = ConsoleSurface()
        self._namespace = uuid4()

    async def say(self, text: str, *, by: str, thread: Thread | None = None) -> Said:
        """A line in somebody's terminal."""
        root = None if thread is None else thread.root
        headers = {
            "x-openloop-principal": self.person_id(by),
            "x-openloop-name": by,
            "x-openloop-workspace": WORKSPACE,
            "x-openloop-delivery": str(new_id()),
        }
        delivery = Delivery(
            headers=headers,
            body=orjson.dumps({"agent": AGENT, "text": text, "thread": root}),
            received_at=datetime.now(UTC),
            transport="console",
        )
        (event,) = self.surface.accept(delivery).events
        return Said(thread=event.thread, id=event.message_id, deliveries=(delivery,))

    def redelivered(self, delivery: Delivery) -> Delivery:
        """The same request again, under the same key."""
        return replace(delivery, received_at=datetime.now(UTC))

    def unproven(self, delivery: Delivery) -> Mapping[str, Delivery]:
        """The same bytes from outside: only the API knows whose they are."""
        return {
            "over HTTP": replace(delivery, transport="http"),
            "over a socket": replace(delivery, transport="socket"),
        }

    def person_id(self, name: str) -> str:
        """The principal's id."""
        return str(uuid5(self._namespace, name))
