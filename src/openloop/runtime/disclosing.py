"""What a run may say where it speaks: nothing that this place may not see, by the class of now.

A place can become wider while a run works or waits, or before a memory is recalled. Where nothing
was read that is confined to narrower places, nobody is asked and nothing is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain import rights
from openloop.domain.audience import PlaceClass, narrowest
from openloop.domain.errors import OpenLoopError, TryLater
from openloop.runtime import inquiry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.domain.memory import Memory
    from openloop.domain.step import Step
    from openloop.domain.surface import Place
    from openloop.plugin import Surface
    from openloop.runtime.kit import Kit

WITHHELD = "I have an answer, and may not give it here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The words of a run, and the steps of which it may speak."""

    text: str
    steps: list[Step]


async def told(kit: Kit, work: Work, text: str, *, instead: str = WITHHELD) -> Told | None:
    """The text where everybody in the place may read it, else why not; None where nobody can tell.

    `instead` takes the place of words that are withheld.
    """
    facts = await inquiry.of_answer(kit, work)
    denied = rights.told_too_widely(facts)
    if denied is None:
        return Told(text=text, steps=work.steps)
    if not facts.is_certain:
        return None
    return Told(text=f"{instead} {denied.reason}.".strip(), steps=[])


async def told_or_later(kit: Kit, work: Work, text: str) -> Told:
    """The same where the words are on record and can wait.

    Raises:
        TryLater: nobody can tell at the moment who reads along
    """
    found = await told(kit, work, text)
    if found is None:
        message = "The platform does not say at the moment who reads this place"
        raise TryLater(message)
    return found


async def recallable(
    surface: Surface, place: Place, recalled: Sequence[Memory]
) -> tuple[list[Memory], PlaceClass]:
    """The memories that this place may see, and how far what is said of them may go."""
    if all(memory.visible_in is PlaceClass.PUBLIC for memory in recalled):
        return list(recalled), PlaceClass.PUBLIC
    try:
        readers = await surface.audience(place)
    except OpenLoopError:
        readers = PlaceClass.PUBLIC  # nobody can tell: as if anybody read along
    shown = [memory for memory in recalled if readers.is_within(memory.visible_in)]
    return shown, narrowest(memory.visible_in for memory in shown)
