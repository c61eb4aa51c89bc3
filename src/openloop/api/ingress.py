"""Deliveries of platforms: the one hot path, ahead of everything that costs.

A delivery is answered once its events are committed, or with 503 in time for the platform to
deliver it again.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from openloop.api.bodies import read
from openloop.api.problems import BodyTooSlow, make_problem, send_problem
from openloop.domain.errors import Unavailable
from openloop.domain.surface import Delivery, HttpReply, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from openloop.actions.intake import Intake
    from openloop.domain.surface import Accepted
    from openloop.plugin import Surface

log = structlog.get_logger(__name__)

PREFIX = "/surfaces/"
_ADDRESS = re.compile(r"/surfaces/([a-z][a-z0-9_]{0,30})/events")
MOST_UNDER_WAY = 500


class NotCommitted(Unavailable):
    """The events of a delivery are not known to be committed: the platform delivers them again."""

    code = "delivery_not_committed"


def is_delivery(path: str) -> bool:
    """True where a platform delivers."""
    return path.startswith(PREFIX)


class Ingress:
    """Takes `POST /surfaces/NAME/events`; everything else goes on."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        surfaces: Mapping[str, Surface],
        intake: Intake,
        ack_seconds: float,
    ) -> None:
        self._app = app
        self._surfaces = surfaces
        self._intake = intake
        self._ack_seconds = ack_seconds
        self._under_way: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a delivery."""
        if scope["type"] != "http" or not is_delivery(scope["path"]):
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._ack_seconds
        found = _ADDRESS.fullmatch(scope["path"])
        surface = self._surfaces.get(found[1]) if found else None
        if surface is None:
            problem = make_problem(404, "surface_not_found", "No such surface is configured")
            await send_problem(send, problem)
            return
        if scope["method"] != "POST":
            problem = make_problem(405, "method_not_allowed", "Deliveries are POST requests")
            await send_problem(send, problem)
            return
        try:
            async with asyncio.timeout_at(deadline):
                body = await read(receive)
        except TimeoutError:
            raise BodyTooSlow("The body did not arrive in time") from None
        try:
            accepted = surface.accept(_delivery(scope, body))
        except Rejected as refusal:
            log.info("delivery refused", surface=surface.name, code=refusal.code)
            problem = make_problem(refusal.status, refusal.code, str(refusal))
            await send_problem(send, problem)
            return
        if accepted.events or accepted.departures:
            await self._commit(accepted, deadline)
        await _send_reply(send, accepted.reply or HttpReply())

    async def _commit(self, accepted: Accepted, deadline: float) -> None:
        """Wait for the commit as long as the platform waits for us.

        What takes longer is left to end by itself: to cancel a query costs another round trip to
        the server that does not answer. Should it still commit, the redelivery is a duplicate.

        Raises:
            Unavailable
        """
        if len(self._under_way) >= MOST_UNDER_WAY:
            raise NotCommitted("Too many deliveries are waiting for the database")
        commit = asyncio.ensure_future(self._intake(accepted))
        self._under_way.add(commit)
        commit.add_done_callback(self._under_way.discard)
        try:
            done, _ = await asyncio.wait(
                (commit,), timeout=deadline - asyncio.get_running_loop().time()
            )
        except BaseException:
            commit.add_done_callback(_note_late)
            raise
        if not done:
            commit.add_done_callback(_note_late)
            raise NotCommitted("The database did not commit in time")
        commit.result()


def _note_late(commit: asyncio.Task[None]) -> None:
    if not commit.cancelled() and (error := commit.exception()) is not None:
        log.warning("late delivery not committed", reason=type(error).__name__)


def _delivery(scope: Scope, body: bytes) -> Delivery:
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    return Delivery(headers=headers, body=body, received_at=datetime.now(UTC), transport="http")


async def _send_reply(send: Send, reply: HttpReply) -> None:
    headers = [(b"content-length", str(len(reply.body)).encode())]
    if reply.body:
        headers.append((b"content-type", reply.content_type.encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
