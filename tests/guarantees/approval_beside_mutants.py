"""Bugs that break the promises beside approvals, each with the shortest story in which it does harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import manifests
from openloop.domain.audience import PlaceClass
from openloop.domain.change import Change
from openloop.domain.redaction import Redactor
from tests.guarantees.approval_beside import Others, agree, judge, propose, read
from tests.guarantees.approval_mutants import Mutant, planted
from tests.guarantees.approval_rules import Rule

if TYPE_CHECKING:
    from tests.guarantees.approval_world import Driver


async def private_read(d: Driver) -> None:
    """What only private places may see is asked for in a place of all members."""
    await read(d, is_private=True)


async def secret_said(d: Driver) -> None:
    """Somebody says a secret, and the model repeats it."""
    await read(d, is_private=False)
    await judge(d, Others())


async def wider_rights(d: Driver) -> None:
    """Anna wants one approval to be enough, where two are needed."""
    await d.change(rule=Rule(quorum=2))
    await propose(d, Others(), "anna", Rule(quorum=1))
    await judge(d, Others())


async def own_proposal(d: Driver) -> None:
    """Anna agrees to it herself; then Priya does."""
    await d.change(rule=Rule(quorum=2))
    others = Others()
    await propose(d, others, "anna", Rule(quorum=1))
    await agree(d, others, "anna")
    assert d.world.rule == Rule(quorum=2)
    await agree(d, others, "priya")
    await judge(d, others)
    assert d.world.rule == Rule(quorum=1)


def _always(*_: object, **__: object) -> bool:
    return True


def _never(*_: object, **__: object) -> bool:
    return False


def _as_it_is(_: Redactor, text: str) -> str:
    return text


BESIDE = (
    Mutant(
        "read_anywhere",
        "where a resource may be seen",
        planted((PlaceClass, "is_within", _always)),
        private_read,
    ),
    Mutant(
        "no_redaction",
        "what is secret, in texts",
        planted((Redactor, "text", _as_it_is)),
        secret_said,
    ),
    Mutant(
        "widens_alone",
        "to let what widens wait",
        planted((manifests, "_is_held", _never)),
        wider_rights,
    ),
    Mutant(
        "own_proposal",
        "that somebody else has to agree",
        planted((Change, "refuse_voter", _never)),
        own_proposal,
    ),
)
