"""A runtime without a network, and the audit it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.audit.record import Record
from tests.staging import clock as clock
from tests.staging import stage as stage

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from tests.make import Stage


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def record(stage: Stage, superuser: str) -> Record:
    """A run with an approved effect, sealed and vouched for."""
    made = Record(stage, superuser)
    await made.held("root-1")
    return made
