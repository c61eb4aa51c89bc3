"""What `openloop up` does: a database, three children, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import openloop
from openloop import settings as reading
from openloop.cli.failures import Exit, LocalFailure
from openloop.cli.output import say
from openloop.cli.processes import probe
from openloop.cli.processes.environment import for_gateway, for_serve_and_worker, has_provider
from openloop.cli.processes.ports import open_port
from openloop.cli.processes.supervisor import Child, Supervised
from openloop.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from openloop.settings import Settings

# Acknowledging a platform in time matters more than finishing a run a little sooner.
NICE: Final = 5
_LOOK_SECONDS: Final = 0.05
_MODELS_LOOK_SECONDS: Final = 0.2
_DATABASE_LOOK_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 10.0


def run(*, folder: Path | None, warm: str) -> int:
    """Run until SIGTERM, SIGINT or SIGHUP."""
    began = time.monotonic()
    settings = reading.load()
    listener = open_port(settings.host, settings.port)
    with asyncio.Runner() as runner:
        return runner.run(_Up(settings, listener, folder=folder, warm=warm, began=began).run())


class _Up:
    """One start of everything."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        folder: Path | None,
        warm: str,
        began: float,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._folder = folder
        self._warm = warm
        self._began = began
        self._stopping = asyncio.Event()
        self._children: dict[str, Supervised] = {}
        # Its writing end is open as long as this process lives, and in no other process.
        self._parent_fd, self._alive_fd = os.pipe()
        # Loading litellm takes seconds of CPU: its writing end is open until there is time for it.
        self._warm_fd, self._busy_fd = os.pipe()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._stop)  # nohup wants it to live on
        self._tell(f"OpenLoop {openloop.__version__} in {self._settings.home}")
        working = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        working.cancel()
        await asyncio.wait({working})
        if not working.cancelled() and (error := working.exception()) is not None:
            raise error
        self._tell("stopped")
        return Exit.OK

    def _stop(self) -> None:
        if self._stopping.is_set():
            for each in self._children.values():
                each.kill()
            os._exit(Exit.INTERRUPTED)  # Postgres ends too: its watchdog sees that we are gone
        self._stopping.set()
        self._tell("stopping in order; a second Ctrl-C ends everything at once")

    def _tell(self, text: str) -> None:
        say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    async def _work(self) -> None:
        if self._settings.gateway_url is None:
            # It needs no database, and has the longest way to go.
            self._keep(self._gateway())
        try:
            async with _database(self._settings, self._tell) as dsn:
                environ = self._environ(dsn)
                self._keep(self._serve(environ))
                self._keep(self._worker(environ))
                announcing = asyncio.create_task(self._announce())
                try:
                    await self._until_one_ends()
                finally:
                    announcing.cancel()
                    self._listener.close()  # serve holds it too, and stops accepting now
                    await asyncio.gather(*(self._end(each) for each in ("serve", "worker")))
                    await self._end("gateway")
        finally:
            await self._end("gateway")

    async def _until_one_ends(self) -> None:
        keeping = [each.keeping for each in self._children.values()]
        done, _ = await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    async def _end(self, name: str) -> None:
        if name in self._children:
            await self._children[name].stop()

    # Children

    def _keep(self, child: Child) -> None:
        self._children[child.name] = Supervised(child, parent_fd=self._parent_fd, say=self._tell)

    def _environ(self, dsn: str) -> dict[str, str]:
        everything = {**self._settings.given, "OPENLOOP_HOME": str(self._settings.home)}
        return {**for_serve_and_worker(everything), "DATABASE_URL": dsn}

    def _gateway(self) -> Child:
        everything = {**self._settings.given, "OPENLOOP_HOME": str(self._settings.home)}
        return Child(
            name="gateway",
            environ=for_gateway(everything),
            command=_openloop(
                *("gateway", "--warm", self._warm, "--warm-fd", str(self._warm_fd)),
                *("--nice", str(NICE)),
            ),
            fds=(self._warm_fd,),
            says_ready=False,
            drain_seconds=12,
        )

    def _serve(self, environ: dict[str, str]) -> Child:
        listen_fd = self._listener.fileno()
        return Child(
            name="serve",
            environ=environ,
            command=_openloop("serve", "--listen-fd", str(listen_fd)),
            # Applied once: a serve that is started again must not undo what was applied since.
            once=("--apply", str(self._folder)) if self._folder is not None else (),
            fds=(listen_fd,),
            drain_seconds=10,
        )

    def _worker(self, environ: dict[str, str]) -> Child:
        return Child(
            name="worker",
            environ=environ,
            command=_openloop("worker", "--nice", str(NICE)),
            drain_seconds=35,
        )

    # Progress

    async def _announce(self) -> None:
        """Say when each part is ready."""
        await asyncio.gather(
            self._announce_ready("serve", f"serve ready at {self._settings.url}"),
            self._announce_ready("worker", "worker ready"),
        )
        await self._announce_everything()
        os.close(self._busy_fd)
        await self._announce_models()

    async def _announce_ready(self, name: str, text: str) -> None:
        await self._children[name].ready.wait()
        self._tell(text)

    async def _announce_everything(self) -> None:
        began = time.monotonic()
        has_complained = False
        address = (urlsplit(self._settings.url).hostname or "", self._settings.port)
        while True:
            answered = await probe.ask(address, "/readyz")
            if answered is not None and answered[0] == 200:
                break
            if not has_complained and time.monotonic() - began > _PATIENCE_SECONDS:
                has_complained = True
                self._tell(f"not ready yet: {answered[1] if answered else 'no answer'}")
            await asyncio.sleep(_LOOK_SECONDS)
        self._tell("ready; Ctrl-C stops")

    async def _announce_models(self) -> None:
        if self._settings.gateway_url is not None:
            self._tell(f"models are called through {self._settings.gateway_url}")
            return
        if not has_provider(self._settings.given):
            self._tell("models: no provider has a key, so only scripted ones answer")
        if self._warm == "no" or (self._warm == "auto" and not has_provider(self._settings.given)):
            return
        self._tell("models warming")
        while (state := await self._litellm()) not in ("loaded", "failed"):  # noqa: ASYNC110  # asks a process
            await asyncio.sleep(_MODELS_LOOK_SECONDS)
        self._tell("models ready" if state == "loaded" else "models could not be loaded")

    async def _litellm(self) -> object:
        """How far the gateway is with what calls real models."""
        socket, token = self._settings.gateway_socket, self._settings.gateway_token
        answered = await probe.ask(socket, "/healthz", token=token)
        return None if answered is None else answered[1].get("litellm")


def _openloop(*arguments: str) -> tuple[str, ...]:
    # -P: what lies in the current folder is not what is imported.
    return (sys.executable, "-P", "-m", "openloop", *arguments)


@asynccontextmanager
async def _database(settings: Settings, tell: Callable[[str], None]) -> AsyncGenerator[str]:
    """Postgres, up to date: `DATABASE_URL`, or the embedded one for as long as this lasts."""
    if settings.database_url is not None:
        await _bring_up_to_date(settings.database_url)
        tell("database ready")
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(settings.home)
    starting = asyncio.get_running_loop().run_in_executor(None, embedded.start)
    try:
        try:
            dsn = (await starting).dsn
        except EmbeddedPostgresError as error:
            raise LocalFailure(str(error), code="postgres") from error
        await _bring_up_to_date(dsn)
        tell("database ready")
        keeper = asyncio.create_task(_keep_up(embedded, tell))
        try:
            yield dsn
        finally:
            keeper.cancel()
    finally:
        await asyncio.to_thread(embedded.leave)


async def _bring_up_to_date(dsn: str) -> None:
    from openloop.cli.processes.boot import migrated  # noqa: PLC0415  # psycopg is slow to import

    await migrated(dsn)


async def _keep_up(embedded: EmbeddedPostgres, tell: Callable[[str], None]) -> None:
    """Start the embedded server again when it died; the children's connections come back."""
    while True:
        await asyncio.sleep(_DATABASE_LOOK_SECONDS)
        if await asyncio.to_thread(embedded.is_up):
            continue
        tell("the database is gone, starting it again")
        try:
            await asyncio.to_thread(embedded.start)
        except EmbeddedPostgresError as error:
            tell(f"the database does not start: {error}")
        else:
            tell("database ready again")
