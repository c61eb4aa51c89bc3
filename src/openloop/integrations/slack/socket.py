"""Socket Mode: receiving over an outbound connection, acknowledged only once it is committed.

The protocol: https://docs.slack.dev/apis/events-api/using-socket-mode. Not slack_sdk's client: it
reconnects at a fixed pace, leaves the old connection before it has a new one, and acknowledges
over whatever connection is current. Here an envelope is acknowledged on its own connection, and an
old connection is read until Slack closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, cast

import aiohttp
import orjson
import structlog

from openloop.domain.errors import OpenLoopError, TryLater
from openloop.domain.surface import Delivery, Rejected
from openloop.integrations.slack.client import SlackRefused, now
from openloop.integrations.slack.methods import OPEN_SOCKET
from openloop.integrations.slack.reading import mapping_at, text_at

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.domain.surface import Accepted
    from openloop.integrations.slack.client import SlackClient
    from openloop.integrations.slack.reading import Json
    from openloop.integrations.slack.settings import SlackSettings
    from openloop.plugin import Sink

_HEARTBEAT_SECONDS = 15.0
_CONNECT_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_SETTLED_SECONDS = 5.0
# How long an old connection is still read while its successor takes what is new.
_FAREWELL_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_MOST_IN_FLIGHT = 32
_MOST_MESSAGE = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


class Accept(Protocol):
    """How a delivery is decoded."""

    def __call__(self, delivery: Delivery) -> Accepted: ...


async def listen(
    client: SlackClient, settings: SlackSettings, *, accept: Accept, sink: Sink
) -> None:
    """Stay connected until cancelled. Each envelope goes to one connection of the app only."""
    failures = 0
    async with asyncio.TaskGroup() as group:
        while True:
            connection = await _connect(client, settings)
            if isinstance(connection, OpenLoopError):
                failures += 1
                await _wait(failures, connection)
                continue
            reading = _Connection(connection, accept=accept, sink=sink)
            group.create_task(reading.run(), name="slack-socket")
            started = time.monotonic()
            await reading.leaving.wait()
            # A connection that broke at once is a failure like one that was not made.
            lasted = time.monotonic() - started > _SETTLED_SECONDS
            failures = 0 if lasted or reading.was_relieved else failures + 1
            if failures:
                await _wait(failures, None)


async def _connect(
    client: SlackClient, settings: SlackSettings
) -> aiohttp.ClientWebSocketResponse | OpenLoopError:
    try:
        answer = await client.call(OPEN_SOCKET, {})
        url = text_at(answer.payload, "url")
        scheme = url.partition("://")[0]
        if scheme != "wss" and not (scheme == "ws" and settings.is_local):
            # Whoever answers must not move the events of a real workspace to an open line.
            return TryLater("Slack named a Socket Mode address that is not wss")
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await client.http().ws_connect(
                url,
                heartbeat=_HEARTBEAT_SECONDS,
                max_msg_size=_MOST_MESSAGE,
            )
    except (TryLater, SlackRefused) as error:
        return error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        # Its text holds the address, and the address holds a ticket.
        return TryLater(f"Socket Mode could not be connected ({type(error).__name__})")


async def _wait(failures: int, error: OpenLoopError | None) -> None:
    longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 10))
    seconds = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads reconnections, no secret
    known: datetime | None = error.retry_at if isinstance(error, TryLater) else None
    if known is not None:
        seconds = max(seconds, (known - now()) / timedelta(seconds=1))
    reason = "the connection ended at once" if error is None else str(error)
    _log.warning("slack.socket.waiting", seconds=round(seconds, 1), reason=reason)
    await asyncio.sleep(seconds)


class _Connection:
    """One WebSocket: reads until Slack closes it; `leaving` says when to open the next one."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, *, accept: Accept, sink: Sink
    ) -> None:
        self.leaving = asyncio.Event()
        self.was_relieved = False
        self._socket = socket
        self._accept = accept
        self._sink = sink
        self._slots = asyncio.Semaphore(_MOST_IN_FLIGHT)
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            async with asyncio.timeout(None) as farewell:
                async for message in self._socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self._received(cast("str", message.data))
                    if self.was_relieved and farewell.when() is None:
                        until = asyncio.get_running_loop().time() + _FAREWELL_SECONDS
                        farewell.reschedule(until)
        except TimeoutError:
            _log.info("slack.socket.left")
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("slack.socket.broke", error=type(error).__name__)
        except asyncio.CancelledError:
            # Not at an ordinary end: a commit under way is of use, though Slack hears no more.
            for task in self._in_flight:
                task.cancel()
            raise
        finally:
            self.leaving.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._socket.close()

    async def _received(self, text: str) -> None:
        envelope = _json(text)
        match text_at(envelope, "type"):
            case "hello":
                _log.info("slack.socket.connected")
            case "disconnect":
                reason = text_at(envelope, "reason")
                _log.info("slack.socket.leaving", reason=reason)
                # Announced some seconds before the end, or after some hours: no failure.
                self.was_relieved = reason in {"warning", "refresh_requested"}
                self.leaving.set()
            case _ if text_at(envelope, "envelope_id"):
                await self._slots.acquire()
                task = asyncio.create_task(self._take(envelope), name="slack-envelope")
                self._in_flight.add(task)
                task.add_done_callback(self._taken)
            case _:
                pass

    async def _take(self, envelope: Json) -> None:
        """Commit what came, then tell Slack; what raises here leaves the envelope unacknowledged,
        and Slack delivers it again."""
        try:
            accepted = self._accept(_delivery(envelope))
        except Rejected as rejected:
            # A redelivery would be as unreadable: acknowledge it, and leave a trace.
            _log.warning("slack.socket.unreadable", code=rejected.code)
        else:
            if accepted.events or accepted.departures:
                await self._sink(accepted)
        acknowledgement = orjson.dumps({"envelope_id": envelope["envelope_id"]}).decode()
        await self._socket.send_str(acknowledgement)

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("slack.socket.not_committed", error=type(error).__name__)


def _delivery(envelope: Json) -> Delivery:
    attempt = envelope.get("retry_attempt")
    headers = {"x-slack-retry-num": str(attempt)} if isinstance(attempt, int) else {}
    return Delivery(
        headers=headers,
        body=orjson.dumps(mapping_at(envelope, "payload")),
        received_at=now(),
        transport="socket",
    )


def _json(text: str) -> Json:
    try:
        return mapping_at(orjson.loads(text))
    except orjson.JSONDecodeError:
        return {}
