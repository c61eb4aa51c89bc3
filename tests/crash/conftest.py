"""The whole product between rigs, and a way to look into its database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.testing.homes import temporary_home
from openloop.testing.story.stage import open_stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from openloop.testing.story.stage import Stage

HERE = Path(__file__).parent
MANIFESTS = HERE.parents[1] / "examples" / "demo"
SCRIPTS = HERE / "scripts"
# Slack's retries after a minute and after five come after 1.2 s and 6 s.
TIME_SCALE = 0.02


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for an installation; pytest's own lets nobody else pass through."""
    with temporary_home("ol-") as home:
        yield home


@pytest.fixture
async def stage(home: Path) -> AsyncIterator[Stage]:
    async with open_stage(
        home=home / "home", manifests=MANIFESTS, scripts=SCRIPTS, time_scale=TIME_SCALE
    ) as stage:
        yield stage
