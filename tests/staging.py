"""Fixtures of a runtime without a network, for folders whose conftest names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from openloop.runtime import calling
from tests import make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.storage.database import Database
    from tests.make import Clock, Stage


@pytest.fixture(autouse=True)
def look_ups_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two look-ups of a lost answer no time has to pass in tests."""
    monkeypatch.setattr(calling, "LOOK_UP_PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Rendering a traceback with all its values takes seconds."""
    with capture_logs():
        yield


@pytest.fixture
async def stage(database: Database) -> Stage:
    """A workspace with one agent in #DEV."""
    return await make.stage(database)


@pytest.fixture
def clock(conninfo: str) -> Iterator[Clock]:
    """The database clock, which can be put forward."""
    clock = make.Clock(conninfo)
    yield clock
    clock.restore()
