"""Who may wake and steer: full members of the place, as the platform says now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Actor, Person
    from openloop.plugin import Surface
    from openloop.storage.messages import Message


async def look_up(surface: Surface, actor: Actor) -> Person:
    """What the platform says of somebody; raises `Unavailable` where it does not say at the moment."""
    return await surface.person(actor.tenant, actor.id)


def may_ask(person: Person) -> bool:
    """Guests, external people, bots, deactivated and unknown people neither wake nor steer."""
    return person.kind == "member"


async def sort_messages(
    surface: Surface, messages: Sequence[Message]
) -> tuple[list[Message], list[Message]]:
    """Messages of people who may ask, with their names, and those of everybody else."""
    taken: list[Message] = []
    ignored: list[Message] = []
    for message in messages:
        person = await look_up(surface, message.actor)
        if may_ask(person):
            taken.append(
                replace(
                    message, actor=replace(message.actor, name=person.name or message.actor.name)
                )
            )
        else:
            ignored.append(message)
    return taken, ignored
