"""Watching repositories with a personal token: their lists are asked, each for what is new.

An unchanged list answers 304 to its ETag, which costs nothing of the hour's requests. What is new is
decoded as a webhook's payload would be. A repository that was never watched begins now; one that
nobody watched for longer than `OLDEST` begins there, and the rest is told as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import orjson
import structlog

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
    TooLarge,
    Unavailable,
)
from openloop.integrations.github.exchange import LARGEST_PAGE, Exchange, in_repo
from openloop.integrations.github.feeds import (
    FEEDS,
    ISSUES,
    happened_at,
    identity_of,
    moved_at,
    reviews_of,
)
from openloop.integrations.github.names import InvalidName, RepoName
from openloop.integrations.github.payloads import id_at, is_given
from openloop.integrations.github.walking import Bounds, Walk
from openloop.integrations.github.watched import FeedRead, Ledger, RepoRead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from openloop.domain.surface import Accepted
    from openloop.integrations.github.deliveries import Accept
    from openloop.integrations.github.feeds import Feed, Told
    from openloop.integrations.github.payloads import Json
    from openloop.plugin import Bookmark, BoundPlace, Sink

LIST = "repositories"
EVERY_SECONDS = 15.0
OLDEST = timedelta(days=14)
KEPT_EVERY = timedelta(seconds=60)
OFF_FOR = timedelta(minutes=10)
MOST_PAGES = 50
"""Of a list, in one look: pages of 100, however small those are in which it is read."""
MOST_REQUESTS = 100
"""For one list in one look, and again for the reviews of the pull requests that it names."""
MOST_CHARACTERS = 10_000_000
REQUESTS_A_MINUTE = 400
"""Half of the points that GitHub allows one account in a minute; agents need the rest."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Tag:
    """What was asked, and the ETag of its answer."""

    asked: str
    etag: str | None


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
        watched = _watched(places)
        ledger = Ledger(bookmark, watched=watched)
        for name, repo in watched.items():
            try:
                before, gap = await self._begun(repo, ledger.find(name))
            except (NotFound, Forbidden, Refused) as error:
                _log.warning("github.repository_not_read", repository=name, reason=str(error))
                await ledger.keep_unread(name, str(error))
                continue
            if before is not ledger.find(name):
                await ledger.keep(name, before, gap=gap)
            await ledger.keep_readable(name)
            await self._look_at(repo, before, ledger, sink)

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

    async def _look_at(self, repo: RepoName, read: RepoRead, ledger: Ledger, sink: Sink) -> None:
        looked_at = read.looked_at
        for feed in FEEDS:
            if self._is_off(repo, feed):
                continue
            try:
                read = await self._read_on(repo, feed, read, ledger, sink)
            except (RateLimited, Unavailable):
                raise
            except GitHubError as error:
                self._switch_off(repo, feed, error)
                read = ledger.find(str(repo)) or read
                await ledger.keep_unread(_named(repo, feed), str(error))
            else:
                await ledger.keep_readable(_named(repo, feed))
        now = datetime.now(UTC)
        if now - looked_at >= KEPT_EVERY:
            await ledger.keep(str(repo), replace(read, looked_at=now))

    async def _read_on(
        self, repo: RepoName, feed: Feed, read: RepoRead, ledger: Ledger, sink: Sink
    ) -> RepoRead:
        """Read one list, walk by walk; what one has read is kept before the next begins."""
        requests = 0
        for _ in range(MOST_PAGES):
            since = read.feeds.get(feed.name) or FeedRead(through=read.looked_at)
            walk = Walk(feed, since, _bounds(feed, MOST_REQUESTS))
            asked = orjson.dumps(walk.query).decode()
            if not await self._walk(repo, feed, walk, etag=self._etag(repo, feed, asked)):
                return read
            after, gap = await self._take(repo, feed, walk, since, sink)
            self._etags[str(repo), feed.name] = _Tag(asked, walk.etag)  # not before it is taken in
            if gap is not None:
                _log.error(
                    "github.list_lost",
                    repository=str(repo),
                    list=feed.name,
                    since=str(gap.since),
                    until=str(gap.until),
                )
            if after != since or gap is not None:
                read = replace(read, feeds={**read.feeds, feed.name: after})
                await ledger.keep(str(repo), read, gap=gap)
            requests += walk.requests
            if after.halt is None or requests >= MOST_REQUESTS:
                break
        return read

    def _etag(self, repo: RepoName, feed: Feed, asked: str) -> str | None:
        known = self._etags.get((str(repo), feed.name))
        return known.etag if known is not None and known.asked == asked else None

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

    async def _walk(
        self, repo: RepoName, feed: Feed, walk: Walk, *, etag: str | None = None
    ) -> bool:
        """Read what the walk asks for until it is over; False where nothing has changed."""
        endpoint = in_repo(repo, *feed.path)
        while not walk.is_over:
            try:
                answered = await self._exchange.answer(endpoint, walk.query, etag=etag)
            except TooLarge as large:
                walk.pass_over(large.headers)
            else:
                if answered.status == 304:
                    return False
                walk.take(answered)
            etag = None
        return True

    async def _take(
        self, repo: RepoName, feed: Feed, walk: Walk, since: FeedRead, sink: Sink
    ) -> tuple[FeedRead, Gap | None]:
        """Hand in what is new, oldest first; the list's bookmark after it, and what is lost."""
        entries = walk.entries
        dated = [(at, one) for one in entries if (at := happened_at(feed, one)) is not None]
        dated.sort(key=lambda pair: pair[0])
        fresh = [
            (at, one)
            for at, one in dated
            if at >= since.new_from and identity_of(feed, one) not in since.seen
        ]
        repository = await self._repository(repo)
        told = [each for _, one in fresh if (each := feed.tell(one, repository)) is not None]
        gaps, too_large = [walk.gap], [*walk.too_large]
        if feed is ISSUES:
            for reviews in await self._reviews(repo, entries, since):
                told += reviews.told(repository)
                gaps.append(reviews.gap)
                too_large += reviews.too_large
        await self._hand_in(repo, told, sink)
        through = [at for at, _ in fresh]
        if feed.order == "since":
            through += [at for one in entries if (at := moved_at(feed, one)) is not None]
        if walk.through is not None:
            through.append(walk.through)
        read = since.with_read(
            {identity_of(feed, one): at for at, one in fresh},
            through=max(through, default=since.through),
            too_large=too_large,
            halt=walk.halt,
        )
        return read, _united(gaps)

    async def _reviews(
        self, repo: RepoName, entries: Sequence[Json], since: FeedRead
    ) -> Sequence[Walk]:
        """The reviews of the pull requests that have changed, each read from their beginning."""
        walks: list[Walk] = []
        for pull in entries:
            number = id_at(pull, "number")
            if not is_given(pull, "pull_request") or not number:
                continue
            left = 2 * MOST_REQUESTS - sum(walk.requests for walk in walks)
            feed = reviews_of(number)
            walk = Walk(feed, since, _bounds(feed, min(left, MOST_PAGES)))
            await self._walk(repo, feed, walk)
            walks.append(walk)
        return walks

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


def _named(repo: RepoName, feed: Feed) -> str:
    return f"{repo} {feed.name}"


def _bounds(feed: Feed, requests: int) -> Bounds:
    """A list that can be gone on with is taken in by the page; any other as a whole."""
    pages = 1 if feed.order == "since" else MOST_PAGES
    return Bounds(entries=pages * LARGEST_PAGE, requests=requests, characters=MOST_CHARACTERS)


def _united(gaps: Iterable[Gap | None]) -> Gap | None:
    found = [gap for gap in gaps if gap is not None]
    if not found:
        return None
    return Gap(since=min(gap.since for gap in found), until=max(gap.until for gap in found))


def _object(body: bytes) -> Json:
    try:
        found: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast("Json", found) if isinstance(found, dict) else {}
