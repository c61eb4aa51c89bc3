"""Who may read a conversation: every case there is, and what each kind of event is about."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.audit import AuditEvent, Who
from openloop.domain.ids import PrincipalId, new_id
from openloop.domain.principal import RIGHTS, Right, Role
from openloop.domain.readers import (
    Reader,
    Shown,
    Standing,
    matter_of,
    may_read,
    may_recall,
    shown_of,
)

ME = PrincipalId(new_id())
CLASSES = (None, *PlaceClass)
BOTH = (False, True)

# What a full member reads who oversees nothing, by the class of the place and how they stand to it.
MEMBER = """
            neither  asked  is asked  both
None        no       yes    yes       yes
private     no       yes    yes       yes
internal    yes      yes    yes       yes
guests      yes      yes    yes       yes
shared      yes      yes    yes       yes
public      yes      yes    yes       yes
"""


def cases() -> list[tuple[PlaceClass | None, bool, bool, bool]]:
    """Every case of the table: place, has asked, is asked, and whether a member reads it."""
    columns = [(False, False), (True, False), (False, True), (True, True)]
    found: list[tuple[PlaceClass | None, bool, bool, bool]] = []
    for line in MEMBER.strip().splitlines()[1:]:
        name, *answers = line.split()
        place = None if name == "None" else PlaceClass(name)
        found += [
            (place, asked, is_asked, answer == "yes")
            for (asked, is_asked), answer in zip(columns, answers, strict=True)
        ]
    return found


def test_the_table_has_every_case() -> None:
    assert {case[:3] for case in cases()} == set(itertools.product(CLASSES, BOTH, BOTH))


@pytest.mark.parametrize(("place", "has_asked", "is_asked", "reads"), cases())
def test_a_member_reads_what_the_table_says(
    *, place: PlaceClass | None, has_asked: bool, is_asked: bool, reads: bool
) -> None:
    standing = Standing(place=place, has_asked=has_asked, is_asked=is_asked)

    assert may_read(Reader(principal=ME, sees=True), standing) is reads


@pytest.mark.parametrize(("place", "has_asked", "is_asked", "reads"), cases())
def test_who_oversees_reads_everything_and_who_may_not_see_nothing(
    *, place: PlaceClass | None, has_asked: bool, is_asked: bool, reads: bool
) -> None:
    standing = Standing(place=place, has_asked=has_asked, is_asked=is_asked)

    assert may_read(Reader(principal=ME, sees=True, oversees=True), standing)
    assert not may_read(Reader(principal=ME, sees=False, audits=True), standing)
    assert may_read(Reader(principal=ME, sees=True), standing) is reads


def test_admins_and_owners_oversee_and_nobody_else() -> None:
    overseeing = {role for role in Role if Right.OVERSEE in RIGHTS[role]}

    assert overseeing == {Role.ADMIN, Role.OWNER}


# --- memories ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "visible_in", "is_of_place"), list(itertools.product(CLASSES, PlaceClass, BOTH))
)
def test_a_memory_is_read_in_its_place_and_by_its_class(
    *, place: PlaceClass | None, visible_in: PlaceClass, is_of_place: bool
) -> None:
    member = Reader(principal=ME, sees=True)
    wide = {PlaceClass.INTERNAL, PlaceClass.GUESTS, PlaceClass.SHARED, PlaceClass.PUBLIC}

    def recalls(**standing: bool) -> bool:
        stands = Standing(place=place, **standing)
        return may_recall(member, stands, visible_in=visible_in, is_of_place=is_of_place)

    assert recalls() is (visible_in in wide and (place in wide or not is_of_place))
    assert recalls(is_asked=True) is recalls()
    assert recalls(has_asked=True)


# --- events --------------------------------------------------------------------------------------


def event(kind: str, *, run: bool = False, by: UUID | None = None, **detail: str) -> AuditEvent:
    return AuditEvent(
        id=1,
        at=datetime(2026, 11, 23, tzinfo=UTC),
        kind=kind,
        actor=Who(kind="principal", name="anna", principal_id=by),
        subject=new_id(),
        run_id=new_id() if run else None,
        detail={**detail},
    )


def test_what_an_event_is_about() -> None:
    conversation = new_id()
    of_run, saved = event("memory.saved", run=True), event("memory.retracted")
    unbound = event("place.unbound")

    assert matter_of(of_run) == ("run", of_run.run_id)
    assert matter_of(saved) == ("memory", saved.subject)
    assert matter_of(unbound) == ("conversation", unbound.subject)
    received = event("message.received", conversation=str(conversation))
    assert matter_of(received) == ("conversation", conversation)
    assert matter_of(event("token.created")) is None
    assert matter_of(event("hat.worn")) == ("run", UUID(int=0))


def test_every_documented_kind_is_sorted() -> None:
    """What is of everybody names no conversation; every other kind has a run, or is sorted by name."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "audit.md"
    kinds = set(re.findall(r"`([a-z]+\.[a-z_]+)`", page.read_text().split("| Kind |")[1]))
    of_all = {kind for kind in kinds if matter_of(event(kind)) is None}
    by_name = {"message.received", "place.unbound", "memory.saved", "memory.retracted"}
    families = ["approval", "budget", "call", "conversation", "effect", "glass", "model", "run"]
    of_runs = {kind for kind in kinds if kind.partition(".")[0] in families}

    assert len(kinds) > 60
    assert kinds == of_all | by_name | of_runs
    assert not of_all & (by_name | of_runs)


@pytest.mark.parametrize(
    ("audits", "is_own", "is_of_all", "is_readable"),
    list(itertools.product(BOTH, BOTH, BOTH, BOTH)),
)
def test_how_much_of_an_event_is_shown(
    *, audits: bool, is_own: bool, is_of_all: bool, is_readable: bool
) -> None:
    reader = Reader(principal=ME, sees=True, audits=audits)
    overseer = Reader(principal=ME, sees=True, audits=audits, oversees=True)
    told = event("token.created" if is_of_all else "run.done", run=not is_of_all)
    told = event(told.kind, run=not is_of_all, by=ME if is_own else None)

    shown = shown_of(reader, told, is_readable=is_readable and not is_of_all)

    if audits and (is_own or (is_readable and not is_of_all)):
        assert shown is Shown.WHOLE
    elif is_of_all or is_readable:
        assert shown is Shown.BARE
    else:
        assert shown is Shown.NOTHING
    assert shown_of(overseer, told, is_readable=False) is (Shown.WHOLE if audits else Shown.BARE)
