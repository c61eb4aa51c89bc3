"""Asking GitHub what has happened, at a pace: the App's deliveries, or the watched repositories.

Asking may fail in any way; nothing is lost by it, since the bookmark stays where it was.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from openloop.domain.bookmark import LostBookmark
from openloop.domain.errors import TryLater, Unavailable
from openloop.integrations.github import deliveries, watching
from openloop.integrations.github.clients import app_api_of
from openloop.integrations.github.deliveries import Deliveries
from openloop.integrations.github.errors import GitHubError
from openloop.integrations.github.exchange import Exchange
from openloop.integrations.github.limits import shared_limits
from openloop.integrations.github.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.deliveries import Accept
    from openloop.integrations.github.settings import GitHubSettings
    from openloop.plugin import Bookmark, Bookmarks, BoundPlace, Sink

LONGEST_WAIT_SECONDS = 300.0
UNBOUND_SECONDS = 2.0
"""How soon it is noticed that an agent is bound: reading begins then, and finds nothing older."""

_log = structlog.get_logger(__name__)


class Reader(Protocol):
    """Something that takes in what is new, once."""

    def pace(self, places: Sequence[BoundPlace]) -> float:
        """How many seconds to wait until it is asked again."""
        ...

    async def look(self, bookmark: Bookmark, sink: Sink, places: Sequence[BoundPlace]) -> None:
        """Raises GitHubError, Unavailable, LostBookmark."""
        ...

    async def aclose(self) -> None:
        """Close the connections that are its own."""
        ...


def reader_of(
    settings: GitHubSettings, client: GitHubClient, accept: Accept
) -> tuple[str, Reader] | None:
    """What there is to read, and its name; None where GitHub delivers all to a token's webhook."""
    api = app_api_of(client)
    if api is not None:
        only_missed = settings.webhooks == "http"
        return deliveries.LIST, Deliveries(api, accept=accept, only_missed=only_missed)
    if settings.webhooks == "http":
        return None
    limits = shared_limits(settings.api_url)
    graphql = Exchange(settings.graphql_url, client.credentials, limits=limits)
    return watching.LIST, Watching(client, graphql, accept=accept)


async def keep_reading(
    name: str,
    reader: Reader,
    sink: Sink,
    bookmarks: Bookmarks,
    *,
    prepare: Callable[[], Awaitable[object]],
) -> None:
    """Read the list `name` until cancelled, whenever no other process does.

    Nothing is asked while no agent is bound to any place of this surface. What `prepare` finds out
    is needed to decode.
    """
    try:
        while True:
            try:
                async with bookmarks.hold(name) as bookmark:
                    await _read(name, reader, sink, bookmarks, bookmark, prepare)
            except LostBookmark as lost:
                _log.warning("github.reader_relieved", list=name, reason=str(lost))
    finally:
        await reader.aclose()


async def _read(
    name: str,
    reader: Reader,
    sink: Sink,
    bookmarks: Bookmarks,
    bookmark: Bookmark,
    prepare: Callable[[], Awaitable[object]],
) -> None:
    failures = 0
    seconds = LONGEST_WAIT_SECONDS
    while True:
        try:
            places = await bookmarks.places()
            seconds = reader.pace(places) if places else UNBOUND_SECONDS
            if places:
                await prepare()
                await reader.look(bookmark, sink, places)
            failures = 0
        except (GitHubError, Unavailable) as error:
            failures += 1
            seconds = wait_after(error, failures, every_seconds=seconds)
            _log.warning("github.not_read", list=name, reason=str(error), seconds=round(seconds, 1))
        await asyncio.sleep(seconds)


def wait_after(error: Exception, failures: int, *, every_seconds: float) -> float:
    """How long to wait: as GitHub says where it limits us, else longer each time, up to 5 minutes."""
    seconds = min(every_seconds * 2 ** min(failures - 1, 10), LONGEST_WAIT_SECONDS)
    if isinstance(error, TryLater) and error.retry_at is not None:
        return max(seconds, (error.retry_at - datetime.now(UTC)) / timedelta(seconds=1))
    return seconds
