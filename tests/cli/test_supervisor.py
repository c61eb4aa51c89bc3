"""Children are started again when they die, and not when that is no use."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from openloop.cli.failures import Exit, LocalFailure
from openloop.cli.processes import supervisor
from openloop.cli.processes.supervisor import Child, Supervised

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

READY = "import os, sys; os.write(int(sys.argv[sys.argv.index('--ready-fd') + 1]), b'ready')\n"
WAIT = "import signal; signal.pause()\n"
NOTE = "import os, sys; open(os.environ['NOTES'], 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT_SECONDS", 0.02)


@asynccontextmanager
async def supervised(
    script: str, *, notes: Path | None = None, drain_seconds: float = 10
) -> AsyncGenerator[tuple[Supervised, list[str]]]:
    """A child that runs a script, and what is said about it."""
    said: list[str] = []
    reading, writing = os.pipe()
    child = Child(
        name="child",
        command=(sys.executable, "-c", script),
        environ={**os.environ, "NOTES": str(notes)},
        once=("--apply", "folder"),
        drain_seconds=drain_seconds,
    )
    running = Supervised(child, parent_fd=reading, say=said.append)
    try:
        async with asyncio.timeout(60):
            yield running, said
    finally:
        running.kill()
        await asyncio.wait({running.keeping}, timeout=30)
        os.close(reading)
        os.close(writing)


async def test_a_child_is_ready_when_it_says_so() -> None:
    async with supervised(READY + WAIT) as (child, said):
        await child.ready.wait()
        await child.stop()

    assert child.keeping.result() is None
    assert said == []


async def test_what_is_for_the_first_start_is_not_repeated(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with supervised(READY + NOTE + "sys.exit(1)", notes=notes) as (child, said):
        with pytest.raises(LocalFailure):
            await child.keeping

    first, *others = notes.read_text().splitlines()
    assert first.startswith("--apply folder --parent-fd ")
    assert len(others) == 4
    assert not any("--apply" in line for line in others)
    assert said[:2] == ["child ended (exit status 1), starts again in 0.01 s", "child ready again"]


async def test_what_is_for_the_first_start_is_kept_until_it_got_ready(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    async with supervised(NOTE + "sys.exit(1)", notes=notes) as (child, _):
        with pytest.raises(LocalFailure):
            await child.keeping

    assert all("--apply" in line for line in notes.read_text().splitlines())


async def test_a_child_that_keeps_dying_is_given_up() -> None:
    async with supervised("import os; os.kill(os.getpid(), 9)") as (child, _):
        with pytest.raises(
            LocalFailure, match="died 5 times within 30 s, the last time with SIGKILL"
        ) as failed:
            await child.keeping

    assert failed.value.exit is Exit.FAILURE


async def test_a_child_that_refuses_its_settings_is_not_started_again() -> None:
    async with supervised("raise SystemExit(3)") as (child, said):
        with pytest.raises(LocalFailure, match="refuses to start") as failed:
            await child.keeping

    assert failed.value.exit is Exit.INVALID
    assert said == []


async def test_a_child_that_does_not_stop_is_ended() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    async with supervised(stubborn + READY + WAIT, drain_seconds=0.1) as (child, said):
        await child.ready.wait()
        await child.stop()

    assert said == ["child did not end within 0.1 s"]


async def test_a_child_that_waits_to_be_started_again_stops_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_SECONDS", 60)
    async with supervised("raise SystemExit(1)") as (child, said):
        while not said:  # noqa: ASYNC110  # what is said comes through a plain function
            await asyncio.sleep(0)
        await child.stop()

    assert child.keeping.result() is None


@pytest.mark.parametrize("heeds", [True, False])
def test_a_process_ends_with_its_parent(*, heeds: bool) -> None:
    ignoring = "" if heeds else "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    script = f"""
import signal, sys
from openloop.cli.processes.parent import follow
{ignoring}
follow(int(sys.argv[1]), grace_seconds=0.2)
print("up", flush=True)
while True:
    signal.pause()
"""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(reading)],
        pass_fds=[reading],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(reading)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"

    os.close(writing)

    process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGTERM if heeds else 1)


@pytest.mark.parametrize("role", ["serve", "worker", "gateway"])
def test_a_child_whose_parent_is_gone_ends_before_it_reads_its_settings(
    role: str, tmp_path: Path
) -> None:
    """It would import for seconds first where the machine is busy."""
    reading, writing = os.pipe()
    os.close(writing)

    ran = subprocess.run(
        [sys.executable, "-m", "openloop", role, "--parent-fd", str(reading)],
        pass_fds=[reading],
        env={"OPENLOOP_HOME": str(tmp_path), "OPENLOOP_CONCURRENCY": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(reading)

    assert (ran.returncode, ran.stderr) == (-signal.SIGTERM, "")
