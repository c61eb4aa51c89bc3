"""Asking GitHub: a read, a page of a list, a write, each within the limits and with its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import structlog
from pydantic import ValidationError

from openloop.integrations.github.actors import host_of
from openloop.integrations.github.errors import (
    Ambiguous,
    Refused,
    TooLarge,
    Unavailable,
)
from openloop.integrations.github.limits import Kind, Limits, Request
from openloop.integrations.github.marker import marked
from openloop.integrations.github.names import InvalidName, RepoName
from openloop.integrations.github.pages import LARGEST_PAGE, Stride
from openloop.integrations.github.resources import Page, User, reader, reader_below
from openloop.integrations.github.settings import LOG_HOSTS, web_url_of
from openloop.integrations.github.verdicts import limit_of, verdict
from openloop.integrations.github.wire import (
    CONNECT_SECONDS,
    JSON,
    TOTAL_SECONDS,
    Answered,
    Lost,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from openloop.integrations.github.credentials import Credential, Credentials

Query = dict[str, str | int]

BODY_LIMIT = 65_536
PAGE_SIZE = 30
PAGES_LOOKED_THROUGH = 10
ME_REMEMBERED = timedelta(minutes=10)
CLOCK_MARGIN = timedelta(minutes=5)
"""How far GitHub's clock may be behind ours when we look for what we made."""

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A percent-encoded path, and the repository whose token is to be used for it."""

    path: str
    repo: RepoName | None = None


def in_repo(repo: RepoName, *parts: str | int) -> Endpoint:
    """The path below a repository; each part is one segment, whatever is in it.

    Raises:
        InvalidName: a part would lead out of the path, however it is written
    """
    segments = ("repos", repo.owner, repo.name, *map(str, parts))
    if not {".", ".."}.isdisjoint(segments):
        raise InvalidName("A path cannot hold '.' or '..' as a part")
    return Endpoint("/" + "/".join(quote(part, safe="") for part in segments), repo)


class Exchange:
    """One GitHub, asked as whoever `credentials` says, within `limits`.

    A read whose connection broke is made once more; a write never is. What would pass a limit is
    not sent. The methods raise the errors of `openloop.integrations.github.errors`. `host` is where
    people see this GitHub: the tenant of its places.
    """

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        *,
        limits: Limits | None = None,
        log_hosts: Sequence[str] = LOG_HOSTS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.host = host_of(web_url_of(api_url))
        self.credentials = credentials
        self.wire = Wire(api_url, connect_seconds=connect_seconds, total_seconds=total_seconds)
        self.log_hosts = tuple(log_hosts)
        self._limits = limits if limits is not None else Limits(now)
        self._now = now
        self._me: User | None = None
        self._me_until = now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, those of the credentials among them."""
        await self.wire.aclose()
        await self.credentials.aclose()

    async def read(self, kind: type[T], endpoint: Endpoint, query: Query | None = None) -> T:
        """One thing, as a `kind`."""
        answered = await self._get(endpoint, query or {})
        found = _parsed(kind, answered.body)
        if found is None:
            raise Refused("GitHub's answer was not understood", status=answered.status)
        return found

    async def read_page(
        self,
        kind: type[T],
        endpoint: Endpoint,
        query: Query,
        *,
        below: str | None = None,
        accept: str = JSON,
    ) -> Page[T]:
        """One page of a list; `below` is the name under which GitHub wraps some lists.

        A page that is too large for one answer is read in parts, and a single entry that is too
        large is left out and counted. Where the query names no size, it is not taken apart.
        """
        stride = _stride(query)
        found: list[T] = []
        unreadable = 0
        while True:
            part: Query = {"per_page": stride.size, "page": stride.page} if stride else {}
            try:
                answered = await self._get(endpoint, query | part, accept=accept)
            except TooLarge as large:
                if stride is None:
                    raise
                if stride.shorten():
                    continue
                headers = large.headers
                unreadable += 1
                _log.warning("github.entry_too_large", path=endpoint.path, position=stride.at)
            else:
                listed = _listed(kind, answered.body, below)
                if listed is None:
                    raise Refused("GitHub's answer was not understood", status=answered.status)
                found += listed
                headers = answered.headers
            next_page = _next_page(headers.get("link", ""))
            if stride is not None:
                stride.advance()
            if next_page is None or stride is None or stride.gone == stride.largest:
                break
        if next_page is not None and stride is not None:
            next_page = stride.page
        return Page(items=tuple(found), next_page=next_page, unreadable=unreadable)

    async def read_text(self, endpoint: Endpoint, *, accept: str) -> str:
        """A thing in another form than JSON, such as a diff."""
        answered = await self._get(endpoint, {}, accept=accept)
        return answered.body.decode(errors="replace")

    async def located(self, endpoint: Endpoint) -> str:
        """Where GitHub points to for what it does not serve itself.

        Raises:
            Refused: it answered with something else
        """
        answered = await self._exchange("GET", endpoint)
        if _is_worth_repeating(answered):
            answered = await self._exchange("GET", endpoint)
        match answered:
            case Lost(reason=reason):
                raise Unavailable(f"GitHub gave no answer: {reason}")
            case Answered(status=302, headers=headers) if "location" in headers:
                return headers["location"]
            case Answered(status=status) if status >= 500 or status == 408:
                raise Unavailable(f"GitHub is in trouble ({status})")
            case Answered(status=status):
                raise Refused(f"GitHub did not say where it is ({status})", status=status)

    async def write(
        self,
        kind: type[T],
        endpoint: Endpoint,
        content: Mapping[str, object],
        *,
        method: str = "POST",
        is_progress: bool = False,
    ) -> T:
        """Change something; the answer as a `kind`.

        Raises:
            Ambiguous: it may have happened
        """
        answered = await self._change(method, endpoint, content, is_progress=is_progress)
        made = _parsed(kind, answered.body)
        if made is None:
            raise Ambiguous("GitHub's answer was not understood")
        return made

    async def post(self, endpoint: Endpoint, content: Mapping[str, object]) -> Answered:
        """Change something; what GitHub answered, with its headers.

        Raises:
            Ambiguous: it may have happened
        """
        return await self._change("POST", endpoint, content)

    async def delete(self, endpoint: Endpoint) -> None:
        """Take something away.

        Raises:
            Ambiguous: it may have happened
        """
        await self._change("DELETE", endpoint, None)

    async def me(self, repo: RepoName | None = None) -> User:
        """The account under which we write, as GitHub knew it a few minutes ago.

        Its login may change, and be somebody else's then; the id never does.
        """
        if self._me is None or self._now() >= self._me_until:
            await self.credentials.credential(repo)  # an App learns its name with its first token
            login = self.credentials.login
            path = "/user" if login is None else f"/users/{quote(login, safe='')}"
            self._me = await self.read(User, Endpoint(path, repo))
            self._me_until = self._now() + ME_REMEMBERED
        return self._me

    async def answer(
        self, endpoint: Endpoint, query: Query | None = None, *, etag: str | None = None
    ) -> Answered:
        """What GitHub answers to a read, with its headers; 304 where it is what `etag` names."""
        return await self._get(endpoint, query or {}, etag=etag)

    async def _get(
        self, endpoint: Endpoint, query: Query, *, accept: str = JSON, etag: str | None = None
    ) -> Answered:
        answered = await self._exchange("GET", endpoint, query=query, accept=accept, etag=etag)
        if _is_worth_repeating(answered):
            answered = await self._exchange("GET", endpoint, query=query, accept=accept, etag=etag)
        match answered:
            case Lost(how="too_large", reason=reason, headers=headers):
                raise TooLarge(f"GitHub's answer is too large: {reason}", headers=headers)
            case Lost(reason=reason):
                raise Unavailable(f"GitHub gave no answer: {reason}")
            case Answered(status=status) if status >= 500 or status == 408:
                raise Unavailable(f"GitHub is in trouble ({status})")
            case Answered():
                return _settled(answered)

    async def _change(
        self,
        method: str,
        endpoint: Endpoint,
        content: Mapping[str, object] | None,
        *,
        is_progress: bool = False,
    ) -> Answered:
        answered = await self._exchange(method, endpoint, content=content, is_progress=is_progress)
        match answered:
            case Lost(how="not_sent", reason=reason):
                raise Unavailable(f"GitHub could not be reached: {reason}")
            case Lost(reason=reason):
                raise Ambiguous(f"GitHub's answer was lost: {reason}")
            case Answered(status=status) if status >= 500 or status == 408:
                raise Ambiguous(f"GitHub failed while it was writing ({status})")
            case Answered():
                return _settled(answered)

    async def _exchange(
        self,
        method: str,
        endpoint: Endpoint,
        *,
        query: Query | None = None,
        content: Mapping[str, object] | None = None,
        accept: str = JSON,
        etag: str | None = None,
        is_progress: bool = False,
    ) -> Answered | Lost:
        """Send it, once more with another token where GitHub refused the first one.

        Raises whatever GitHub declined; what it answered well, elsewhere or with 5xx is returned.
        """
        outgoing = _Outgoing(method, endpoint, query, content, accept, etag, is_progress)
        credential = await self.credentials.credential(endpoint.repo)
        answered, retry_at = await self._send(outgoing, credential)
        if _is_unknown_token(answered) and self.credentials.refused(credential):
            credential = await self.credentials.credential(endpoint.repo)
            answered, retry_at = await self._send(outgoing, credential)
        if isinstance(answered, Answered):
            secret = credential.token
            error = verdict(
                answered, retry_at=retry_at, redact=lambda text: text.replace(secret, "[token]")
            )
            if error is not None:
                raise error
        return answered

    async def _send(
        self, outgoing: _Outgoing, credential: Credential
    ) -> tuple[Answered | Lost, datetime | None]:
        """What came back, and when to ask again if it says that we asked too much."""
        request = Request(
            account=credential.account,
            bucket=_bucket(outgoing.endpoint.path),
            kind=_kind(outgoing),
        )
        async with self._limits.passage(request) as number:
            answered = await self.wire.exchange(
                outgoing.method,
                outgoing.endpoint.path,
                token=credential.token,
                query=outgoing.query,
                content=outgoing.content,
                accept=outgoing.accept,
                etag=outgoing.etag,
            )
            if isinstance(answered, Lost):
                return answered, None
            limit = limit_of(answered, now=self._now())
            return answered, self._limits.heard(request, number, answered.headers, limit)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One request, before it has a token."""

    method: str
    endpoint: Endpoint
    query: Query | None
    content: Mapping[str, object] | None
    accept: str
    etag: str | None
    is_progress: bool


async def each(turn_to: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Everything in a list of at most `PAGES_LOOKED_THROUGH` pages.

    Raises:
        Ambiguous: the list goes on, or something in it was too large to be read
    """
    goes_on, unreadable = True, 0

    async def counted(number: int) -> Page[T]:
        nonlocal goes_on, unreadable
        page = await turn_to(number)
        goes_on = page.next_page is not None
        unreadable += page.unreadable
        return page

    async for item in gathered(counted):
        yield item
    if goes_on:
        raise Ambiguous(f"Not found in the first {PAGES_LOOKED_THROUGH} pages of a longer list")
    if unreadable:
        raise Ambiguous(
            f"Not found in a list of which {unreadable} entries are too large to be read"
        )


async def gathered(turn_to: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """What stands on the first `PAGES_LOOKED_THROUGH` pages of a list."""
    number: int | None = 1
    while number is not None and number <= PAGES_LOOKED_THROUGH:
        page = await turn_to(number)
        for item in page.items:
            yield item
        number = page.next_page


def turn(page: int, page_size: int) -> Query:
    """The query for one page."""
    return {"per_page": min(max(page_size, 1), LARGEST_PAGE), "page": max(page, 1)}


def since_query(since: datetime | None) -> Query:
    """The query for what was updated since."""
    return {} if since is None else {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def signed(body: str, key: str) -> str:
    """The body with the mark of this key below it.

    Raises:
        Refused: it is longer than GitHub takes
    """
    whole = marked(body, key)
    if len(whole) > BODY_LIMIT:
        raise Refused(f"The text is too long: {len(whole)} of {BODY_LIMIT} characters")
    return whole


def _settled(answered: Answered) -> Answered:
    if answered.status >= 300 and answered.status != 304:
        raise Refused(
            "The repository has moved; name the place where it is now", status=answered.status
        )
    return answered


def _parsed(kind: type[T], body: bytes) -> T | None:
    try:
        return reader(kind)(body)
    except ValidationError:
        return None


def _listed(kind: type[T], body: bytes, below: str | None) -> list[T] | None:
    try:
        if below is None:
            return reader(list[kind])(body)
        return reader_below(below, list[kind])(body)
    except ValueError:
        return None


def _stride(query: Query) -> Stride | None:
    """How the page that is asked for may be taken apart; None where the query names no size."""
    size, page = query.get("per_page"), query.get("page", 1)
    if not isinstance(size, int) or not isinstance(page, int):
        return None
    return Stride(largest=size, at=(page - 1) * size)


def _next_page(links: str) -> int | None:
    """The number of the next page, from the header that GitHub gives beside a list."""
    found = re.search(r'<([^<>]*)>; rel="next"', links)
    numbers = parse_qs(urlsplit(found[1]).query).get("page", []) if found is not None else []
    return int(numbers[0]) if numbers and re.fullmatch("[0-9]{1,9}", numbers[0]) else None


def _bucket(path: str) -> str:
    if path.startswith("/search/"):
        return "code_search" if path == "/search/code" else "search"
    return "graphql" if path == "/graphql" else "core"


def _kind(outgoing: _Outgoing) -> Kind:
    """How a request counts: a question to `/graphql` is one, and an App's own affairs no content."""
    if outgoing.method == "GET" or outgoing.endpoint.path == "/graphql":
        return "question"
    if outgoing.method == "DELETE" or outgoing.endpoint.path.startswith("/app/"):
        return "change"
    return "progress" if outgoing.is_progress else "content"


def _is_unknown_token(answered: Answered | Lost) -> bool:
    return isinstance(answered, Answered) and answered.status == 401


def _is_worth_repeating(answered: Answered | Lost) -> bool:
    match answered:
        case Lost(how=how):
            return how in {"not_sent", "broken"}
        case Answered(status=status):
            return status in {502, 503, 504}
