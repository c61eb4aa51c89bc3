"""Child processes that are started again when they die, and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openloop.cli.failures import Exit, LocalFailure

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping, Sequence

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 10.0
MOST_DEATHS: Final = 5
WITHIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep running.

    `once` are arguments that count until it was ready once; `fds` are inherited; `says_ready` tells
    that it takes `--ready-fd`; `drain_seconds` is how long it may take to end.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    once: Sequence[str] = ()
    fds: Sequence[int] = ()
    says_ready: bool = True
    drain_seconds: float = 10.0


class Supervised:
    """One child. `parent_fd` is the reading end of a pipe that only this process holds open."""

    def __init__(self, child: Child, *, parent_fd: int, say: Callable[[str], None]) -> None:
        self.child = child
        self.ready = asyncio.Event()
        self._parent_fd = parent_fd
        self._say = say
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._has_died = False
        self.keeping = asyncio.create_task(self._keep(), name=child.name)

    async def stop(self) -> None:
        """Ask the child to end, and end it where it does not in time."""
        self._stopping.set()
        self._send(signal.SIGTERM)
        ended, _ = await asyncio.wait({self.keeping}, timeout=self.child.drain_seconds)
        if not ended:
            self._say(f"{self.child.name} did not end within {self.child.drain_seconds:g} s")
            self.kill()
            await asyncio.wait({self.keeping})

    def kill(self) -> None:
        """End the child at once, for good."""
        self._stopping.set()
        self._send(signal.SIGKILL)

    async def _keep(self) -> None:
        """Run the child until it is stopped; raises LocalFailure where that is no use."""
        deaths: list[float] = []
        wait = FIRST_WAIT_SECONDS
        once = self.child.once
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._live(once)
            if self.ready.is_set():
                once = ()
            self.ready.clear()
            if self._stopping.is_set():
                return
            self._has_died = True
            now = time.monotonic()
            deaths = [*(each for each in deaths if now - each < WITHIN_SECONDS), now]
            self._refuse_to_go_on(status, len(deaths))
            wait = FIRST_WAIT_SECONDS if now - began > WITHIN_SECONDS else wait
            self._say(f"{self.child.name} ended ({_described(status)}), starts again in {wait:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    async def _live(self, once: Sequence[str]) -> int:
        """One life of the child; its exit status."""
        reading, writing = os.pipe()
        options = ["--parent-fd", str(self._parent_fd)]
        if self.child.says_ready:
            options += ["--ready-fd", str(writing)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.child.command,
                *once,
                *options,
                stdin=asyncio.subprocess.DEVNULL,
                env=dict(self.child.environ),
                pass_fds=(self._parent_fd, writing, *self.child.fds),
                # A Ctrl-C in the terminal is ours to pass on, in order.
                start_new_session=True,
            )
        finally:
            os.close(writing)
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, self._hear, reading)
        try:
            if self._stopping.is_set():  # while the process was being made
                self._send(signal.SIGTERM)
            return await self._process.wait()
        finally:
            loop.remove_reader(reading)
            os.close(reading)

    def _hear(self, reading: int) -> None:
        if os.read(reading, 64):
            if self._has_died:
                self._say(f"{self.child.name} ready again")
            self.ready.set()
        else:
            asyncio.get_running_loop().remove_reader(reading)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _refuse_to_go_on(self, status: int, deaths: int) -> None:
        name = self.child.name
        if status == Exit.INVALID:
            message = f"{name} refuses to start; the lines above say why"
            raise LocalFailure(message, code="child_refused", exit=Exit.INVALID)
        if deaths >= MOST_DEATHS:
            message = (
                f"{name} died {deaths} times within {WITHIN_SECONDS:g} s, the last time with "
                f"{_described(status)}; the lines above say why"
            )
            raise LocalFailure(message, code="child_died")


def _described(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
