"""Who may wake and steer: full members of the place, as the platform says now.

Where everybody can speak (GitHub), those are the people with enough rights in that very place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.domain.manifest_agent import RepositoryBinding
from openloop.domain.surface import Person
from openloop.plugin import PlaceRights, TellsStale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.domain.manifest_agent import AgentManifest, WakeFrom
    from openloop.domain.surface import Actor, Place
    from openloop.plugin import Surface
    from openloop.storage.messages import Message


async def look_up(surface: Surface, work: Work, actor: Actor) -> Person:
    """What the platform says of somebody; raises `Unavailable` where it does not say at the moment.

    In a place with rights of its own, nobody counts as a member but those who have enough of them.
    """
    if not isinstance(surface, PlaceRights):
        return await surface.person(actor.tenant, actor.id)
    place = work.conversation.thread.place
    wake_from = "write"
    if work.governing is not None:
        wake_from = wakes_from(work.governing.live, place)
    return await standing_in(surface, place, actor, wake_from=wake_from)


async def standing_in(
    surface: PlaceRights, place: Place, actor: Actor, *, wake_from: WakeFrom
) -> Person:
    """The same for a place that tells rights; where it declines to say, nobody is known.

    Raises:
        Unavailable: it cannot be asked at the moment
    """
    try:
        person = await surface.person_in(place, actor.id)
    except Unavailable:
        raise
    except OpenLoopError:
        return Person(id=actor.id, name=actor.name, kind="unknown", standing="none")
    enough = {"write"} if wake_from == "write" else {"write", "triage"}
    if person.kind == "member" and person.standing not in enough:
        return replace(person, kind="external")
    return person


def wakes_from(agent: AgentManifest, place: Place) -> WakeFrom:
    """The least that a manifest wants of whoever wakes its agent in a repository."""
    for binding in agent.spec.surfaces:
        if isinstance(binding, RepositoryBinding) and binding.repo.lower() == place.container:
            return binding.wake_from
    return "write"


def may_ask(person: Person) -> bool:
    """Guests, external people, bots, deactivated and unknown people neither wake nor steer."""
    return person.kind == "member"


async def _is_stale(surface: Surface, work: Work, message: Message) -> bool:
    """What nobody said is not answered when it is no news any more, nor where nobody says whether it is.

    Raises:
        Unavailable: the platform cannot be asked at the moment
    """
    if not isinstance(surface, TellsStale):
        return False
    try:
        return await surface.is_stale(work.conversation.thread, message.external_id)
    except Unavailable:
        raise
    except OpenLoopError:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A message that asks for nothing: `code` and `why` say what is the matter."""

    message: Message
    code: str
    why: str


async def sort_messages(
    surface: Surface, work: Work, messages: Sequence[Message]
) -> tuple[list[Message], list[Ignored]]:
    """Messages of people who may ask, with their names, and those of everybody else."""
    taken: list[Message] = []
    ignored: list[Ignored] = []
    for message in messages:
        if message.has_left:
            why = "the requester was offboarded here"
            ignored.append(Ignored(message=message, code="requester_has_left", why=why))
            continue
        if message.is_deleted:
            why = "it was deleted before it was looked at"
            ignored.append(Ignored(message=message, code="request_deleted", why=why))
            continue
        person = await look_up(surface, work, message.actor)
        if not may_ask(person):
            why = "the requester is not a full member"
            ignored.append(Ignored(message=message, code="requester_not_member", why=why))
        elif await _is_stale(surface, work, message):
            why = "it was no news any more when it was looked at"
            ignored.append(Ignored(message=message, code="no_news", why=why))
        else:
            named = replace(message.actor, name=person.name or message.actor.name)
            taken.append(replace(message, actor=named))
    return taken, ignored
