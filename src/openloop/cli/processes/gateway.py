"""The gateway process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import uvloop

from openloop.cli.failures import Exit
from openloop.cli.processes import logs
from openloop.cli.processes.environment import has_provider, load_settings
from openloop.cli.processes.signals import on_stop
from openloop.domain.errors import Misconfigured
from openloop.models.gateway import GatewayConfig, open_gateway

if TYPE_CHECKING:
    from openloop.models.remote import RemoteModels
    from openloop.settings import Settings


def run(
    *, tcp: str | None, warm: str, warm_fd: int | None, parent_fd: int | None, nice: int
) -> int:
    """Serve models until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=True)
    os.nice(nice)
    logs.set_up(settings.log_level, settings.redactor)
    if settings.stored_references:
        settings = _with_stored_secrets(settings)
    warms = warm == "yes" or (warm == "auto" and has_provider(settings.environ))
    config = GatewayConfig(
        environ=settings.environ,
        socket_path=None if tcp else settings.gateway_socket,
        tcp=_address(tcp) if tcp else None,
        token=settings.gateway_token,
        scripts=settings.scripts,
        warm=warms and warm_fd is None,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, warm_fd=warm_fd if warms else None))


def _with_stored_secrets(settings: Settings) -> Settings:
    """The settings with provider keys from the store; the database's address is forgotten then."""
    # Memory that this process else never needs.
    from openloop import app  # noqa: PLC0415
    from openloop.cli.processes.boot import explained  # noqa: PLC0415

    with explained():
        found = asyncio.run(app.with_stored_secrets(settings))
    os.environ.pop("DATABASE_URL", None)
    return found


async def _serve(config: GatewayConfig, *, warm_fd: int | None) -> int:
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with open_gateway(config) as remote:
        remote.on_failure = stopping.set
        if warm_fd is not None:
            asyncio.get_running_loop().add_reader(warm_fd, _warm, remote, warm_fd)
        await stopping.wait()
    return Exit.FAILURE if remote.loading == "failed" else Exit.OK


def _warm(remote: RemoteModels, warm_fd: int) -> None:
    """The pipe was closed: from now on there is time for it."""
    asyncio.get_running_loop().remove_reader(warm_fd)
    remote.warm()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        message = f"--tcp takes HOST:PORT, not {text!r}"
        raise Misconfigured(message, problems=(message,))
    return host.strip("[]") or "127.0.0.1", int(port)
