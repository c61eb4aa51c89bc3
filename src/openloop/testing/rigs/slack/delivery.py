"""Sending what happened to the app: retries on Slack's schedule, duplicates, delays, a record."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from openloop.testing.rigs.changes import Changes
from openloop.testing.rigs.slack.faults import SlackFaults
from openloop.testing.rigs.slack.wire import Json, decode

# Source: https://docs.slack.dev/apis/events-api#retries ("nearly immediately", a minute, five).
RETRY_AFTER_SECONDS = (0.0, 60.0, 300.0)
_FLUSH_SHUFFLED_AFTER_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A payload on its way, as JSON, with the id by which a receiver knows copies of it."""

    id: str
    kind: Literal["event", "interaction", "challenge"]
    type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended. `reason` is Slack's word for a failure, None for an ack."""

    status: int | None
    reason: str | None
    answer: str = ""
    no_retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One attempt to deliver: `attempt` 0 is the first, `status` None means no answer.

    `reason` is why it failed, None for an ack; `no_retry` says that the app declined retries. `at`
    is when it was sent, in seconds on `time.perf_counter()`.
    """

    event_id: str
    kind: Literal["event", "interaction", "challenge"]
    type: str
    attempt: int
    status: int | None
    ack_seconds: float
    reason: str | None
    no_retry: bool
    at: float
    answer: str
    body: bytes

    @property
    def payload(self) -> Json:
        """What was delivered; kept as bytes, since a bench delivers very many."""
        return decode(self.body)


class Transport(Protocol):
    """A way to the app: its request URL, or its sockets."""

    async def send(
        self, parcel: Parcel, *, attempt: int, retry_reason: str | None, deadline_seconds: float
    ) -> Outcome: ...


class Courier:
    """Delivers parcels at the same time and in no promised order, as Slack does."""

    def __init__(
        self,
        faults: SlackFaults,
        changes: Changes,
        *,
        time_scale: float,
        ack_deadline_seconds: float,
        concurrency: int,
    ) -> None:
        if not 0 < time_scale <= 1:
            raise ValueError(f"time_scale must be above 0 and at most 1, not {time_scale}")
        self.deliveries: list[Delivery] = []
        self.lost: list[Parcel] = []
        self.ack_deadline_seconds = ack_deadline_seconds
        self.time_scale = time_scale
        self._faults, self._changes = faults, changes
        self._slots = asyncio.Semaphore(concurrency)
        self._under_way: set[asyncio.Task[None]] = set()
        self._held: list[tuple[Parcel, Transport]] = []

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way or waits for a retry."""
        return not self._under_way and not self._held

    def dispatch(self, parcel: Parcel, transport: Transport) -> None:
        """Send a parcel in the background, as often and as late as the dials say."""
        for _ in range(self._faults.draw_copies()):
            if self._faults.reorder > 1:
                self._hold(parcel, transport)
            else:
                self._start(parcel, transport)

    async def deliver_once(self, parcel: Parcel, transport: Transport) -> Delivery:
        """Send a parcel now and wait for its answer, without retries."""
        return await self._attempt(parcel, transport, attempt=0, retry_reason=None)

    async def stop(self) -> None:
        """Forget what is still on its way."""
        self._held.clear()
        under_way = list(self._under_way)
        for delivering in under_way:
            delivering.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    # -------------------------------------------------------------------------------------------

    def _start(self, parcel: Parcel, transport: Transport) -> None:
        delivering = asyncio.create_task(self._deliver(parcel, transport))
        self._under_way.add(delivering)
        delivering.add_done_callback(self._finished)

    def _finished(self, delivering: asyncio.Task[None]) -> None:
        self._under_way.discard(delivering)
        self._changes.announce()
        if not delivering.cancelled():
            delivering.result()

    def _hold(self, parcel: Parcel, transport: Transport) -> None:
        if not self._held:
            asyncio.get_running_loop().call_later(_FLUSH_SHUFFLED_AFTER_SECONDS, self._release)
        self._held.append((parcel, transport))
        if len(self._held) >= self._faults.reorder:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        self._faults.random.shuffle(held)
        for parcel, transport in held:
            self._start(parcel, transport)

    async def _deliver(self, parcel: Parcel, transport: Transport) -> None:
        if delay_seconds := self._faults.draw_delay_seconds():
            await asyncio.sleep(delay_seconds)
        retry_reason: str | None = None
        for attempt, wait_seconds in enumerate(_attempts()):
            if attempt > 0:
                await asyncio.sleep(wait_seconds * self.time_scale)
            done = await self._attempt(
                parcel, transport, attempt=attempt, retry_reason=retry_reason
            )
            if done.reason is None:
                return
            if done.no_retry:
                break
            retry_reason = done.reason
        self.lost.append(parcel)
        self._changes.announce()

    async def _attempt(
        self, parcel: Parcel, transport: Transport, *, attempt: int, retry_reason: str | None
    ) -> Delivery:
        async with self._slots:
            sent_at = time.perf_counter()
            outcome = await transport.send(
                parcel,
                attempt=attempt,
                retry_reason=retry_reason,
                deadline_seconds=self.ack_deadline_seconds,
            )
            took_seconds = time.perf_counter() - sent_at
        delivery = Delivery(
            event_id=parcel.id,
            kind=parcel.kind,
            type=parcel.type,
            attempt=attempt,
            status=outcome.status,
            ack_seconds=took_seconds,
            reason=outcome.reason,
            no_retry=outcome.no_retry,
            at=sent_at,
            answer=outcome.answer,
            body=parcel.body,
        )
        self.deliveries.append(delivery)
        self._changes.announce()
        return delivery


def _attempts() -> Sequence[float]:
    """Seconds to wait before each attempt: the first at once, then the retries."""
    return (0.0, *RETRY_AFTER_SECONDS)
