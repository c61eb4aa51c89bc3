"""Where the gateway listens: a socket that only this user reaches, or TCP with a token."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from openloop.domain.errors import Misconfigured
from openloop.models.remote import RemoteModels
from openloop.models.routes import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

_LONGEST_SOCKET_PATH: Final = 107 if os.uname().sysname == "Linux" else 103
_LOOK_SECONDS: Final = 0.05
_IDLE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """How a gateway is started.

    `tcp` needs a `token`; a token, where there is one, is asked for on the socket too. `warm`
    loads litellm at the start; without it, the first call of a real model does.
    """

    environ: Mapping[str, str] = field(repr=False)
    socket_path: Path | None = None
    tcp: tuple[str, int] | None = None
    token: str | None = field(default=None, repr=False)
    scripts: Path | None = None
    warm: bool = False
    concurrency: int = 64
    waiting: int = 256
    warm_wait_seconds: float = 5
    drain_seconds: float = 10
    succession_seconds: float = 6


@asynccontextmanager
async def open_gateway(config: GatewayConfig) -> AsyncGenerator[RemoteModels]:
    """A gateway that serves inside the block; at its end, open calls may finish.

    Raises Misconfigured where it cannot be started as it is told to.
    """
    _check(config)
    remote = RemoteModels(
        config.environ,
        concurrency=config.concurrency,
        waiting=config.waiting,
        warm_wait_seconds=config.warm_wait_seconds,
    )
    gateway = Gateway(
        remote=remote, scripts=config.scripts, environ=config.environ, token=config.token
    )
    # A caller that goes away takes its provider call with it: nobody would read the answer.
    runner = web.AppRunner(
        gateway.application(),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=config.drain_seconds,
        keepalive_timeout=_IDLE_SECONDS,
    )
    await runner.setup()
    lock: int | None = None
    bound: Path | None = None
    try:
        if config.socket_path is not None:
            lock = await _lock_of(config.socket_path, seconds=config.succession_seconds)
            listener = _unix_socket(config.socket_path)
            bound = config.socket_path
            await web.SockSite(runner, listener).start()
        if config.tcp is not None:
            host, port = config.tcp
            await web.TCPSite(runner, host, port).start()
        if config.warm:
            remote.warm()
        yield remote
    finally:
        await runner.cleanup()
        if bound is not None:  # else what is there is not ours
            bound.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _check(config: GatewayConfig) -> None:
    problems: list[str] = []
    if config.socket_path is None and config.tcp is None:
        problems.append("The model gateway needs a socket path or a TCP address")
    if config.tcp is not None and not config.token:
        problems.append("The model gateway needs a token to be reached over TCP")
    path = config.socket_path
    if path is not None and len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        problems.append(f"A socket path has at most {_LONGEST_SOCKET_PATH} bytes: {str(path)!r}")
    if config.scripts is not None and not config.scripts.is_dir():
        problems.append(f"The scripts folder {str(config.scripts)!r} is not a folder")
    if problems:
        raise Misconfigured("; ".join(problems), problems=problems)


async def _lock_of(path: Path, *, seconds: float) -> int:
    """The kernel's word that no other gateway uses this socket; a dead one's lock is free at once.

    One that is stopping is waited for: it would otherwise remove its successor's socket.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                os.close(lock)
                message = f"Another model gateway serves {str(path)!r}"
                raise Misconfigured(message) from None
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return lock


def _unix_socket(path: Path) -> socket.socket:
    """A listening socket that only this user reaches; what a dead gateway left is replaced."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            message = f"There is something at {str(path)!r} that is not a socket"
            raise Misconfigured(message)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener
