"""Reading an App's events from GitHub's own list of what it delivered, or tried to.

https://docs.github.com/rest/apps/webhooks: GitHub lists deliveries for about three days, newest first,
and redelivers nothing by itself. With `GITHUB_WEBHOOKS=poll` this list is how events arrive at all;
with `http` it brings what was not taken when it was delivered. That it is GitHub who says so is shown
by TLS, and that it is for us by the App's JWT: no signature is checked.

What was read is kept only after it is committed, and what is read twice has the delivery's GUID as its
key: a process that dies between the two loses nothing and doubles nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Protocol

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from openloop.domain.bookmark import Gap
from openloop.domain.surface import Delivery, Rejected
from openloop.integrations.github.errors import Refused
from openloop.integrations.github.permissions import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openloop.domain.surface import Accepted
    from openloop.integrations.github.app_api import AppApi, Delivered, DeliveredPage
    from openloop.plugin import Bookmark, BoundPlace, Sink

LIST = "deliveries"
EVERY_SECONDS = 10.0
MISSED_SECONDS = 60.0
LISTED_FOR = timedelta(days=3)
OVERLAP = timedelta(minutes=2)
"""How late something may appear in the list: so much of it is read again, and known by its id."""
KEPT_EVERY = timedelta(seconds=60)
MOST_PAGES = 1000
BATCH = 40
AT_ONCE = 8

_WANTED = frozenset(event.name for event in EVENTS)

_log = structlog.get_logger(__name__)


class Accept(Protocol):
    """How a delivery is decoded."""

    def __call__(self, delivery: Delivery) -> Accepted: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Everything up to `through` is read, by GitHub's clock; `seen` are the newest, by their ids."""

    through: datetime
    seen: Mapping[int, datetime] = field(default_factory=dict[int, datetime])

    @staticmethod
    def of(kept: Mapping[str, object] | None) -> Read | None:
        """What a bookmark says; None where there is nothing that can be read on from."""
        try:
            return None if kept is None else _reader().validate_python(kept)
        except ValidationError:
            _log.warning("github.bookmark_unreadable")
            return None

    @property
    def cut(self) -> datetime:
        """What is older than this is not looked at again."""
        return self.through - OVERLAP

    def with_read(self, items: Iterable[Delivered], *, through: datetime) -> Read:
        """The same after these, too."""
        through = max(self.through, through)
        seen = dict(self.seen) | {one.id: one.delivered_at for one in items}
        cut = through - OVERLAP
        return Read(through=through, seen={id: at for id, at in seen.items() if at >= cut})

    def as_kept(self) -> dict[str, object]:
        """As it is kept in a row."""
        seen = {str(number): at.isoformat() for number, at in self.seen.items()}
        return {"through": self.through.isoformat(), "seen": seen}


@cache
def _reader() -> TypeAdapter[Read]:
    return TypeAdapter(Read)


class Deliveries:
    """The reader of the list. One process at a time has its bookmark."""

    def __init__(
        self,
        api: AppApi,
        *,
        accept: Accept,
        only_missed: bool,
        every_seconds: float | None = None,
    ) -> None:
        self._api = api
        self._accept = accept
        self._only_missed = only_missed
        self._every_seconds = every_seconds or (MISSED_SECONDS if only_missed else EVERY_SECONDS)
        self._etag: str | None = None

    def pace(self, places: Sequence[BoundPlace]) -> float:
        """Seconds between two looks, however many places there are."""
        del places
        return self._every_seconds

    async def aclose(self) -> None:
        """It has no connections of its own."""

    async def look(self, bookmark: Bookmark, sink: Sink, places: Sequence[BoundPlace]) -> None:
        """Take in what is new, oldest first.

        The first time of all begins now: what was said before is not answered.

        Raises:
            GitHubError, Unavailable: what was taken in until then is kept
            LostBookmark: another process reads now
        """
        del places  # what nobody is bound to is ignored when it is taken in
        page = await self._api.deliveries(etag=self._etag)
        theirs = page.read_at or datetime.now(UTC)
        read = Read.of(bookmark.read)
        if read is None:
            begun = Read(through=theirs).with_read(page.items or (), through=theirs)
            await bookmark.keep(begun.as_kept())
        elif page.items is None:
            if theirs - read.through >= KEPT_EVERY:
                await bookmark.keep(read.with_read((), through=theirs).as_kept())
        else:
            await self._read_on(page, read, theirs, bookmark, sink)
        self._etag = page.etag or self._etag

    async def _read_on(
        self, page: DeliveredPage, read: Read, theirs: datetime, bookmark: Bookmark, sink: Sink
    ) -> None:
        fresh, gap = await self._unread(page, read, theirs)
        if gap is not None:
            _log.error("github.deliveries_lost", since=str(gap.since), until=str(gap.until))
            read = read.with_read((), through=gap.until)
            await bookmark.keep(read.as_kept(), gap=gap)
        for begin in range(0, len(fresh), BATCH):
            batch = fresh[begin : begin + BATCH]
            lost = await self._take(batch, sink)
            read = read.with_read(batch, through=batch[-1].delivered_at)
            await bookmark.keep(read.as_kept(), gap=lost)
        if fresh or theirs - read.through >= KEPT_EVERY:
            await bookmark.keep(read.with_read((), through=theirs).as_kept())

    async def _unread(
        self, page: DeliveredPage, read: Read, theirs: datetime
    ) -> tuple[Sequence[Delivered], Gap | None]:
        """What is new, oldest first; and the time of which nothing is listed any more."""
        fresh: list[Delivered] = []
        pages = 1
        while True:
            for one in page.items or ():
                if one.delivered_at < read.cut:
                    return fresh[::-1], None
                if one.id not in read.seen:
                    fresh.append(one)
            if page.cursor is None or pages == MOST_PAGES:
                break
            page = await self._api.deliveries(cursor=page.cursor)
            pages += 1
        fresh.reverse()
        still_listed = theirs - LISTED_FOR
        if page.cursor is not None:
            return fresh, Gap(since=read.through, until=fresh[0].delivered_at)
        if read.through >= still_listed:
            return fresh, None
        oldest = fresh[0].delivered_at if fresh else still_listed
        return fresh, Gap(since=read.through, until=min(oldest, still_listed))

    async def _take(self, batch: Sequence[Delivered], sink: Sink) -> Gap | None:
        """Fetch some at once and hand them in one after the other; a gap where one is gone."""
        wanted = self._wanted(batch)
        lost: list[datetime] = []
        for begin in range(0, len(wanted), AT_ONCE):
            some = wanted[begin : begin + AT_ONCE]
            fetched = await asyncio.gather(*map(self._payload, some))
            for one, found in zip(some, fetched, strict=True):
                if found is None:
                    _log.error("github.delivery_gone", delivery=one.id, event_name=one.event)
                    lost.append(one.delivered_at)
                else:
                    await self._hand_in(*found, sink)
        return Gap(since=min(lost), until=max(lost)) if lost else None

    async def _payload(
        self, one: Delivered
    ) -> tuple[Mapping[str, str], Mapping[str, object]] | None:
        """What was delivered; None where it is not to be had, now or ever.

        One that cannot be read must not keep all that follow from being read.
        """
        try:
            return await self._api.payload(one.id)
        except Refused as refused:
            _log.error("github.delivery_refused", delivery=one.id, reason=str(refused))
            return None

    def _wanted(self, batch: Sequence[Delivered]) -> list[Delivered]:
        """One attempt of each event that we know; of those that were not taken, where that is all."""
        taken = {one.guid for one in batch if self._only_missed and one.was_taken}
        first = {
            one.guid: one
            for one in reversed(batch)
            if one.event in _WANTED and one.guid not in taken
        }
        return list(reversed(first.values()))

    async def _hand_in(
        self, headers: Mapping[str, str], payload: Mapping[str, object], sink: Sink
    ) -> None:
        delivery = Delivery(
            headers=headers,
            body=orjson.dumps(payload),
            received_at=datetime.now(UTC),
            transport="poll",
        )
        try:
            accepted = self._accept(delivery)
        except Rejected as rejected:
            # It would be as unreadable the next time.
            _log.warning("github.delivery_unreadable", code=rejected.code)
            return
        if accepted.events or accepted.departures:
            await sink(accepted)
