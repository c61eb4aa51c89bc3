"""A seeded part of `./run bench configuration`: rights never widen silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import configuration, mutations
from bench.configuration import Tally, try_mutant

if TYPE_CHECKING:
    from openloop.domain.widening import Widening

SAMPLED = 80


def test_no_mutated_manifest_widens_rights_silently() -> None:
    tally = configuration.sample(SAMPLED)

    assert tally.silent == []
    assert tally.mutants >= 4 * SAMPLED
    assert tally.accepted >= SAMPLED // 4
    assert tally.widened >= 10  # the oracle sees what is told


def test_every_planted_widening_is_found() -> None:
    found = dict(configuration.planted())

    assert len(found) >= 15
    assert [change for change, is_found in found.items() if not is_found] == []


def test_without_detection_the_oracle_finds_silent_widenings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def says_nothing(*_: object) -> tuple[Widening, ...]:
        return ()

    monkeypatch.setattr(configuration, "widenings", says_nothing)
    first, tally = configuration.configurations()[0], Tally()
    for old, new in configuration.PLANTED:
        try_mutant(tally, first, first.texts[0].replace(old, new, 1))

    assert len(tally.silent) >= 12


def test_edits_are_the_same_every_time_and_change_something() -> None:
    text = configuration.configurations()[0].texts[0]
    edits = list(mutations.edits(text))

    assert edits == list(mutations.edits(text))
    assert len(edits) > 1000
    assert all(mutations.applied(text, edit) for edit in edits[:50])
