"""One HTTP exchange with GitHub: bounded in time and size, never redirected, never retried."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import urlencode

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ANSWER_BYTES = 5_000_000
"""Enough for any one thing that people can write, whatever is in it.

A text on GitHub has 65,536 characters; one of them takes 12 bytes at most in JSON (two escapes), so
a text takes 0.8 MB. An event repeats its issue (its text, a milestone's, 100 labels: below 2 MB), a
comment on a line the change around it (500 KB of a file, 3 MB at worst). Of what machines write -
the message of a commit - there may be more, and a page of a list may hold a hundred of all these.
"""
CONNECT_SECONDS = 5
TOTAL_SECONDS = 20
API_VERSION = "2022-11-28"
JSON = "application/vnd.github+json"
USER_AGENT = "OpenLoop"

_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """GitHub answered, well or badly. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """There is no answer.

    not_sent: GitHub cannot have seen the request. broken: the connection ended too early.
    slow, too_large: the answer went past our bounds; of the latter there are `headers`.
    """

    how: Literal["not_sent", "broken", "slow", "too_large"]
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Wire:
    """Connections to one GitHub, made when first used.

    `exchange` raises nothing of aiohttp: its errors hold the request with its Authorization.
    """

    def __init__(
        self,
        api_url: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(
            total=total_seconds, connect=connect_seconds, sock_connect=connect_seconds
        )
        self._http: aiohttp.ClientSession | None = None

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        token: str,
        query: Mapping[str, str | int] | None = None,
        content: Mapping[str, object] | None = None,
        accept: str = JSON,
        etag: str | None = None,
    ) -> Answered | Lost:
        """Send one request. `path` must be percent-encoded already.

        With an `etag` the answer is 304 where nothing has changed, which counts on no limit.
        """
        address = f"{self._api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with self._connections().request(
                method,
                URL(address, encoded=True),
                headers=_headers(token, accept) | ({} if etag is None else {"If-None-Match": etag}),
                data=json.dumps(content).encode() if content is not None else None,
                allow_redirects=False,
            ) as response:
                return await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Lost(how="not_sent", reason=type(error).__name__)
        except TimeoutError:
            return Lost(how="slow", reason=f"no answer within {self._timeout.total} s")
        except _Broken as error:
            return Lost(how="broken", reason=str(error))
        except aiohttp.ClientError as error:
            return Lost(how="broken", reason=type(error).__name__)

    async def download(self, url: URL, into: Kept, *, total_seconds: float) -> Answered | Lost:
        """Fetch from where GitHub pointed, without a token; what comes goes into `into`.

        The answer has no body. Whoever calls has decided that the host is one to ask.
        """
        timeout = aiohttp.ClientTimeout(
            total=total_seconds, connect=self._timeout.connect, sock_connect=CONNECT_SECONDS
        )
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        try:
            async with self._connections().get(
                url, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    if not into.take(chunk):
                        response.close()
                        return Lost(how="too_large", reason=f"more than {into.most_bytes} bytes")
                return Answered(status=response.status, headers={}, body=b"")
        except TimeoutError:
            return Lost(how="slow", reason=f"no answer within {total_seconds} s")
        except _Broken as error:
            return Lost(how="broken", reason=str(error))
        except aiohttp.ClientError as error:
            return Lost(how="broken", reason=type(error).__name__)

    async def aclose(self) -> None:
        """Close the connections; the next request would open new ones."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _connections(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
            )
        return self._http


class _Broken(aiohttp.ClientError):
    """The connection ended; aiohttp takes no second try at this one."""


async def _once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send a request once: aiohttp would repeat a GET, and a DELETE, that may have happened."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(type(error).__name__) from None


class Kept(Protocol):
    """What is kept of a download, bounded by whoever keeps it."""

    most_bytes: int

    def take(self, chunk: bytes) -> bool:
        """Keep the next part; False where it is one too many."""
        ...


def _headers(token: str, accept: str) -> dict[str, str]:
    return {
        "Accept": accept,
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": USER_AGENT,
        "X-GitHub-Api-Version": API_VERSION,
    }


async def _read(response: aiohttp.ClientResponse) -> Answered | Lost:
    """The whole answer, unless it is too large; what counts is its size when unpacked."""
    headers = {name.lower(): text for name, text in response.headers.items()}
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            reason = f"more than {MAX_ANSWER_BYTES} bytes"
            return Lost(how="too_large", reason=reason, headers=headers)
    return Answered(status=response.status, headers=headers, body=bytes(body))
