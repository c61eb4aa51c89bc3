"""What the testing kit promises to those who test their own integrations with it."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path

import pytest

from openloop.storage import agents
from openloop.testing import processes
from openloop.testing.databases import temporary_database
from openloop.testing.homes import temporary_home
from openloop.testing.stack import LeftBehind, Stack, StackFailed


def databases() -> set[Path]:
    """The folders of temporary databases."""
    return {*Path(tempfile.gettempdir()).glob("openloop-db-*")}


async def test_a_temporary_database_is_empty_and_leaves_nothing() -> None:
    before = databases()
    async with temporary_database() as database, database.directory() as tx:
        (home,) = databases() - before
        assert await agents.list_workspaces(tx) == []
    assert databases() & {home} == set()
    assert processes.of_home(home) == {}


def test_a_temporary_home_is_gone_whatever_happens() -> None:
    seen: list[Path] = []

    def fails() -> None:
        with temporary_home() as home:
            seen.append(home)
            (home / "a file").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert not seen[0].exists()


@pytest.mark.skipif(not processes.is_supported(), reason="this system tells of no processes")
async def test_a_stack_kills_what_it_leaves_behind_and_says_so() -> None:
    with temporary_home() as home:
        stray = await asyncio.create_subprocess_exec(
            *("sleep", "60"), env={"PATH": "/usr/bin:/bin", "OPENLOOP_HOME": str(home)}
        )
        stack = Stack(home=home, manifests=home, gone_seconds=0.1)
        assert stack.pids()["other"] == [stray.pid]
        with pytest.raises(LeftBehind, match="sleep 60"):
            await stack.stop()
        assert await stray.wait() == -signal.SIGKILL
        assert processes.of_home(home) == {}


@pytest.mark.slow
async def test_a_product_that_cannot_start_says_why() -> None:
    with temporary_home() as home:
        manifests = home / "manifests"
        manifests.mkdir()
        stack = Stack(
            home=home / "home", manifests=manifests, environ={"OPENLOOP_LOG_LEVEL": "loud"}
        )
        with pytest.raises(StackFailed, match="OPENLOOP_LOG_LEVEL must be debug"):
            await stack.start()
        await stack.stop()
