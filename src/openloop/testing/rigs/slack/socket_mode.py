"""Socket Mode: up to ten WebSockets per app, each payload to one of them, acked by envelope id."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from uuid import uuid4

from aiohttp import WSMsgType, web

from openloop.testing.rigs.changes import Changes
from openloop.testing.rigs.slack.delivery import Outcome, Parcel
from openloop.testing.rigs.slack.wire import Json, decode, encode

MOST_CONNECTIONS = 10
_ENVELOPE_TYPES = {"event": "events_api", "interaction": "interactive"}

DisconnectReason = Literal["warning", "refresh_requested", "link_disabled"]


@dataclass(slots=True, eq=False)
class _Link:
    """One connection. A retiring one gets nothing new but may still ack what it has."""

    socket: web.WebSocketResponse
    retiring: bool = False
    unacked: dict[str, asyncio.Future[Json | None]] = field(
        default_factory=lambda: dict[str, "asyncio.Future[Json | None]"]()
    )


class Sockets:
    """The app's connections, and the transport over them."""

    def __init__(self, changes: Changes, *, app_id: str) -> None:
        self._changes, self._app_id = changes, app_id
        self._arrivals = Changes()
        self._links: list[_Link] = []
        self._tickets: set[str] = set()
        self._turn = 0

    @property
    def count(self) -> int:
        """How many connections take new payloads."""
        return sum(not link.retiring for link in self._links)

    def issue_ticket(self) -> str:
        """What `apps.connections.open` puts into the URL; good for one connection."""
        ticket = str(uuid4())
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Hold one connection from its hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self._links) >= MOST_CONNECTIONS:
            await socket.send_str(_disconnect("too_many_websockets"))
            await socket.close()
            return socket
        link = _Link(socket)
        self._links.append(link)
        try:
            await socket.send_str(self._hello())
            self._changes.announce()
            self._arrivals.announce()
            await self._listen(link)
        finally:
            self._forget(link)
        return socket

    async def send(
        self, parcel: Parcel, *, attempt: int, retry_reason: str | None, deadline_seconds: float
    ) -> Outcome:
        """Send one payload over one connection and wait for its ack.

        A retry comes in a new envelope: only the `event_id` inside tells that it is the same.
        """
        envelope: Json = {
            "envelope_id": str(uuid4()),
            "payload": decode(parcel.body),
            "type": _ENVELOPE_TYPES[parcel.kind],
            "accepts_response_payload": parcel.kind == "interaction",
        }
        if parcel.kind == "event":
            envelope |= {"retry_attempt": attempt, "retry_reason": retry_reason or ""}
        try:
            async with asyncio.timeout(deadline_seconds):
                answer = await self._exchange(envelope)
        except TimeoutError:
            return Outcome(status=None, reason="timeout")
        except ConnectionError:
            return Outcome(status=None, reason="connection_failed")
        return Outcome(status=200, reason=None, answer="" if answer is None else json.dumps(answer))

    async def disconnect(self, reason: DisconnectReason = "refresh_requested") -> None:
        """Tell every connection that Slack is about to close it.

        After a `warning` it goes on as before; otherwise it gets no new payload, and closes when
        the app closes it or the rig calls `cut`.
        """
        for link in list(self._links):
            link.retiring = link.retiring or reason != "warning"
            await link.socket.send_str(_disconnect(reason))

    async def cut(self) -> None:
        """Close every connection without a word; what was not acked is sent again."""
        for link in list(self._links):
            await link.socket.close()
            self._forget(link)

    # -------------------------------------------------------------------------------------------

    async def _listen(self, link: _Link) -> None:
        async for frame in link.socket:
            if frame.type is WSMsgType.TEXT:
                self._ack(link, frame.data)

    def _ack(self, link: _Link, text: str) -> None:
        try:
            frame: Any = json.loads(text)
        except ValueError:
            return
        if not isinstance(frame, dict):
            return
        ack = cast("Json", frame)
        waiting = link.unacked.pop(str(ack.get("envelope_id")), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.get("payload"))

    async def _exchange(self, envelope: Json) -> Json | None:
        while not self.count:
            await self._arrivals.next()
        link = self._next_link()
        acked: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        link.unacked[envelope["envelope_id"]] = acked
        try:
            await link.socket.send_str(encode(envelope).decode())
            return await acked
        finally:
            link.unacked.pop(envelope["envelope_id"], None)

    def _next_link(self) -> _Link:
        takers = [link for link in self._links if not link.retiring]
        self._turn += 1
        return takers[self._turn % len(takers)]

    def _forget(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        for waiting in link.unacked.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("The socket closed before the ack"))
        self._changes.announce()

    def _hello(self) -> str:
        return json.dumps(
            {
                "type": "hello",
                "num_connections": len(self._links),
                "debug_info": {
                    "host": "applink-rig",
                    "build_number": 1,
                    "approximate_connection_time": 18_060,
                },
                "connection_info": {"app_id": self._app_id},
            }
        )


def _disconnect(reason: str) -> str:
    return json.dumps(
        {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-rig"}}
    )
