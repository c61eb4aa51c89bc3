"""Names of what is built in: nobody else has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openloop.domain.errors import Misconfigured
from openloop.runtime.builtin.memory import memory_toolset
from openloop.tools.registry import Registry
from tests.runtime.test_gate import TRACKER, issue, judge, refused


def test_nothing_takes_the_name_of_what_is_built_in() -> None:
    """What is built in passes without a grant; a service of that name would, too."""
    [tool, *_] = TRACKER.tools
    posing = replace(TRACKER, name="memory", tools=(tool,))
    with pytest.raises(Misconfigured, match="Two toolsets are called 'memory'"):
        Registry((posing, memory_toolset()))
    [judged] = judge(("memory__create_issue", issue()[1]), registry=Registry((posing,)))
    assert refused(judged).rule == "spec.tools: not granted"
