"""The API behind a real server, over a real connection."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.api.conftest import Api


@asynccontextmanager
async def served(api: Api) -> AsyncGenerator[httpx.AsyncClient]:
    """The API behind a real server; in process a stream would be read at its end only."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(api.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    port = listener.getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            yield http
    finally:
        server.should_exit = True
        await serving
