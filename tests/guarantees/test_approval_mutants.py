"""Every mutant of approvals is killed: its story ends well with the real code, and not with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import psycopg
import pytest

from tests.conftest import EMPTY
from tests.guarantees.approval_beside_mutants import BESIDE
from tests.guarantees.approval_machine import Theatre, theatre
from tests.guarantees.approval_mutants import MUTANTS, Mutant
from tests.guarantees.approval_rules import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stage_of_all(own_database: tuple[str, str]) -> Iterator[Theatre]:
    """One theatre for all stories."""
    conninfo, superuser = own_database
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(EMPTY)
    with theatre(conninfo) as opened:
        yield opened


ALL = (*MUTANTS, *BESIDE)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: cast("Mutant", mutant).name)
def test_a_mutant_is_killed(stage_of_all: Theatre, mutant: Mutant) -> None:
    stage_of_all.play(mutant, is_planted=False)
    with pytest.raises(Broken):
        stage_of_all.play(mutant, is_planted=True)


def test_there_are_at_least_twenty() -> None:
    assert len({mutant.name for mutant in ALL}) == len(ALL) >= 20
