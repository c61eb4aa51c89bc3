"""How much may be asked of GitHub, kept per account and shared by all of this process who ask.

https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api says what is counted:
the hour's requests (primary, in headers), and (secondary) how many requests are under way, what
they cost in a minute, and how much is written in a minute and in an hour. What would pass a limit
is not sent: GitHub slows down, and in the end bans, who goes on asking.

Other processes with the same account keep their own count, so each stays below what GitHub allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from openloop.integrations.github.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from openloop.integrations.github.verdicts import Limit

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SHORTEST_PAUSE = timedelta(seconds=60)
LONGEST_PAUSE = HOUR

UNDER_WAY = 40
SLOT_SECONDS = 5.0
"""How long a request waits for one of the others to end before it is put off."""
POINTS_A_MINUTE = 800
WRITE_POINTS = 5
WRITTEN_A_MINUTE = 80
WRITTEN_AN_HOUR = 500
PROGRESS_SHARE = 0.5
"""Which share of what may be written is open to progress reports; the rest is for what matters."""

Kind = Literal["question", "change", "content", "progress"]
"""What a request is. Content is what people see; `progress` is what is said on the way and gives
way to everything else; any other change is none of both.
"""

_WRITTEN = frozenset({"content", "progress"})


@dataclass(slots=True)
class _Account:
    """What one account has asked, and until when it may not."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNDER_WAY))
    begun: int = 0
    pauses: dict[str, datetime] = field(default_factory=dict[str, datetime])
    paused_until: datetime | None = None
    begun_at_pause: int = 0
    unexplained: int = 0
    points: deque[tuple[datetime, int]] = field(default_factory=deque[tuple[datetime, int]])
    written: deque[datetime] = field(default_factory=deque[datetime])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the limits see it.

    `bucket` is GitHub's name of the count it falls under (`core`, `search`, `code_search`).
    """

    account: str
    bucket: str
    kind: Kind


class Limits:
    """The limits of every account at one GitHub."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._accounts: dict[str, _Account] = {}

    @asynccontextmanager
    async def passage(self, request: Request) -> AsyncGenerator[int]:
        """Let one request through, counted; yields its number in the account.

        Raises:
            RateLimited: it cannot go now; nothing was sent
        """
        account = self._accounts.setdefault(request.account, _Account())
        self._refuse_early(account, request)
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await account.slots.acquire()
        except TimeoutError:
            message = f"{UNDER_WAY} requests to GitHub are under way already; nothing was sent"
            raise RateLimited(message, retry_at=self._now() + timedelta(seconds=1)) from None
        try:
            self._refuse_early(account, request)  # the one that ended may have met a limit
            yield self._count(account, request)
        finally:
            account.slots.release()

    def heard(
        self, request: Request, number: int, headers: Mapping[str, str], limit: Limit | None
    ) -> datetime | None:
        """Learn from an answer; when to ask again, where it says that we asked too much."""
        account, now = self._accounts[request.account], self._now()
        if limit is None:
            self._note_used_up(account, request, headers)
            if number > account.begun_at_pause:
                account.unexplained = 0
            return None
        if limit.is_primary and limit.retry_at is not None:
            account.pauses[request.bucket] = limit.retry_at
            return limit.retry_at
        until = limit.retry_at
        if until is None and number <= account.begun_at_pause and account.paused_until:
            until = account.paused_until  # it was under way when another was refused
        elif until is None:
            until = now + min(SHORTEST_PAUSE * 2**account.unexplained, LONGEST_PAUSE)
            account.unexplained = min(account.unexplained + 1, 10)
        account.begun_at_pause = account.begun
        account.paused_until = max(until, account.paused_until or until)
        return account.paused_until

    def _note_used_up(
        self, account: _Account, request: Request, headers: Mapping[str, str]
    ) -> None:
        reset = headers.get("x-ratelimit-reset", "")
        if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal() and len(reset) < 12:
            until = datetime.fromtimestamp(int(reset), UTC)
            bucket = headers.get("x-ratelimit-resource", request.bucket)
            account.pauses[bucket] = min(until, self._now() + LONGEST_PAUSE)

    def _refuse_early(self, account: _Account, request: Request) -> None:
        now = self._now()
        waits = [account.paused_until, account.pauses.get(request.bucket)]
        until = max((each for each in waits if each is not None), default=now)
        if until > now:
            raise RateLimited("GitHub asked us to wait; nothing was sent", retry_at=until)
        free_at = max(
            _points_free_at(account, request, now), _writing_free_at(account, request, now)
        )
        if free_at > now:
            message = "As much is asked of GitHub as it allows; nothing was sent"
            raise RateLimited(message, retry_at=free_at)

    def _count(self, account: _Account, request: Request) -> int:
        now = self._now()
        account.begun += 1
        account.points.append((now, _cost(request)))
        if request.kind in _WRITTEN:
            account.written.append(now)
        return account.begun


def _points_free_at(account: _Account, request: Request, now: datetime) -> datetime:
    """When a minute has room for what this costs; `now` where it has."""
    while account.points and account.points[0][0] <= now - MINUTE:
        account.points.popleft()
    over = sum(cost for _, cost in account.points) + _cost(request) - POINTS_A_MINUTE
    for moment, cost in account.points:
        if over <= 0:
            break
        over -= cost
        if over <= 0:
            return moment + MINUTE
    return now


def _writing_free_at(account: _Account, request: Request, now: datetime) -> datetime:
    """When a minute and an hour have room for another write; `now` where they have."""
    written = account.written
    while written and written[0] <= now - HOUR:
        written.popleft()
    free_at = now
    if request.kind in _WRITTEN:
        for most, span in ((WRITTEN_A_MINUTE, MINUTE), (WRITTEN_AN_HOUR, HOUR)):
            allowed = int(most * PROGRESS_SHARE) if request.kind == "progress" else most
            if len(written) >= allowed:
                free_at = max(free_at, written[-allowed] + span)
    return free_at


def _cost(request: Request) -> int:
    return 1 if request.kind == "question" else WRITE_POINTS


_SHARED: WeakValueDictionary[str, Limits] = WeakValueDictionary()


def shared_limits(api_url: str) -> Limits:
    """The limits at one GitHub, the same object for everybody in this process who holds it."""
    limits = _SHARED.get(api_url)
    if limits is None:
        limits = _SHARED[api_url] = Limits()
    return limits
