"""The rig's one HTTP port: Web API, sockets, response URLs and, where asked for, the control."""

from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

_Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Server:
    """Routes by the first part of the path.

    It sits below aiohttp's application layer: no router, no middlewares, because a bench counts
    the rig's time against the machine the product runs on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._routes: dict[str, _Respond] = {}
        self._runner: web.ServerRunner | None = None

    def route(self, first_part: str, respond: _Respond) -> None:
        self._routes[first_part] = respond

    async def start(self) -> None:
        """Listen on loopback; port 0 becomes a free one."""
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = cast("tuple[str, int]", runner.addresses[0])[1]
        self._runner = runner

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        respond = self._routes.get(request.path.split("/", 2)[1])
        if respond is None:
            return web.Response(status=404)
        return await respond(request)
