"""The listening socket."""

from __future__ import annotations

import errno
import socket
from typing import Final

from openloop.cli.failures import LocalFailure

BACKLOG: Final = 2048


def open_port(host: str, port: int) -> socket.socket:
    """A listening socket. Raises LocalFailure where the port cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LocalFailure(_why_no_port(error, host, port), code="port") from error
    listener.setblocking(False)  # noqa: FBT003  # the standard library's signature
    return listener


def _why_no_port(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use, perhaps by an OpenLoop that runs already: stop it, "
            "or set OPENLOOP_PORT to another"
        )
    return f"Port {port} of {host} cannot be used: {error.strerror}"
