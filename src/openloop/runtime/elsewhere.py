"""Which other places learn that a run was answered here: those that may know of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.elsewhere import Line
from openloop.domain.errors import OpenLoopError
from openloop.storage import opened

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.audience import PlaceClass
    from openloop.domain.surface import Place
    from openloop.runtime.kit import Kit
    from openloop.storage.opened import Opened


async def lines(kit: Kit, work: Work) -> tuple[Line, ...]:
    """The lines that an answer in this conversation is due elsewhere; none where it is linked to none.

    Where a thread was opened from is told in it once, and only where everybody who reads it may read
    there, too: a public issue does not learn of a private channel.
    """
    if not work.conversation.is_linked:
        return ()
    async with kit.database.transaction(work.workspace) as tx:
        threads = await opened.list_of(tx, work.conversation.id)
    found: list[Line] = []
    for each in threads:
        if each.opened_id == work.conversation.id:
            told = (
                f"There is an answer in [a thread that was opened from here]({each.opened_link})."
            )
            found.append(Line(to=each.origin_id, markdown=told))
        elif not each.is_announced and await _may_know(kit, work, each):
            told = f"This was asked for in [another thread]({each.origin_link})."
            found.append(Line(to=each.opened_id, markdown=told, announces=True))
    return tuple(found)


async def _may_know(kit: Kit, work: Work, other: Opened) -> bool:
    if not other.origin_link:
        return False
    here = await _readers(kit, work.conversation.thread.place)
    there = await _readers(kit, other.thread.place)
    return here is not None and there is not None and there.is_within(here)


async def _readers(kit: Kit, place: Place) -> PlaceClass | None:
    surface = kit.surfaces.get(place.surface)
    if surface is None:
        return None
    try:
        return await surface.audience(place)
    except OpenLoopError:
        return None  # nobody can tell: nothing is said
