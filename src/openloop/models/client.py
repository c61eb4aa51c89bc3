"""Calling the model gateway."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import aiohttp
import orjson

from openloop.domain.redaction import Redactor
from openloop.models.errors import ModelFailure, ModelRefused, ModelUnavailable, from_wire
from openloop.models.wire import read_reply, write_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.model import ModelReply, ModelRequest

# What the gateway may take beside the provider: waiting for litellm and for a slot.
_GATEWAY_SECONDS: Final = 10.0
_QUESTION_SECONDS: Final = 5.0
_CONNECTIONS: Final = 512
_IDLE_SECONDS: Final = 60.0  # shorter than the gateway's, so that it never closes first
_LARGE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayHealth:
    """Whether real models can be called; scripted ones always can."""

    status: Literal["ready", "warming"]
    litellm: Literal["not needed", "warming", "loaded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """Whether the gateway's environment holds what a provider needs. `keys` are names only."""

    name: str
    ready: bool
    keys: tuple[str, ...]


class GatewayClient:
    """One connection pool to one gateway, at a unix socket or an `http://` address."""

    def __init__(
        self, address: Path | str, token: str | None = None, redactor: Redactor | None = None
    ) -> None:
        self._redactor = redactor or Redactor()
        self._socket = str(address) if isinstance(address, Path) else None
        self._root = "http://gateway" if isinstance(address, Path) else address.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._chat = f"{self._root}/v1/chat/completions"
        self._http: aiohttp.ClientSession | None = None

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Call a model once. Raises a ModelFailure, whose `sent` says whether it may cost.

        What is known to be secret reaches neither the model nor whoever reads its reply.
        """
        status, answer = await self._send(
            "POST",
            self._chat,
            seconds=request.timeout_seconds + _GATEWAY_SECONDS,
            body=self._redactor.json(write_request(request)),
            headers={"Idempotency-Key": request.idempotency_key},
        )
        if status != 200:
            raise _failure(status, answer)
        return self._clean(read_reply(answer))

    def _clean(self, reply: ModelReply) -> ModelReply:
        calls = tuple(
            replace(call, arguments=self._redactor.text(call.arguments))
            for call in reply.tool_calls
        )
        return replace(reply, text=self._redactor.text(reply.text), tool_calls=calls)

    async def health(self) -> GatewayHealth:
        """How far the gateway is. Raises ModelUnavailable where there is none."""
        found = await self._ask("/healthz")
        return GatewayHealth(status=found["status"], litellm=found["litellm"])

    async def providers(self) -> Mapping[str, ProviderState]:
        """Every provider that the gateway knows, and whether it has a key for it."""
        return {
            each["name"]: ProviderState(
                name=each["name"], ready=each["ready"], keys=tuple(each["keys"])
            )
            for each in (await self._ask("/v1/providers"))["providers"]
        }

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _ask(self, path: str) -> Any:
        status, answer = await self._send("GET", self._root + path, seconds=_QUESTION_SECONDS)
        if status != 200:
            raise _failure(status, answer)
        return orjson.loads(answer)

    async def _send(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        http = self._http or self._open()
        # aiohttp warns of large bytes, which it writes in one go, and takes a file in pieces.
        content = io.BytesIO(body) if body is not None and len(body) >= _LARGE else body
        try:
            async with asyncio.timeout(seconds):
                async with http.request(
                    method, url, data=content, headers=headers, allow_redirects=False
                ) as response:
                    return response.status, await response.read()
        except aiohttp.ClientConnectorError:
            message = "The model gateway cannot be reached"
            raise ModelUnavailable(message, sent=False) from None
        except aiohttp.ClientError:
            message = "The connection to the model gateway was lost"
            raise ModelUnavailable(message, sent=True) from None
        except TimeoutError:
            message = "The model gateway did not answer in time"
            raise ModelUnavailable(message, sent=True) from None

    def _open(self) -> aiohttp.ClientSession:
        connector = (
            aiohttp.UnixConnector(self._socket, limit=_CONNECTIONS, keepalive_timeout=_IDLE_SECONDS)
            if self._socket
            else aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_IDLE_SECONDS)
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # bounded per call
            auto_decompress=False,
            trust_env=False,
        )
        return self._http


def _failure(status: int, answer: bytes) -> ModelFailure:
    if status == 401:
        message = "The model gateway does not take our token"
        return ModelRefused(message, reason="key")
    try:
        error = orjson.loads(answer)["error"]
    except (ValueError, KeyError, TypeError):
        error = None
    return from_wire(cast("Mapping[str, object]", error) if isinstance(error, dict) else {})
