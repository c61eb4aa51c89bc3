"""The product broken on purpose: a measurement that does not notice these proves nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

from bench.agentdojo.surroundings import TURN
from openloop.domain import sinks
from openloop.domain.verdict import Allow
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
    """A run counts as tainted only once a result has come back to its model."""
    real = gate.verdict

    def verdict(governing: Governing, call: Call, facts: RunFacts) -> Verdict:
        return real(governing, call, replace(facts, tainted=TURN.get() > 0))

    with mock.patch.object(gate, "verdict", verdict):
        yield


@contextmanager
def no_sink_check() -> Generator[None]:
    """Standing rules let every call of their permission pass, wherever it goes."""
    with mock.patch.object(sinks, "unmatched", return_value=None):
        yield
