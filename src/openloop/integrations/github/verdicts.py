"""What an answer of GitHub means: nothing to say, or which error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from openloop.integrations.github.errors import (
    Forbidden,
    GitHubError,
    NotFound,
    RateLimited,
    Refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.integrations.github.wire import Answered

LONGEST_PAUSE = timedelta(hours=1)
MESSAGE_LIMIT = 300


@dataclass(frozen=True, slots=True)
class _Problem:
    field: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Said:
    message: str = ""
    errors: tuple[_Problem | str, ...] = ()


@cache
def _reader() -> TypeAdapter[_Said]:
    return TypeAdapter(_Said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """We asked too much. Primary: in this hour; `retry_at` None is GitHub not saying until when."""

    is_primary: bool
    retry_at: datetime | None


def verdict(
    answered: Answered, *, retry_at: datetime | None, redact: Callable[[str], str]
) -> GitHubError | None:
    """The error that this answer stands for, `retry_at` for one that met a limit.

    None for a good answer, and for one that means different things to a read and to a write: it
    points elsewhere, or GitHub failed at it (408, 5xx).
    """
    status = answered.status
    if status < 400 or status == 408 or status >= 500:
        return None
    said = message_of(answered.body, redact=redact)
    if retry_at is not None:
        return RateLimited(f"GitHub limits our requests: {said}", retry_at=retry_at)
    match status:
        case 401 | 403:
            return Forbidden(f"GitHub does not let our token do this ({status}): {said}")
        case 404 | 410:
            return NotFound(f"GitHub shows our token no such thing ({status}): {said}")
        case _:
            return Refused(f"GitHub declined ({status}): {said}", status=status)


def message_of(body: bytes, *, redact: Callable[[str], str]) -> str:
    """GitHub's own words, one short line; empty where it said nothing that can be read."""
    try:
        said = _reader().validate_json(body)
    except ValidationError:
        return ""
    problems = (
        one if isinstance(one, str) else one.message or f"{one.field} {one.code}".strip()
        for one in said.errors
    )
    whole = redact("; ".join([said.message, *problems]))
    return re.sub(r"[^\x20-\x7e]+", " ", whole)[:MESSAGE_LIMIT]


def limit_of(answered: Answered, *, now: datetime) -> Limit | None:
    """The limit that this answer says we met, if any; what GitHub says is bounded by an hour.

    403 means both "you may not" and "not so fast"; a header or its words tell them apart.
    https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """
    status, headers = answered.status, answered.headers
    if status not in {403, 429}:
        return None
    seconds, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if re.fullmatch("[0-9]{1,9}", seconds):
        pause = timedelta(seconds=int(seconds))
        return Limit(is_primary=False, retry_at=now + min(pause, LONGEST_PAUSE))
    if headers.get("x-ratelimit-remaining") == "0":
        if not re.fullmatch("[0-9]{1,11}", reset):
            return Limit(is_primary=False, retry_at=None)
        until = max(datetime.fromtimestamp(int(reset), UTC), now + timedelta(seconds=1))
        return Limit(is_primary=True, retry_at=min(until, now + LONGEST_PAUSE))
    said = message_of(answered.body, redact=str).lower()
    is_limit = status == 429 or "retry-after" in headers or "rate limit" in said
    return Limit(is_primary=False, retry_at=None) if is_limit else None
