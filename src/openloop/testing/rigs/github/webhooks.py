"""GitHub's webhooks: whatever happens in the fake is delivered, signed, as often as its dials say.

GitHub delivers once, waits ten seconds, and never again by itself: what was missed is listed, and
redelivered where somebody asks for it, under the same id.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import aiohttp
import orjson

from openloop.testing.rigs.changes import Changes
from openloop.testing.rigs.github.payloads import payload_of

if TYPE_CHECKING:
    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.rig import GitHubRig

DEADLINE_SECONDS = 10.0
# Below uvicorn's five seconds, or a request now and then meets a connection just being closed.
_KEEP_ALIVE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One delivery as it was made; `status` 0 is one that nobody took."""

    guid: str
    event: str
    headers: dict[str, str]
    body: bytes
    status: int = 0


@dataclass(slots=True, kw_only=True)
class Dials:
    """What goes wrong with deliveries.

    `most_copies`: each is made between once and this often. `reordered`: a delivery waits for up to
    this many others before it is made. `dropped`: how likely GitHub says nothing at all.
    """

    most_copies: int = 1
    reordered: int = 0
    dropped: float = 0.0


class Webhooks:
    """Delivers what happens in a rig to `url`, in its order unless a dial says else."""

    def __init__(self, rig: GitHubRig, *, secret: str, url: str = "", seed: int = 7) -> None:
        self.url, self.secret = url, secret
        self.dials = Dials()
        self.attempts: list[Attempt] = []
        self._rig = rig
        self._random = random.Random(seed)  # noqa: S311  # the same faults every time
        self._waiting: list[Attempt] = []
        self._changes = Changes()
        self._http: aiohttp.ClientSession | None = None
        self._delivering: asyncio.Task[None] | None = None
        rig.state.watchers.append(self._take)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        self._http = aiohttp.ClientSession(connector=connector)
        self._delivering = asyncio.create_task(self._deliver())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.gather(self._delivering, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def settled(self, *, timeout_seconds: float = 30) -> None:
        """Wait until everything that has happened is delivered.

        Raises:
            TimeoutError
        """
        await self._changes.until(lambda: not self._waiting, timeout_seconds=timeout_seconds)

    async def redeliver(self, attempt: Attempt) -> Attempt:
        """The same delivery once more, as somebody asks for it on the App's page."""
        return await self._make(attempt)

    def _take(self, happened: Happened) -> None:
        if self.dials.dropped and self._random.random() < self.dials.dropped:
            return
        body = orjson.dumps(payload_of(happened, self._rig.api_url))
        made = signed(happened.event, body, self.secret)
        for _ in range(self._random.randint(1, self.dials.most_copies)):
            at = len(self._waiting)
            if self.dials.reordered:
                at = max(1, at - self._random.randint(0, self.dials.reordered)) if at else 0
            self._waiting.insert(at, made)
        self._changes.announce()

    async def _deliver(self) -> None:
        while True:
            await self._changes.until(lambda: bool(self._waiting), timeout_seconds=86_400)
            await self._make(self._waiting[0])
            self._waiting.pop(0)
            self._changes.announce()

    async def _make(self, attempt: Attempt) -> Attempt:
        made = replace(attempt, status=await self._post(attempt))
        self.attempts.append(made)
        app = self._rig.state.app
        if app is not None:
            payload = orjson.loads(made.body)
            listed = app.deliver(made.event, payload, status_code=made.status or 502)
            if listed is not None:
                app.deliveries[-1] = replace(listed, guid=made.guid)
        return made

    async def _post(self, attempt: Attempt) -> int:
        if self._http is None or not self.url:
            return 0
        try:
            async with (
                asyncio.timeout(DEADLINE_SECONDS),
                self._http.post(
                    self.url, data=attempt.body, headers=attempt.headers, allow_redirects=False
                ) as response,
            ):
                await response.read()
                return response.status
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0


def signed(event: str, body: bytes, secret: str, *, guid: str = "") -> Attempt:
    """A delivery as GitHub signs it."""
    guid = guid or str(uuid.uuid4())
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/rig",
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": f"sha256={digest}",
    }
    return Attempt(guid=guid, event=event, headers=headers, body=body)
