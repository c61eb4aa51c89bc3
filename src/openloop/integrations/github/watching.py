"""Watching repositories with a personal token: their lists are asked, each for what is new.

An unchanged list answers 304 to its ETag, which costs nothing of the hour's requests. What is new is
decoded as a webhook's payload would be. A repository that was never watched begins now; one that
nobody watched for longer than `OLDEST` begins there, and the rest is told as a gap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, cast

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from openloop.domain.bookmark import Gap
from openloop.domain.surface import Delivery, Rejected
from openloop.integrations.github.app_api import time_of
from openloop.integrations.github.edits import own_texts
from openloop.integrations.github.errors import (
    Forbidden,
    GitHubError,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
)
from openloop.integrations.github.exchange import LARGEST_PAGE, Exchange, in_repo, since_query
from openloop.integrations.github.feeds import (
    FEEDS,
    ISSUES,
    happened_at,
    identity_of,
    moved_at,
    reviewed,
)
from openloop.integrations.github.names import InvalidName, RepoName
from openloop.integrations.github.payloads import id_at, is_given, moment_at, parts_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Accepted
    from openloop.integrations.github.deliveries import Accept
    from openloop.integrations.github.exchange import Query
    from openloop.integrations.github.feeds import Feed, Told
    from openloop.integrations.github.payloads import Json
    from openloop.plugin import Bookmark, BoundPlace, Sink

LIST = "repositories"
EVERY_SECONDS = 15.0
OLDEST = timedelta(days=14)
OVERLAP = timedelta(minutes=2)
KEPT_EVERY = timedelta(seconds=60)
LONGEST_RUN = timedelta(hours=24)
"""How long before its end a workflow run may have begun, so that its failure is still found."""
OFF_FOR = timedelta(minutes=10)
MOST_PAGES = 50
REQUESTS_A_MINUTE = 400
"""Half of the points that GitHub allows one account in a minute; agents need the rest."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRead:
    """How far one list is read, by GitHub's clock; `seen` are its newest entries."""

    through: datetime
    seen: Mapping[str, datetime] = field(default_factory=dict[str, datetime])

    @property
    def cut(self) -> datetime:
        """What happened before this is not new."""
        return self.through - OVERLAP

    def with_read(self, entries: Mapping[str, datetime], *, through: datetime) -> FeedRead:
        """The same after these, too."""
        through = max(self.through, through)
        seen = {**self.seen, **entries}
        return FeedRead(
            through=through, seen={id: at for id, at in seen.items() if at >= through - OVERLAP}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoRead:
    """How far a repository is read, and when its lists were looked at last."""

    looked_at: datetime
    feeds: Mapping[str, FeedRead] = field(default_factory=dict[str, FeedRead])


@dataclass(frozen=True, slots=True)
class _Tag:
    """What was asked, and the ETag of its answer."""

    asked: str
    etag: str | None


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a list holds, and its ETag."""

    entries: list[Json]
    tag: _Tag


@cache
def _reader() -> TypeAdapter[dict[str, RepoRead]]:
    return TypeAdapter(dict[str, RepoRead])


class Watching:
    """The reader of the lists of every repository that an agent is bound to."""

    def __init__(
        self,
        exchange: Exchange,
        graphql: Exchange,
        *,
        accept: Accept,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._exchange = exchange
        self._graphql = graphql
        self._accept = accept
        self._every_seconds = every_seconds
        self._etags: dict[tuple[str, str], _Tag] = {}
        self._off: dict[tuple[str, str], datetime] = {}
        self._known: dict[str, Json] = {}

    def pace(self, places: Sequence[BoundPlace]) -> float:
        """Seconds between two looks: longer where so much is watched that it costs."""
        return max(self._every_seconds, len(places) * len(FEEDS) * 60 / REQUESTS_A_MINUTE)

    async def aclose(self) -> None:
        """Close the connections to GraphQL."""
        await self._graphql.wire.aclose()

    async def look(self, bookmark: Bookmark, sink: Sink, places: Sequence[BoundPlace]) -> None:
        """Take in what is new in each repository; what fails in one does not keep the others.

        Raises:
            RateLimited, Unavailable: what was taken in until then is kept
            LostBookmark: another process reads now
        """
        read = _read(bookmark.read)
        watched = _watched(places)
        read = {name: each for name, each in read.items() if name in watched}
        for name, repo in watched.items():
            try:
                before, gap = await self._begun(repo, read.get(name))
                if before is not read.get(name):
                    read[name] = before
                    await bookmark.keep(_as_kept(read), gap=gap)
                async for after in self._look_at(repo, before, sink):
                    read[name] = after
                    await bookmark.keep(_as_kept(read))
            except (NotFound, Forbidden, Refused) as error:
                _log.warning("github.repository_not_read", repository=name, reason=str(error))

    async def _begun(self, repo: RepoName, known: RepoRead | None) -> tuple[RepoRead, Gap | None]:
        """How far it was read; a new one begins now, and one long forgotten not at its end."""
        if known is not None and datetime.now(UTC) - known.looked_at <= OLDEST:
            return known, None
        answered = await self._exchange.answer(in_repo(repo))
        theirs = time_of(answered) or datetime.now(UTC)
        if known is None:
            feeds = {feed.name: FeedRead(through=theirs) for feed in FEEDS}
            return RepoRead(looked_at=theirs, feeds=feeds), None
        begin = theirs - OLDEST
        feeds = {name: each.with_read({}, through=begin) for name, each in known.feeds.items()}
        gap = Gap(since=known.looked_at, until=begin)
        return RepoRead(looked_at=theirs, feeds=feeds), gap

    async def _look_at(
        self, repo: RepoName, before: RepoRead, sink: Sink
    ) -> AsyncIterator[RepoRead]:
        """How far it is read, each time that there is something to keep."""
        after = before
        for feed in FEEDS:
            since = before.feeds.get(feed.name) or FeedRead(through=before.looked_at)
            if self._is_off(repo, feed):
                continue
            try:
                fresh = await self._fresh(repo, feed, since)
                if fresh is None:
                    continue
                read = await self._take(repo, feed, fresh.entries, since, sink)
            except (RateLimited, Unavailable):
                raise
            except GitHubError as error:
                self._switch_off(repo, feed, error)
                continue
            self._etags[str(repo), feed.name] = fresh.tag  # not before it is taken in
            if read != since:
                after = replace(after, feeds={**after.feeds, feed.name: read})
                yield after
        now = datetime.now(UTC)
        if now - before.looked_at >= KEPT_EVERY:
            yield replace(after, looked_at=now)

    def _is_off(self, repo: RepoName, feed: Feed) -> bool:
        until = self._off.get((str(repo), feed.name))
        return until is not None and datetime.now(UTC) < until

    def _switch_off(self, repo: RepoName, feed: Feed, error: GitHubError) -> None:
        """Issues or Actions may be disabled there, or not be permitted: others are read on."""
        self._off[str(repo), feed.name] = datetime.now(UTC) + OFF_FOR
        _log.warning(
            "github.list_not_read", repository=str(repo), list=feed.name, reason=str(error)
        )

    # --- one list --------------------------------------------------------------------------------

    async def _fresh(self, repo: RepoName, feed: Feed, since: FeedRead) -> _Listed | None:
        """Every entry of the list that may be new; None where it has not changed."""
        query: Query = {"per_page": LARGEST_PAGE, **feed.query}
        if feed.order == "since":
            query |= since_query(since.cut)
        endpoint = in_repo(repo, *feed.path)
        asked = orjson.dumps(query).decode()
        known = self._etags.get((str(repo), feed.name))
        etag = known.etag if known is not None and known.asked == asked else None
        answered = await self._exchange.answer(endpoint, query, etag=etag)
        if answered.status == 304:
            return None
        tag = _Tag(asked, answered.headers.get("etag"))
        found: dict[str, Json] = {}
        read, page = since.cut, 1
        for _ in range(MOST_PAGES):
            entries = _entries(feed, answered.body)
            found |= {identity_of(feed, one): one for one in entries}
            is_last = 'rel="next"' not in answered.headers.get("link", "")
            if is_last or _is_past(feed, entries, since):
                break
            page += 1
            until = _read_until(feed, entries)
            if until is not None and until > read:
                # What changes meanwhile goes to the end, and would move the next page by one.
                read, page = until, 1
                query |= since_query(until)
            answered = await self._exchange.answer(endpoint, {**query, "page": page})
        return _Listed(list(found.values()), tag)

    async def _take(
        self, repo: RepoName, feed: Feed, entries: Sequence[Json], since: FeedRead, sink: Sink
    ) -> FeedRead:
        """Hand in what is new, oldest first; the list's bookmark after it."""
        dated = [(at, one) for one in entries if (at := happened_at(feed, one)) is not None]
        dated.sort(key=lambda pair: pair[0])
        fresh = [
            (at, one)
            for at, one in dated
            if at >= since.cut and identity_of(feed, one) not in since.seen
        ]
        repository = await self._repository(repo)
        told = [each for _, one in fresh if (each := feed.tell(one, repository)) is not None]
        if feed is ISSUES:
            told += await self._reviews(repo, entries, since, repository)
        await self._hand_in(repo, told, sink)
        moments = [at for one in entries if (at := moved_at(feed, one)) is not None]
        through = (
            [*moments, *(at for at, _ in fresh)]
            if feed.order == "since"
            else [at for at, _ in fresh]
        )
        return since.with_read(
            {identity_of(feed, one): at for at, one in fresh},
            through=max(through, default=since.through),
        )

    async def _reviews(
        self, repo: RepoName, entries: Sequence[Json], since: FeedRead, repository: Json
    ) -> list[Told]:
        """What was said with reviews of the pull requests that have changed."""
        found: list[Told] = []
        for pull in entries:
            number = id_at(pull, "number")
            if not is_given(pull, "pull_request") or not number:
                continue
            endpoint = in_repo(repo, "pulls", number, "reviews")
            for page in range(1, MOST_PAGES + 1):
                answered = await self._exchange.answer(
                    endpoint, {"per_page": LARGEST_PAGE, "page": page}
                )
                for review in _list(answered.body):
                    at = moment_at(review, "submitted_at")
                    if at is None or at < since.cut:
                        continue
                    told = reviewed(review, repository, number)
                    if told is not None:
                        found.append(told)
                if 'rel="next"' not in answered.headers.get("link", ""):
                    break
        return found

    async def _hand_in(self, repo: RepoName, told: Sequence[Told], sink: Sink) -> None:
        decoded = [(each, self._decoded(each)) for each in told]
        wanted = [(each, accepted) for each, accepted in decoded if accepted is not None]
        nodes = [each.node for each, _ in wanted if each.node]
        own = await own_texts(self._graphql, repo, nodes) if nodes else frozenset[str]()
        for each, accepted in wanted:
            if each.node and each.node not in own:
                _log.info("github.edited_by_another", repository=str(repo), entry=each.key)
            else:
                await sink(accepted)

    def _decoded(self, told: Told) -> Accepted | None:
        """What it becomes; None where it is nothing for us."""
        delivery = Delivery(
            headers={"x-github-event": told.event, "x-github-delivery": told.key},
            body=orjson.dumps(told.payload),
            received_at=datetime.now(UTC),
            transport="poll",
        )
        try:
            accepted = self._accept(delivery)
        except Rejected as rejected:
            _log.warning("github.entry_unreadable", entry=told.key, code=rejected.code)
            return None
        return accepted if accepted.events or accepted.departures else None

    async def _repository(self, repo: RepoName) -> Json:
        """The repository as payloads have it: its id and its name of today."""
        known = self._known.get(str(repo))
        if known is None:
            answered = await self._exchange.answer(in_repo(repo))
            whole = _object(answered.body)
            known = {"id": whole.get("id"), "full_name": whole.get("full_name")}
            self._known[str(repo)] = known
        return known


def _watched(places: Sequence[BoundPlace]) -> dict[str, RepoName]:
    watched: dict[str, RepoName] = {}
    for bound in places:
        try:
            watched[bound.place.container] = RepoName.parse(bound.place.container)
        except InvalidName:
            _log.warning("github.place_is_no_repository", place=bound.place.container)
    return watched


def _read_until(feed: Feed, entries: Sequence[Json]) -> datetime | None:
    """How far a page has read a list of what was updated since; the last second may go on behind it."""
    if feed.order != "since":
        return None
    moments = [at for one in entries if (at := moved_at(feed, one)) is not None]
    return max(moments) - timedelta(seconds=1) if moments else None


def _is_past(feed: Feed, entries: Sequence[Json], since: FeedRead) -> bool:
    """Whether a list that begins with the newest has come to what was read before."""
    if feed.order != "newest":
        return False
    margin = LONGEST_RUN if feed.below else timedelta(0)
    last = moved_at(feed, entries[-1]) if entries else None
    return last is None or last < since.cut - margin


def _entries(feed: Feed, body: bytes) -> list[Json]:
    return list(parts_at(_object(body), feed.below)) if feed.below else _list(body)


def _list(body: bytes) -> list[Json]:
    return list(parts_at({"found": _parsed(body)}, "found"))


def _object(body: bytes) -> Json:
    found = _parsed(body)
    return cast("Json", found) if isinstance(found, dict) else {}


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _read(kept: Mapping[str, object] | None) -> dict[str, RepoRead]:
    try:
        return _reader().validate_python((kept or {}).get("repositories", {}))
    except ValidationError:
        _log.warning("github.bookmark_unreadable")
        return {}


def _as_kept(read: Mapping[str, RepoRead]) -> dict[str, object]:
    return {"repositories": _reader().dump_python(dict(read), mode="json")}
