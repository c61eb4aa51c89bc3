"""Walking through one list of a repository: bounded, and past whatever is too large to be read.

Pure: a walk says what is asked for next and is told what came. A list of what was updated since is
asked anew from the last entry of each page, since what changes meanwhile goes to its end and would
move all that follows; where such a walk has to stop, the next one goes on there. A list that begins
with the newest cannot be gone on with: what lies behind the end of a walk is a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from openloop.domain.bookmark import Gap
from openloop.integrations.github.app_api import time_in
from openloop.integrations.github.exchange import since_query
from openloop.integrations.github.feeds import happened_at, identity_of, lean, moved_at
from openloop.integrations.github.pages import Stride
from openloop.integrations.github.payloads import parts_at, text_at
from openloop.integrations.github.watched import Halt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.integrations.github.exchange import Query
    from openloop.integrations.github.feeds import Feed, Told
    from openloop.integrations.github.payloads import Json
    from openloop.integrations.github.watched import FeedRead
    from openloop.integrations.github.wire import Answered

LONGEST_RUN = timedelta(hours=24)
"""How long before its end a workflow run may have begun, so that its failure is still found."""

_SECOND = timedelta(seconds=1)
_MOST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one walk may read; `characters` are those of the texts that are kept of it."""

    entries: int
    requests: int
    characters: int


class Walk:
    """One walk through a list, from where it was read to."""

    def __init__(self, feed: Feed, since: FeedRead, bounds: Bounds) -> None:
        self._feed, self._since, self._bounds = feed, since, bounds
        self._stride = Stride()
        self._from = self._reached = since.cut
        self._found: dict[str, Json] = {}
        self._characters = 0
        self._is_at_the_end = False
        self._first: Mapping[str, str] | None = None
        self._last = since.through
        self._marks: list[datetime] = []
        self._is_behind_a_hole = False
        self.too_large: list[str] = []
        """What was passed over for the first time, by its ETag."""
        self.requests = 0

    @property
    def query(self) -> Query:
        """What is asked for next."""
        query: Query = {"per_page": self._stride.size, "page": self._stride.page}
        if self._feed.order == "since":
            query |= since_query(self._from)
        return {**query, **self._feed.query}

    @property
    def is_over(self) -> bool:
        if self._is_at_the_end or self.requests >= self._bounds.requests:
            return True
        is_enough = (
            self._stride.gone >= self._bounds.entries or self._characters >= self._bounds.characters
        )
        # In the middle of a second no later walk could go on.
        return is_enough and (self._feed.order != "since" or self._has_moved)

    @property
    def entries(self) -> Sequence[Json]:
        return list(self._found.values())

    def told(self, repository: Json) -> Sequence[Told]:
        """What a webhook would have said of what is new."""
        return [
            told
            for one in self._found.values()
            if (at := happened_at(self._feed, one)) is not None and at >= self._since.new_from
            if (told := self._feed.tell(one, repository)) is not None
        ]

    @property
    def etag(self) -> str | None:
        """By which it is known that nothing of all this has changed; None where nothing tells.

        It is of the first page: what comes later is on it only where that is all, or the newest.
        """
        is_all = self._is_at_the_end and not _goes_on(self._first or {})
        return (self._first or {}).get("etag") if is_all or self._feed.order == "newest" else None

    # --- what came -------------------------------------------------------------------------------

    def take(self, answered: Answered) -> None:
        """The page that was asked for."""
        self._heard(answered.headers)
        entries = _entries(self._feed, answered.body)
        moments = [at for one in entries if (at := moved_at(self._feed, one)) is not None]
        for one in entries:
            at = happened_at(self._feed, one)
            is_new = at is not None and at >= self._since.new_from
            kept = lean(self._feed, one, is_new=is_new)
            self._characters += len(text_at(kept, "body"))
            self._found[identity_of(self._feed, one)] = kept
        self._is_at_the_end = not _goes_on(answered.headers) or self._is_past(entries)
        until = self._read_until(moments)
        self._stride.advance()
        if until is not None and until > self._from:
            self._from = until
            self._stride.begin()
        if moments:
            if self._is_behind_a_hole:
                self._marks.append(moments[0])
                self._is_behind_a_hole = False
            self._last = self._reached = moments[-1]

    def pass_over(self, headers: Mapping[str, str]) -> None:
        """The page that was asked for is too large: less is asked for, or one entry left out."""
        self._heard(headers)
        if self._stride.shorten():
            return
        name = (headers.get("etag") or self._last.isoformat())[:_MOST_NAME]
        if name not in self._since.too_large and name not in self.too_large:
            self.too_large.append(name)
            self._marks.append(self._last)
            self._is_behind_a_hole = True
        self._stride.advance()
        self._is_at_the_end = not _goes_on(headers)

    def _heard(self, headers: Mapping[str, str]) -> None:
        self.requests += 1
        if self._first is None:
            self._first = headers
            if self._feed.order == "newest":
                self._last = self.read_at

    def _read_until(self, moments: Sequence[datetime]) -> datetime | None:
        """From when on the list can be asked for instead of its next page: the last second may go on.

        What was edited or deleted meanwhile has moved a later page, and what it lost by that came
        after the page before it.
        """
        if self._feed.order != "since" or not moments:
            return None
        until = max(moments) - _SECOND
        return until if self._stride.at == 0 else min(until, self._last + _SECOND)

    def _is_past(self, entries: Sequence[Json]) -> bool:
        """Whether a list that begins with the newest has come to what was read before."""
        if self._feed.order != "newest":
            return False
        last = moved_at(self._feed, entries[-1]) if entries else None
        return last is None or last < self._since.cut - self._margin

    # --- what it means ---------------------------------------------------------------------------

    @property
    def read_at(self) -> datetime:
        """What time it was at GitHub when the walk began."""
        return time_in(self._first or {}) or datetime.now(UTC)

    @property
    def _has_moved(self) -> bool:
        """Whether the list can be asked for from later on than when the walk began."""
        return self._from > self._since.cut

    @property
    def _margin(self) -> timedelta:
        return LONGEST_RUN if self._feed.below else timedelta(0)

    @property
    def halt(self) -> Halt | None:
        """Where the next walk goes on; None where this one has come to the end."""
        if self._is_at_the_end or self._feed.order != "since":
            return None
        # So much in one second that no page reaches the next one: that second is left behind.
        at = self._from if self._has_moved else self._reached + _SECOND
        return Halt(at=at, new_from=self._since.new_from)

    @property
    def through(self) -> datetime | None:
        """Until when all is read for certain: what took more than a page is not read at each look."""
        is_long = self._since.halt is not None or _goes_on(self._first or {})
        is_read = self._feed.order == "since" and self._is_at_the_end
        return self.read_at if is_read and is_long else None

    @property
    def gap(self) -> Gap | None:
        """The time in which something lies that this walk did not read, and no other will."""
        marks = list(self._marks)
        if self._is_behind_a_hole:
            marks.append(self._since.through if self._feed.order == "newest" else self.read_at)
        if not self._is_at_the_end:
            marks += self._left_behind()
        return Gap(since=min(marks), until=max(marks)) if marks else None

    def _left_behind(self) -> list[datetime]:
        match self._feed.order:
            case "newest":
                until = min(self._last + self._margin, self.read_at)
                return [self._since.through, max(until, self._since.through)]
            case "oldest":
                return [max(self._last, self._since.new_from), self.read_at]
            case "since":
                return [] if self._has_moved else [self._reached, self._reached + _SECOND]


def _goes_on(headers: Mapping[str, str]) -> bool:
    return 'rel="next"' in headers.get("link", "")


def _entries(feed: Feed, body: bytes) -> Sequence[Json]:
    try:
        found: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    return parts_at(found, feed.below) if feed.below else parts_at({"found": found}, "found")
