"""`openloop up` as a process, and everything that runs for its home."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from openloop.testing import processes

if TYPE_CHECKING:
    from openloop.testing.processes import Process

READY = "ready; Ctrl-C stops"
SECONDS = 60.0
END_SECONDS = 10.0
"""Everything was gone within 5 s on a third of one core, however `up` ended."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Up:
    """One `openloop up`; leaving it leaves nothing behind."""

    home: Path
    arguments: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict[str, str])
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        base = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "openloop", "up", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.home,
            env={
                **base,
                "OPENLOOP_HOME": str(self.home),
                "OPENLOOP_PORT": str(self.port),
                **self.environ,
            },
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        try:
            wait_for(lambda: not self.pids(), seconds=END_SECONDS)
        finally:
            for pid in self.pids():
                with suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(pid, signal.SIGKILL)
            self._reader.join(timeout=10)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def until(self, words: str) -> None:
        """Wait until it has said this, or ended."""
        wait_for(lambda: words in self.said or self.process.poll() is not None, seconds=SECONDS)
        assert words in self.said, self.said

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        status = self.process.wait(timeout=SECONDS)
        self._reader.join(timeout=10)
        return status

    def pids(self) -> set[int]:
        """Everything that runs for this home, without `up` itself."""
        return {p.pid for p in processes.of_home(self.home).values()} - {self.process.pid}

    def role(self, name: str) -> Process | None:
        found = processes.by_role(processes.of_home(self.home).values())[name]
        return found[0] if found else None

    def pid(self, role: str) -> int:
        found = self.role(role)
        assert found is not None, f"no {role} runs: {self.said}"
        return found.pid


def wait_for(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def environ_of(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)
