"""The product broken on purpose: a measurement that does not notice these proves nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from bench.agentdojo.surroundings import TURN
from openloop.domain import sinks
from openloop.domain.verdict import Allow, Hold
from openloop.runtime import gate

if TYPE_CHECKING:
    from openloop.actions.configuration import Governing
    from openloop.domain.facts import RunFacts
    from openloop.domain.policy import Call
    from openloop.domain.verdict import Verdict


@contextmanager
def no_gate() -> Generator[None]:
    """Everything that is asked for is made."""

    def verdict(governing: Governing, call: Call, facts: RunFacts) -> Verdict:
        return Allow(rule="control: no gate")

    with mock.patch.object(gate, "verdict", verdict):
        yield


@contextmanager
def clean_start() -> Generator[None]:
    """What would be held is made, until a result has come back to the model of the run."""
    real = gate.verdict

    def verdict(governing: Governing, call: Call, facts: RunFacts) -> Verdict:
        found = real(governing, call, facts)
        if TURN.get() == 0 and isinstance(found, Hold):
            return Allow(rule="control: a run that has read nothing")
        return found

    with mock.patch.object(gate, "verdict", verdict):
        yield


@contextmanager
def no_sink_check() -> Generator[None]:
    """Standing rules let every call of their permission pass, wherever it goes."""
    with mock.patch.object(sinks, "unmatched", return_value=None):
        yield
