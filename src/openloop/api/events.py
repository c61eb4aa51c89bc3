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
from openloop.domain.errors import TryLater, Unavailable
from openloop.domain.ids import RunId
from openloop.domain.principal import Right

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.api.feed import Feed, Feeds, Happened, Listener
    from openloop.api.kit import ApiKit
    from openloop.domain.principal import Caller

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

    Without the right to audit an event has neither `actor` nor `detail`.
    """
    feed = cast("Feeds", request.app.state.feeds).of(caller.workspace)
    if not feed.has_room(caller.principal):
        raise TooManyStreams("You listen often enough already: close a stream, or try again later")
    resumed = last_event_id or after
    begin = parse_position(resumed) if resumed else await feed.now()
    stream = _Stream(kit, caller, request, feed, run)
    return StreamingResponse(stream.lines(begin), media_type="text/event-stream")


class TooManyStreams(TryLater):
    """A caller, or a workspace, has as many event streams as it may have."""

    code = "too_many_streams"


class _Stream:
    """One client's stream."""

    def __init__(
        self, kit: ApiKit, caller: Caller, request: Request, feed: Feed, run: RunId | None
    ) -> None:
        self._kit = kit
        self._caller = caller
        self._request = request
        self._feed = feed
        self._run = run

    async def lines(self, begin: tuple[int, int]) -> AsyncIterator[bytes]:
        """First what happened since `begin`, then what happens; a comment when it is quiet.

        The first line names the position alone: a client that never saw an event resumes there.
        """
        async with self._feed.listen(self._caller.principal) as listener:
            if not self._feed.has_room(self._caller.principal, beside=1):
                yield _error("too_many_streams", "You listen often enough already")
                return
            yield RETRY + f"id: {position_text(begin)}\n\n".encode()
            async for happened in self._missed(begin, listener):
                if line := self._line(happened):
                    yield line
            async for line in self._live(begin, listener):
                yield line

    async def _missed(self, begin: tuple[int, int], listener: Listener) -> AsyncIterator[Happened]:
        """What lies between the client's position and what its listener queues."""
        position = begin
        while position < listener.since:
            found = await self._feed.read(position)
            for happened in found:
                if happened.position > listener.since:
                    return
                yield happened
            if not found:
                return
            position = found[-1].position

    async def _live(self, begin: tuple[int, int], listener: Listener) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        pace = self._kit.pace
        checked = clock()
        while True:
            happened = await listener.next(within=pace.ping_seconds)
            if happened is not None and happened.event.kind.startswith(OF_RIGHTS):
                checked = 0.0
            if clock() - checked >= pace.recheck_seconds:
                if not await self._is_still_allowed():
                    yield _error("not_authenticated", "The token is not valid any more")
                    return
                checked = clock()
            if happened is not None:
                if happened.position > begin and (line := self._line(happened)):
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
        except (NotAuthenticated, Unavailable):
            # Where nobody can tell the client connects again, and is told then.
            return False
        self._caller = caller
        return Right.SEE in caller.rights

    def _line(self, happened: Happened) -> bytes | None:
        event = happened.event
        if self._run is not None and event.run_id != self._run:
            return None
        shown: dict[str, object] = {
            "id": event.id,
            "at": event.at,
            "kind": event.kind,
            "subject": event.subject,
            "run_id": event.run_id,
        }
        if Right.AUDIT in self._caller.rights:
            shown |= {"actor": event.actor, "detail": event.detail}
        return b"id: %s\ndata: %s\n\n" % (happened.id.encode(), orjson.dumps(shown))


def _error(code: str, detail: str) -> bytes:
    return b"event: error\ndata: %s\n\n" % orjson.dumps({"code": code, "detail": detail})
