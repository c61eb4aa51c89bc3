"""A runtime without a network, for rows that only a whole run writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import make

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage


@pytest.fixture
async def stage(database: Database) -> Stage:
    """A workspace with one agent in #DEV."""
    return await make.stage(database)
