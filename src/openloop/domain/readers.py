"""Who may read what through the API: one rule for every conversation, and what it covers.

Whoever administers the workspace reads everything, as they do through the record. Everybody else
reads what the people of the place can read anyway, what they asked for themselves, and what they
are asked to decide. What somebody may not read is to them as if it did not exist.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from openloop.domain.audience import PlaceClass, narrowest

if TYPE_CHECKING:
    from openloop.domain.audit import AuditEvent
    from openloop.domain.ids import PrincipalId
    from openloop.domain.surface import Actor

OPEN = tuple(each for each in PlaceClass if PlaceClass.INTERNAL.is_within(each))
"""The classes of places that every full member can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whoever reads, by what their credential gives them now.

    `audits` is the right to the record, which gives nobody a conversation to read. `known_as` are
    their ids on surfaces; with an empty tenant an id counts in each. `references` are those of an
    approval's demands (`@maintainers`) that mean them, and none where nothing that they say would be
    a vote.
    """

    principal: PrincipalId
    sees: bool
    audits: bool = False
    oversees: bool = False
    known_as: tuple[Actor, ...] = ()
    references: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a reader stands to a conversation, or to one run of it.

    `place` is the class that its place has for what was said in it; None where that is not known.
    `has_asked`: they opened or steered a run of the conversation. `is_asked`: they may decide an
    approval of this run, or might have.
    """

    place: PlaceClass | None
    has_asked: bool = False
    is_asked: bool = False


def may_read(reader: Reader, standing: Standing) -> bool:
    """Whether this reader may know of this conversation, or of this run."""
    if reader.oversees:
        return True
    if not reader.sees:
        return False
    return standing.place in OPEN or standing.has_asked or standing.is_asked


def may_recall(
    reader: Reader, standing: Standing, *, visible_in: PlaceClass, is_of_place: bool
) -> bool:
    """Whether this reader may read a memory of that conversation.

    It is read as in a place of its own class, and one `is_of_place` in its place only. To be asked
    about one call is not to be told what was remembered.
    """
    place = standing.place if is_of_place else PlaceClass.PUBLIC
    shown_in = None if place is None else narrowest((place, visible_in))
    return may_read(reader, replace(standing, place=shown_in, is_asked=False))


# --- the record ----------------------------------------------------------------------------------

Matter: TypeAlias = Literal["run", "conversation", "memory"]

OF_ALL = (
    "agent.",
    "audit.",
    "brake.",
    "change.",
    "checkpoint.",
    "click.refused",
    "config.",
    "identity.",
    "login.",
    "place.unheard",
    "principal.",
    "secret.",
    "token.",
    "workspace.",
)
"""How kinds of events begin that are about no conversation where they name no run."""


class Shown(StrEnum):
    """How much of an event somebody is shown: bare, it says only that and when it happened."""

    NOTHING = "nothing"
    BARE = "bare"
    WHOLE = "whole"


def matter_of(event: AuditEvent) -> tuple[Matter, UUID] | None:
    """Which run, conversation or memory an event is about; None where it is about none of them.

    Of a kind that nobody has sorted it is about a run that does not exist.
    """
    if event.run_id is not None:
        return "run", event.run_id
    if event.kind == "message.received":
        return "conversation", UUID(str(event.detail.get("conversation", UUID(int=0))))
    if event.kind == "place.unbound":
        return "conversation", event.subject or UUID(int=0)
    if event.kind.startswith("memory."):
        return "memory", event.subject or UUID(int=0)
    return None if event.kind.startswith(OF_ALL) else ("run", UUID(int=0))


def shown_of(reader: Reader, event: AuditEvent, *, is_readable: bool) -> Shown:
    """How much of an event a reader is shown; `is_readable` says whether they may read what it is about.

    The record of the workspace itself - its manifests, people, tokens - is for whoever oversees it.
    """
    is_of_all = matter_of(event) is None
    is_own = event.actor.principal_id == reader.principal
    if reader.audits and (reader.oversees or is_own or (is_readable and not is_of_all)):
        return Shown.WHOLE
    if reader.oversees or is_readable or (reader.sees and is_of_all):
        return Shown.BARE
    return Shown.NOTHING
