"""GitHub's endpoints for an App itself, asked with its JWT: installations, tokens, deliveries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import TypeAdapter, ValidationError

from openloop.integrations.github.errors import (
    Ambiguous,
    Forbidden,
    NotFound,
    Refused,
    Unavailable,
)
from openloop.integrations.github.exchange import Endpoint, Exchange, Query

if TYPE_CHECKING:
    from openloop.integrations.github.credentials import Credentials
    from openloop.integrations.github.limits import Limits
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.wire import Answered

T = TypeVar("T")

PAGE_SIZE = 100
MOST_INSTALLATIONS = 300
DELIVERIES = Endpoint("/app/hook/deliveries")


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The App as GitHub knows it."""

    id: int
    slug: str
    name: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose an installation is."""

    id: int
    login: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The App on one account: where it is, what it may do, and whether it may at all now."""

    id: int
    app_slug: str
    permissions: Mapping[str, str]
    events: tuple[str, ...] = ()
    repository_selection: str = "selected"
    account: Account | None = None
    suspended_at: datetime | None = None

    @property
    def owner(self) -> str:
        """The login of whose it is."""
        return self.account.login if self.account is not None else f"installation {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token of an installation, not in its repr, and how long it lives from when it was asked."""

    token: str = field(repr=False)
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class HookConfig:
    """Where GitHub delivers to."""

    url: str = ""
    content_type: str = ""
    insecure_ssl: str | float = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One attempt of GitHub to deliver an event; a redelivery has the `guid` of the first one."""

    id: int
    guid: str
    delivered_at: datetime
    event: str
    status_code: int
    action: str | None = None
    redelivery: bool = False

    @property
    def was_taken(self) -> bool:
        """Whether whoever listens there answered well."""
        return 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredPage:
    """A page of attempts, newest first; `cursor` names the next one. None: nothing has changed."""

    items: tuple[Delivered, ...] | None
    cursor: str | None
    etag: str | None
    read_at: datetime | None
    """What time it was at GitHub."""


@dataclass(frozen=True, slots=True)
class _Token:
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Request:
    headers: Mapping[str, Any] | None
    payload: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Payload:
    request: _Request


class AppApi:
    """The endpoints below `/app`. Every method raises the errors of `errors.py`."""

    def __init__(self, api_url: str, identity: Credentials, *, limits: Limits) -> None:
        self._exchange = Exchange(api_url, identity, limits=limits)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def app(self) -> tuple[App, Answered]:
        """The App that the key belongs to, and the answer with GitHub's time."""
        answered = await self._exchange.answer(Endpoint("/app"))
        return _parsed(App, answered), answered

    async def installations(self) -> list[Installation]:
        """Where the App is installed: the first `MOST_INSTALLATIONS`."""
        found: list[Installation] = []
        for page in range(1, MOST_INSTALLATIONS // PAGE_SIZE + 1):
            query: Query = {"per_page": PAGE_SIZE, "page": page}
            answered = await self._exchange.answer(Endpoint("/app/installations"), query)
            found += _parsed(list[Installation], answered)
            if 'rel="next"' not in answered.headers.get("link", ""):
                break
        return found

    async def first_installation(self) -> Installation:
        """One where the App may act: for what belongs to no repository.

        Raises:
            NotFound: the App is installed nowhere, or suspended wherever it is
        """
        usable = [each for each in await self.installations() if each.suspended_at is None]
        if not usable:
            raise NotFound("The GitHub App is installed nowhere: install it on your organization")
        return usable[0]

    async def installation_of(self, repo: RepoName) -> Installation:
        """The installation that has this repository.

        Raises:
            NotFound: the App is not installed there, or the repository is not selected
            Forbidden: the installation is suspended
        """
        endpoint = Endpoint(f"/repos/{repo.owner}/{repo.name}/installation")
        try:
            found = _parsed(Installation, await self._exchange.answer(endpoint))
        except NotFound:
            raise NotFound(
                f"The GitHub App is not installed on {repo}, or that repository is not selected"
            ) from None
        if found.suspended_at is not None:
            raise Forbidden(f"The GitHub App is suspended on {found.owner}")
        return found

    async def token(self, installation: int, *, permissions: Mapping[str, str]) -> Granted:
        """A new token of an installation, for no more than these permissions."""
        endpoint = Endpoint(f"/app/installations/{installation:d}/access_tokens")
        try:
            answered = await self._exchange.post(endpoint, {"permissions": dict(permissions)})
        except Ambiguous as lost:
            # A token that nobody got does no harm.
            raise Unavailable(str(lost)) from lost
        made = _parsed(_Token, answered)
        asked_at = time_of(answered) or datetime.now(UTC)
        return Granted(token=made.token, lifetime=made.expires_at - asked_at)

    async def hook_config(self) -> HookConfig:
        """Where GitHub delivers to."""
        return _parsed(HookConfig, await self._exchange.answer(Endpoint("/app/hook/config")))

    async def deliveries(
        self, *, cursor: str | None = None, etag: str | None = None
    ) -> DeliveredPage:
        """A page of what GitHub has delivered or tried to, newest first."""
        query: Query = {"per_page": PAGE_SIZE}
        if cursor is not None:
            query["cursor"] = cursor
        answered = await self._exchange.answer(DELIVERIES, query, etag=etag)
        is_same = answered.status == 304
        return DeliveredPage(
            items=None if is_same else tuple(_parsed(list[Delivered], answered)),
            cursor=None if is_same else _next_cursor(answered.headers.get("link", "")),
            etag=answered.headers.get("etag"),
            read_at=time_of(answered),
        )

    async def payload(self, delivery: int) -> tuple[Mapping[str, str], Mapping[str, Any]] | None:
        """The headers and the payload of a delivery; None where GitHub keeps them no longer."""
        endpoint = Endpoint(f"/app/hook/deliveries/{delivery:d}")
        try:
            request = _parsed(_Payload, await self._exchange.answer(endpoint)).request
        except NotFound:
            return None
        if request.headers is None or request.payload is None:
            return None
        headers = {name.lower(): str(text) for name, text in request.headers.items()}
        return headers, request.payload


def time_of(answered: Answered) -> datetime | None:
    """What time it was at GitHub when it answered, to the second."""
    return time_in(answered.headers)


def time_in(headers: Mapping[str, str]) -> datetime | None:
    """The time that the headers of an answer tell."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return theirs if theirs.tzinfo is not None else theirs.replace(tzinfo=UTC)


@cache
def _reader(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def _parsed(kind: type[T], answered: Answered) -> T:
    try:
        return _reader(kind).validate_json(answered.body)
    except ValidationError:
        raise Refused("GitHub's answer was not understood", status=answered.status) from None


def _next_cursor(links: str) -> str | None:
    found = re.search(r'<([^<>]*)>; rel="next"', links)
    if found is None:
        return None
    return next(iter(parse_qs(urlsplit(found[1]).query).get("cursor", [])), None)
