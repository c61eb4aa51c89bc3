"""Where the fake GitHub keeps logs: another server, to which it points with a signed address."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One request that arrived here."""

    path: str
    headers: Mapping[str, str]
    status: int


class LogHost:
    """A storage as GitHub uses one: who has the address gets the bytes, and who brings a token
    beside it is refused.

    A test sets `answer` to have something else come back.
    """

    def __init__(self) -> None:
        self.downloads: list[Download] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self._kept: dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def host(self) -> str:
        """Host and port, as GITHUB_LOG_HOSTS takes them."""
        return f"127.0.0.1:{self._port}"

    def keep(self, content: bytes) -> str:
        """Keep some bytes; the address at which they are."""
        path = f"/logs/{next(self._numbers)}"
        self._kept[path] = content
        return f"http://{self.host}{path}?sig=rig%2Bsigned%3D"

    async def start(self) -> None:
        """Listen; after a `stop` on the same port as before."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.answer is not None:
            answered = await self.answer(request)
        else:
            answered = self._answer(request)
        headers = {name.lower(): text for name, text in request.headers.items()}
        self.downloads.append(Download(path=request.path, headers=headers, status=answered.status))
        return answered

    def _answer(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidAuthenticationInfo</Code>")
        content = self._kept.get(request.path)
        if content is None or request.query.get("sig") != "rig+signed=":
            return web.Response(status=404)
        return web.Response(body=content, content_type="text/plain")
