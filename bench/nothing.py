"""A server like the product's that does nothing: what the rig measures of it is the rig's own.

`python -m bench.nothing` prints its address in JSON and serves until it is told to stop.
"""

from __future__ import annotations

import json
import socket
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
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            application, http="httptools", lifespan="off", log_config=None, timeout_keep_alive=75
        )
    )
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()
    listener.listen(2048)  # whoever is faster than the server waits
    await server.serve([listener])


if __name__ == "__main__":
    uvloop.run(_serve())
