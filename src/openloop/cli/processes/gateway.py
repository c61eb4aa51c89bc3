"""The gateway process."""

from __future__ import annotations

import os

from openloop.cli.processes import logs
from openloop.cli.processes.environment import has_provider, load_settings
from openloop.cli.processes.parent import follow
from openloop.domain.errors import Misconfigured
from openloop.models.gateway import GatewayConfig, run_gateway


def run(*, tcp: str | None, warm: str, parent_fd: int | None, nice: int) -> int:
    """Serve models until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=True)
    os.nice(nice)
    if parent_fd is not None:
        follow(parent_fd)
    logs.set_up(settings.log_level)
    return run_gateway(
        GatewayConfig(
            environ=settings.environ,
            socket_path=None if tcp else settings.gateway_socket,
            tcp=_address(tcp) if tcp else None,
            token=settings.gateway_token,
            scripts=settings.scripts,
            warm=warm == "yes" or (warm == "auto" and has_provider(settings.environ)),
        )
    )


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        message = f"--tcp takes HOST:PORT, not {text!r}"
        raise Misconfigured(message, problems=(message,))
    return host.strip("[]") or "127.0.0.1", int(port)
