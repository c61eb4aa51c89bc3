"""A server like the product's that does nothing: what the rig measures of it is the rig's own.

`python -m bench.nothing` prints its address in JSON and serves until it is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Read the request and say 200."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _serve() -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            port=0,
            http="httptools",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=75,
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{port}/"}) + "\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    uvloop.run(_serve())
