"""Live events: one stream per client, resumed where it broke off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, cast

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from openloop.api.authentication import Seeing, authenticate
from openloop.api.kit import Kit
from openloop.api.paging import parse_position, position_text
from openloop.api.problems import NotAuthenticated
from openloop.api.reading import reader_of
from openloop.domain.errors import TryLater, Unavailable
from openloop.domain.ids import RunId
from openloop.domain.readers import Shown, matter_of, shown_of
from openloop.storage import readers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from uuid import UUID

    from openloop.api.feed import Feed, Feeds, Happened, Listener
    from openloop.api.kit import ApiKit
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.readers import Reader

router = APIRouter(prefix="/api/v1/events", tags=["events"])

PING = b": ping\n\n"
RETRY = b"retry: 1000\n"
OF_RIGHTS = ("token.", "login.", "principal.", "identity.", "workspace.")
"""Events after which whoever listens may have other rights: none is sent before that is known."""


@router.get(
    "",
    operation_id="stream_events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events; `data` is an audit event as JSON.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    kit: Kit,
    caller: Seeing,
    request: Request,
    *,
    run: Annotated[RunId | None, Query(description="The events of one run only.")] = None,
    after: Annotated[
        str | None, Query(max_length=40, description="An `as_of` of a list; default: from now on.")
    ] = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> StreamingResponse:
    """Everything that happens from a position on; whoever reconnects misses nothing.

    What is about a conversation that you may not read is left out. Without the right to audit, and
    of the workspace's own record, an event has neither `actor` nor `detail`.
    """
    feed = cast("Feeds", request.app.state.feeds).of(caller.workspace)
    if not feed.has_room(caller.principal):
        raise TooManyStreams("You listen often enough already: close a stream, or try again later")
    resumed, now = last_event_id or after, await feed.now()
    begin = parse_position(resumed) if resumed else now
    # No database gives out a position that it has not reached: this one is of another database.
    is_unknown = begin > now
    async with kit.database.transaction(caller.workspace) as tx:
        reader = await reader_of(kit, tx, caller)
    stream = _Stream(kit, reader, caller.workspace, request, feed, run)
    return StreamingResponse(
        stream.lines(now if is_unknown else begin, is_unknown=is_unknown),
        media_type="text/event-stream",
    )


class TooManyStreams(TryLater):
    """A caller, or a workspace, has as many event streams as it may have."""

    code = "too_many_streams"


class _Stream:
    """One client's stream."""

    def __init__(
        self,
        kit: ApiKit,
        reader: Reader,
        workspace: WorkspaceId,
        request: Request,
        feed: Feed,
        run: RunId | None,
    ) -> None:
        self._kit = kit
        self._reader = reader
        self._workspace = workspace
        self._request = request
        self._feed = feed
        self._run = run

    async def lines(
        self, begin: tuple[int, int], *, is_unknown: bool = False
    ) -> AsyncIterator[bytes]:
        """First what happened since `begin`, then what happens; a comment when it is quiet.

        The first line names the position alone: a client that never saw an event resumes there.
        `is_unknown`: the position that the client asked for is none of this database.
        """
        async with self._feed.listen(self._reader.principal) as listener:
            if not self._feed.has_room(self._reader.principal, beside=1):
                yield _error("too_many_streams", "You listen often enough already")
                return
            yield RETRY + f"id: {position_text(begin)}\n\n".encode()
            if is_unknown:
                yield _error(
                    "position_unknown",
                    "This database has not reached the position that you know: read your lists anew",
                )
            async for missed in self._missed(begin, listener):
                for line in await self._lines_of(missed):
                    yield line
            async for line in self._live(begin, listener):
                yield line

    async def _missed(
        self, begin: tuple[int, int], listener: Listener
    ) -> AsyncIterator[list[Happened]]:
        """What lies between the client's position and what its listener queues."""
        position = begin
        while position < listener.since:
            found = await self._feed.read(position)
            if not found:
                return
            yield [happened for happened in found if happened.position <= listener.since]
            position = found[-1].position

    async def _live(self, begin: tuple[int, int], listener: Listener) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        pace = self._kit.pace
        checked = clock()
        while True:
            happened = await listener.next(within=pace.ping_seconds)
            batch = [] if happened is None else [happened, *listener.queued()]
            if any(each.event.kind.startswith(OF_RIGHTS) for each in batch):
                checked = 0.0
            if clock() - checked >= pace.recheck_seconds:
                if not await self._is_still_allowed():
                    yield _error("not_authenticated", "The token is not valid any more")
                    return
                checked = clock()
            if batch:
                for line in await self._lines_of([h for h in batch if h.position > begin]):
                    yield line
            elif listener.has_ended:
                yield _error("stream_ended", "Connect again: the stream goes on where it was")
                return
            else:
                yield PING

    async def _is_still_allowed(self) -> bool:
        try:
            caller = await authenticate(
                self._kit.database, self._kit.configuration, self._request.scope
            )
            async with self._kit.database.transaction(self._workspace) as tx:
                self._reader = await reader_of(self._kit, tx, caller)
        except (NotAuthenticated, Unavailable):
            # Where nobody can tell the client connects again, and is told then.
            return False
        return self._reader.sees

    async def _lines_of(self, batch: Iterable[Happened]) -> list[bytes]:
        wanted = [h for h in batch if self._run is None or h.event.run_id == self._run]
        readable = await self._readable(wanted)
        return [line for h in wanted if (line := self._line(h, readable))]

    async def _readable(self, batch: Iterable[Happened]) -> set[UUID]:
        """What of that which not everybody may read this reader may."""
        closed = {
            matter for h in batch if not h.is_open and (matter := matter_of(h.event)) is not None
        }
        if self._reader.oversees or not closed:
            return set()
        async with self._kit.database.transaction(self._workspace) as tx:
            return await readers.list_readable(tx, self._reader, closed)

    def _line(self, happened: Happened, readable: set[UUID]) -> bytes | None:
        event, matter = happened.event, matter_of(happened.event)
        is_readable = happened.is_open or (matter is not None and matter[1] in readable)
        shown = shown_of(self._reader, event, is_readable=is_readable)
        if shown is Shown.NOTHING:
            return None
        told: dict[str, object] = {
            "id": event.id,
            "at": event.at,
            "kind": event.kind,
            "subject": event.subject,
            "run_id": event.run_id,
        }
        if shown is Shown.WHOLE:
            told |= {"actor": event.actor, "detail": event.detail}
        return b"id: %s\ndata: %s\n\n" % (happened.id.encode(), orjson.dumps(told))


def _error(code: str, detail: str) -> bytes:
    return b"event: error\ndata: %s\n\n" % orjson.dumps({"code": code, "detail": detail})
