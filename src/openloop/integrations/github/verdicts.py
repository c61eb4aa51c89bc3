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
    from collections.abc import Callable, Mapping

    from openloop.integrations.github.wire import Answered

DEFAULT_PAUSE = timedelta(seconds=60)
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


def verdict(
    answered: Answered, *, now: datetime, redact: Callable[[str], str]
) -> GitHubError | None:
    """The error that this answer stands for; None for a good one."""
    status = answered.status
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Refused("The repository has moved; name the place where it is now", status=status)
    said = message_of(answered.body, redact=redact)
    if _is_limit(status, answered.headers, said):
        return RateLimited(
            f"GitHub limits our requests: {said}", retry_at=retry_at(answered.headers, now=now)
        )
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


def retry_at(headers: Mapping[str, str], *, now: datetime) -> datetime:
    """When to ask again, at most an hour from now.

    Source: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """
    seconds = headers.get("retry-after", "")
    reset = headers.get("x-ratelimit-reset", "")
    if re.fullmatch("[0-9]{1,9}", seconds):
        pause = timedelta(seconds=int(seconds))
    elif headers.get("x-ratelimit-remaining") == "0" and re.fullmatch("[0-9]{1,11}", reset):
        pause = max(datetime.fromtimestamp(int(reset), UTC) - now, timedelta(seconds=1))
    else:
        pause = DEFAULT_PAUSE
    return now + min(pause, LONGEST_PAUSE)


def _is_limit(status: int, headers: Mapping[str, str], said: str) -> bool:
    """403 means both "you may not" and "not so fast"; these signs tell them apart."""
    if status == 429:
        return True
    return status == 403 and (
        "retry-after" in headers
        or headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in said.lower()
    )
