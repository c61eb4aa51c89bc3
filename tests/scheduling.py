"""Which tests follow each other on one worker of xdist, and which may run side by side.

xdist's own groups do not arrive with pytest 9.2 (pytest-dev/pytest-xdist#1386): every test is sent
to the next free worker, whatever its group. So this goes by what stands in the test's file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

ROOT = Path(__file__).parents[1]
STACK = "stack"


class FewStarts(LoadScopeScheduling):
    """Sends tests to workers in the groups of `group_of`."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The group of a test; most are alone in theirs."""
    path = nodeid.partition("::")[0]
    if _says(path, "mark.stack"):
        return STACK  # two whole products at once would fill two cores
    return path if _says(path, 'scope="module"') else nodeid


@cache
def _says(path: str, words: str) -> bool:
    return words in (ROOT / path).read_text()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Asked by xdist; None leaves it to its own."""
    return FewStarts(config, log) if config.getoption("dist") == "loadgroup" else None
