"""The whole product as it is installed: `openloop up` and its children, in a home of their own.

For stories, crash tests and benches. Nothing is patched: it is reached over HTTP, watched through
`/proc`, and hurt with signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp

from openloop.domain.manifest import load
from openloop.domain.manifest_agent import AgentManifest
from openloop.testing import processes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from types import TracebackType

    from openloop.testing.processes import Process

T = TypeVar("T")

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
GONE_SECONDS = 15.0
_POLL_SECONDS = 0.02
_LOG_LINES = 40
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")


class StackFailed(Exception):
    """The product did not start, or ended by itself; the end of its log is in the message."""


class LeftBehind(Exception):
    """Processes of the product were still there after it had stopped; they were killed."""


class Stack:
    """`python -m openloop up -f manifests`, with a clean environment and a home of its own.

    `home` is made with mode 0711: as root, Postgres runs as another user and has to reach its
    folder in it. `environ` is all that is set beside the home, the port and the host; with
    `DATABASE_URL` in it no Postgres is started. Use it as an async context manager, or `start`
    and `stop` it, as often as wanted, on the same home and port.

    Leaving the context stops the product as an operator would (SIGTERM).

    Raises, on leaving:
        LeftBehind: where anything of it was still running then
    """

    def __init__(
        self,
        *,
        home: Path,
        manifests: Path,
        environ: Mapping[str, str] | None = None,
        port: int | None = None,
        ready_seconds: float = READY_SECONDS,
        gone_seconds: float = GONE_SECONDS,
    ) -> None:
        self.home = home.absolute()
        self.manifests = manifests.absolute()
        self.port = port or free_port()
        self.log = self.home / "up.log"
        self._environ = dict(environ or {})
        self._ready_seconds, self._gone_seconds = ready_seconds, gone_seconds
        self._up: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def events_url(self) -> str:
        """Where Slack delivers events and clicks."""
        return f"{self.url}/surfaces/slack/events"

    @property
    def token(self) -> str:
        """The owner's token, as the first start wrote it."""
        return (self.home / "cli-token").read_text().strip()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    # Starting and stopping ----------------------------------------------------------------------

    async def start(self) -> None:
        """Start the product and wait until `/readyz` says yes.

        Raises:
            StackFailed
        """
        self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.home.chmod(0o711)
        arguments = [sys.executable, "-m", "openloop", "up", "-f", str(self.manifests)]
        with self.log.open("ab") as log:
            self._up = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A `.env` in the folder it is started in would be read.
                cwd=self.home,
                env=self._environment(),
                start_new_session=True,
            )
        await self.wait_ready()
        await self._wait_applied()

    async def wait_ready(self) -> None:
        """Wait until `/readyz` answers 200.

        Raises:
            StackFailed
        """
        await self._wait_for(self.is_ready, "is ready")

    async def is_ready(self) -> bool:
        """What `/readyz` says now."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._client().get(f"{self.url}/readyz") as response:
                return response.status == 200
        return False

    async def _wait_applied(self) -> None:
        """The server is ready before the manifests are in force."""
        wanted = set(_agents_in(self.manifests))

        async def are_applied() -> bool:
            with contextlib.suppress(aiohttp.ClientError, ApiRefused, OSError):
                found = await self.get("/api/v1/agents")
                return wanted <= {agent["name"] for agent in found["items"]}
            return False

        await self._wait_for(are_applied, f"has the agents {sorted(wanted)}")

    async def _wait_for(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(self._ready_seconds):
                while not await condition():
                    if self._up is None or self._up.returncode is not None:
                        message = f"`openloop up` ended by itself:\n{self.tail()}"
                        raise StackFailed(message)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            message = f"It took over {self._ready_seconds:g} s until it {what}:\n{self.tail()}"
            raise StackFailed(message) from None

    async def stop(self) -> None:
        """Stop it as an operator would, and wait until all of it is gone.

        Raises:
            LeftBehind: with what was still running; it is killed
        """
        if self._http is not None:
            await self._http.close()
            self._http = None
        await self._stop_up()
        left = await self._wait_gone()
        if left:
            await self.kill_all()
            names = "; ".join(f"{p.pid} {' '.join(p.command)[:120]}" for p in left)
            message = f"Still running after `openloop up` had stopped: {names}\n{self.tail()}"
            raise LeftBehind(message)

    async def kill_all(self) -> None:
        """End everything at once, as a power cut would."""
        for process in processes.of_home(self.home).values():
            _send(process.pid, signal.SIGKILL)
        if self._up is not None:
            _send(self._up.pid, signal.SIGKILL)
            await self._up.wait()
        await self._wait_gone()

    async def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Signal the processes of a role; with SIGKILL, wait until they are gone. Answers the pids.

        Of Postgres the postmaster alone is signalled; it knows what to do with its children.
        """
        pids = self.pids()[role]
        if role == "postgres":
            pids = pids[:1]
        for pid in pids:
            _send(pid, number)
        if number is signal.SIGKILL:
            await self.until(lambda: not set(pids) & set(processes.of_home(self.home)))
        return pids

    async def _stop_up(self) -> None:
        if self._up is None:
            return
        if self._up.returncode is None:
            _send(self._up.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._up.wait()
        except TimeoutError:
            _send(self._up.pid, signal.SIGKILL)
            await self._up.wait()
        self._up = None

    async def _wait_gone(self) -> list[Process]:
        """What is still there after a while; empty where all of it has ended."""
        deadline = time.monotonic() + self._gone_seconds
        while left := list(processes.of_home(self.home).values()):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return left

    async def _end(self) -> None:
        """Stop for good; a second cancellation does not leave half of it behind."""
        ending = asyncio.ensure_future(self.stop())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    # Looking ------------------------------------------------------------------------------------

    def running(self) -> dict[str, list[Process]]:
        """Its processes by role: up, serve, worker, gateway, postgres, watchdog, other."""
        return processes.by_role(processes.of_home(self.home).values())

    def pids(self) -> dict[str, list[int]]:
        """Process ids by role; of Postgres the postmaster comes first."""
        found = {role: [p.pid for p in each] for role, each in self.running().items()}
        postmaster = self._postmaster()
        if postmaster in found["postgres"]:
            found["postgres"].remove(postmaster)
            found["postgres"].insert(0, postmaster)
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """CPU used so far by role, children that have ended included."""
        return {role: sum(p.cpu_seconds for p in each) for role, each in self.running().items()}

    def rss_bytes(self, role: str) -> int:
        """Resident memory of a role now; shared pages count in each process that maps them."""
        return sum(process.rss_bytes for process in self.running()[role])

    def tail(self, lines: int = _LOG_LINES) -> str:
        """The end of what the product wrote on its standard output and error."""
        if not self.log.exists():
            return "(nothing was written)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _postmaster(self) -> int | None:
        file = self.home / "postgres" / "pgdata" / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(file.read_text().splitlines()[0])
        return None

    # Asking -------------------------------------------------------------------------------------

    async def get(self, path: str, **query: str) -> Any:
        """What the API answers the owner; the path begins with a slash.

        Raises:
            ApiRefused: it is not a 200
        """
        return await self.call("GET", path, query=query)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Any:
        """Call the API, as the owner where no other token is given.

        Raises:
            ApiRefused
        """
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with self._client().request(
            method, self.url + path, params=query, json=body, headers=headers
        ) as response:
            if response.ok:
                return await response.json() if response.content_length != 0 else None
            raise ApiRefused(response.status, await response.text())

    async def until(self, predicate: Callable[[], T], *, timeout_seconds: float = 30) -> T:
        """Wait for something that only asking again can tell; answers its value.

        Raises:
            TimeoutError
        """
        async with asyncio.timeout(timeout_seconds):
            while not (found := predicate()):  # noqa: ASYNC110  # the kernel wakes nobody
                await asyncio.sleep(_POLL_SECONDS)
        return found

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            # A new connection each time: the server behind the port is killed and started again.
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=10),
                trust_env=False,
            )
        return self._http

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {
            "HOME": str(self.home),
            "OPENLOOP_HOME": str(self.home),
            "OPENLOOP_HOST": "127.0.0.1",
            "OPENLOOP_PORT": str(self.port),
        }
        return kept | own | self._environ


class ApiRefused(Exception):
    """The API answered, but not with success."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:500]}")
        self.status, self.body = status, body


def _agents_in(manifests: Path) -> Iterator[str]:
    paths = [manifests] if manifests.is_file() else sorted(manifests.glob("*.yaml"))
    for path in paths:
        manifest = load(path.read_bytes(), name=path.name).manifest
        if isinstance(manifest, AgentManifest):
            yield manifest.metadata.name


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
