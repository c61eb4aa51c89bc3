"""The HTTP API, called with the standard library: the command line starts fast."""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlencode, urlsplit

import openloop
from openloop.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OpenLoopError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

SECONDS: Final = 30.0
# A stream is pinged every 15 s; longer silence means that the server is gone.
STREAM_SECONDS: Final = 40.0
_MOST_ANSWER: Final = 64 * 1024 * 1024
_MOST_LINE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the API is, and the token for it."""

    url: str
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    id: str
    kind: str
    content: Any


class Client:
    """Calls one server; each call is a connection of its own. Raises errors of our tree."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._parts = urlsplit(server.url)

    def get(self, path: str, **query: object) -> Any:
        """Read something; parameters that are None are left out."""
        return self._call("GET", _with_query(path, query), None)

    def text(self, path: str, **query: object) -> str:
        """Read something that is not JSON."""
        with self._answered("GET", _with_query(path, query), None, {}, SECONDS) as answer:
            read = answer.read(_MOST_ANSWER)
            if answer.length:  # what was announced and did not come
                raise http.client.IncompleteRead(read)
            _refuse_failure(answer.status, read)
        return read.decode()

    def post(self, path: str, content: Mapping[str, object] | None = None) -> Any:
        """Change something; the same call sent twice by the network counts once."""
        return self._call("POST", path, content or {})

    def delete(self, path: str) -> Any:
        """Remove something."""
        return self._call("DELETE", path, None)

    def events(self, path: str, *, after: str | None = None, **query: object) -> Iterator[Event]:
        """The events of a stream until the server ends it or goes away (Unavailable)."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = after
        with self._answered(
            "GET", _with_query(path, query), None, headers, STREAM_SECONDS
        ) as answer:
            _refuse_failure(answer.status, b"" if answer.status == 200 else answer.read(65536))
            yield from _events(answer)

    def _call(self, method: str, path: str, content: Mapping[str, object] | None) -> Any:
        headers = {"Accept": "application/json"}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        with self._answered(method, path, content, headers, SECONDS) as answer:
            read = answer.read(_MOST_ANSWER)
            if answer.length:  # what was announced and did not come
                raise http.client.IncompleteRead(read)
            _refuse_failure(answer.status, read)
        if not read:
            return None
        try:
            return json.loads(read)
        except ValueError:
            message = f"{self.server.url} did not answer in JSON: is it an OpenLoop server?"
            raise OpenLoopError(message, code="not_openloop") from None

    @contextmanager
    def _answered(
        self,
        method: str,
        path: str,
        content: Mapping[str, object] | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Generator[http.client.HTTPResponse]:
        connection = self._connection(seconds)
        sent = {"User-Agent": f"openloop/{openloop.__version__}", **headers}
        if self.server.token:
            sent["Authorization"] = f"Bearer {self.server.token}"
        body = None if content is None else json.dumps(content).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, sent)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            message = (
                f"The server at {self.server.url} cannot be reached ({_reason(error)}): "
                "`openloop up` starts one, OPENLOOP_URL names another"
            )
            raise Unavailable(message, code="server_unreachable") from error
        finally:
            connection.close()

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                host, self._parts.port, timeout=seconds, context=context
            )
        return http.client.HTTPConnection(host, self._parts.port, timeout=seconds)


def connect() -> Client:
    """The server this command is for: OPENLOOP_URL, else the one of this installation.

    The token is OPENLOOP_TOKEN, else the one `up` left in OPENLOOP_HOME, which opens only this
    machine's own server and is never sent to another.

    Raises:
        Invalid: OPENLOOP_URL or the settings are wrong
    """
    from openloop import settings  # noqa: PLC0415  # .env is read where a server is called

    environ = settings.read_environment()
    url, token = environ.get("OPENLOOP_URL", "").strip(), environ.get("OPENLOOP_TOKEN", "").strip()
    if url and token:
        _refuse_address(url)
        return Client(Server(url=url, token=token))
    local = settings.load(environ)
    if url:
        _refuse_address(url)
    if not token and is_loopback(url or local.url):
        try:
            token = local.token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
    return Client(Server(url=url or local.url, token=token or None))


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def escape(part: str) -> str:
    """One part of a path."""
    return quote(part, safe="")


def by_id(kind: str, text: str) -> str:
    """The path part for an id, given bare or as `-o name` writes it (`run/ID`).

    Raises:
        NotFound: nothing can have such an id
    """
    bare = text.removeprefix(f"{kind}/")
    try:
        return str(uuid.UUID(bare))
    except ValueError:
        raise NotFound(f"No {kind} {bare!r}: an id looks like {uuid.UUID(int=0)}") from None


def by_name(kind: str, text: str) -> str:
    """The path part for a name, given bare or as `-o name` writes it (`agent/NAME`)."""
    return escape(text.removeprefix(f"{kind}/"))


def _refuse_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    problem = ""
    if parts.scheme not in ("http", "https") or not host:
        problem = f"OPENLOOP_URL must be an http(s) URL, not {url!r}"
    elif parts.username is not None or parts.query or parts.fragment:
        problem = "OPENLOOP_URL must hold no user, query or fragment"
    elif parts.scheme == "http" and "." in host and not is_loopback(url):
        problem = f"OPENLOOP_URL must be https: the token would travel in clear to {host!r}"
    if problem:
        raise Invalid(problem, problems=(problem,), code="misconfigured")


def _with_query(path: str, query: Mapping[str, object]) -> str:
    given = {key: each for key, each in query.items() if each is not None and each != ""}
    return f"{path}?{urlencode(given)}" if given else path


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _refuse_failure(status: int, body: bytes) -> None:
    """Raise what a problem+json answer says, as an error of our own tree."""
    if 200 <= status < 300:
        return
    try:
        found: Any = json.loads(body)
    except ValueError:
        found = None
    problem = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    message = str(problem.get("detail") or problem.get("title") or f"The server answered {status}")
    code = str(problem.get("code") or f"http_{status}")
    match status:
        case 401:
            hint = "set OPENLOOP_TOKEN, or make one: openloop tokens create --local"
            raise Forbidden(f"{message} ({hint})", code=code)
        case 403:
            raise Forbidden(message, code=code)
        case 404:
            raise NotFound(message, code=code)
        case 409 | 412:
            raise Conflict(message, code=code)
        case 400 | 413 | 415 | 422:
            raise Invalid(message, code=code, problems=_problems(problem.get("problems")))
        case 502 | 503 | 504:
            raise Unavailable(message, code=code)
        case _:
            raise OpenLoopError(message, code=code)


def _problems(found: object) -> tuple[str, ...]:
    if not isinstance(found, list):
        return ()
    return tuple(
        str(each.get("message") or each) if isinstance(each, dict) else str(each)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        for each in cast("list[object]", found)
    )


def _events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    """Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    identity, kind, lines = "", "message", list[str]()
    while line := answer.readline(_MOST_LINE):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        name, _, rest = text.partition(":")
        rest = rest.removeprefix(" ")
        if name == "id":
            identity = rest
        elif name == "event":
            kind = rest
        elif name == "data":
            lines.append(rest)
        elif not text and lines:
            yield Event(identity, kind, _content("\n".join(lines)))
            kind, lines = "message", []


def _content(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
