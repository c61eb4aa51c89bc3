"""One HTTP exchange with GitHub: bounded in time and size, never redirected, never retried."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ANSWER_BYTES = 5_000_000
CONNECT_SECONDS = 5
TOTAL_SECONDS = 20
API_VERSION = "2022-11-28"

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
    slow, too_large: the answer went past our bounds.
    """

    how: Literal["not_sent", "broken", "slow", "too_large"]
    reason: str


class Wire:
    """Connections to one GitHub, with one token; made when first used.

    `exchange` raises nothing of aiohttp: its errors hold the request with its Authorization.
    """

    def __init__(
        self,
        api_url: str,
        token: Callable[[], str],
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._timeout = aiohttp.ClientTimeout(
            total=total_seconds, connect=connect_seconds, sock_connect=connect_seconds
        )
        self._http: aiohttp.ClientSession | None = None

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        content: Mapping[str, object] | None = None,
    ) -> Answered | Lost:
        """Send one request. `path` must be percent-encoded already."""
        address = f"{self._api_url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with self._connections().request(
                method,
                URL(address, encoded=True),
                headers=self._headers(),
                data=json.dumps(content).encode() if content is not None else None,
                allow_redirects=False,
            ) as response:
                return await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Lost(how="not_sent", reason=type(error).__name__)
        except TimeoutError:
            return Lost(how="slow", reason=f"no answer within {self._timeout.total} s")
        except aiohttp.ClientError as error:
            return Lost(how="broken", reason=type(error).__name__)

    async def aclose(self) -> None:
        """Close the connections; the next request would open new ones."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def redact(self, text: str) -> str:
        """The text without the token, should anybody have put it there."""
        token = self._token()
        return text.replace(token, "[token]") if token else text

    def _connections(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "OpenLoop",
            "X-GitHub-Api-Version": API_VERSION,
        }


async def _read(response: aiohttp.ClientResponse) -> Answered | Lost:
    """The whole answer, unless it is too large; what counts is its size when unpacked."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            return Lost(how="too_large", reason=f"more than {MAX_ANSWER_BYTES} bytes")
    headers = {name.lower(): text for name, text in response.headers.items()}
    return Answered(status=response.status, headers=headers, body=bytes(body))
