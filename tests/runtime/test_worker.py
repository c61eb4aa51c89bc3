"""A worker does everything that a worker does, for as long as it lives."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from openloop.actions import supervised
from openloop.domain.errors import Unavailable
from openloop.runtime import sweep, worker
from openloop.runtime.sweep import Sweep
from openloop.runtime.worker import Worker
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.make import Stage


@asynccontextmanager
async def working(stage: Stage) -> AsyncGenerator[Worker]:
    """A worker at work, which drains at the end."""
    one = Worker(stage.kit())
    task = asyncio.create_task(one.run())
    try:
        yield one
        assert not task.done()
    finally:
        one.stop()
        async with asyncio.timeout(20):
            await task


@pytest.mark.parametrize(
    "fault", [ZeroDivisionError(), asyncio.CancelledError(), Unavailable("away")], ids=repr
)
async def test_nothing_ends_the_sweep_or_the_leases_for_good(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
) -> None:
    monkeypatch.setattr(supervised, "RESTART_SECONDS", 0.01)
    monkeypatch.setattr(sweep, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(worker, "RENEW_SECONDS", 0.01)
    done: list[str] = []

    def fail_twice(name: str) -> Any:
        async def work(*_: object, **__: object) -> None:
            done.append(name)
            if done.count(name) < 3:
                raise fault

        return work

    monkeypatch.setattr(Sweep, "once", fail_twice("sweep"))
    monkeypatch.setattr(Worker, "_renew", fail_twice("leases"))
    with capture_logs() as lines:
        async with working(stage):
            await until(lambda: min(done.count("sweep"), done.count("leases")) > 3)

    if not isinstance(fault, asyncio.CancelledError):
        told = {(line["event"], line["loop"]) for line in lines if "loop" in line}
        event = "put off" if isinstance(fault, Unavailable) else "begun again"
        assert {(event, "sweep"), (event, "leases")} <= told
