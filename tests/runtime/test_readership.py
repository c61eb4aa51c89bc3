"""Who of us reads in a place is kept when it is found out, and asked for where no run asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import Conflict, TryLater
from openloop.runtime.readership import Readership
from openloop.storage.places import DUE_SECONDS
from tests import make
from tests.runtime.fakes import FakeSurface, reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openloop.domain.surface import Place
    from tests.make import Clock, Stage

Ask: TypeAlias = "Callable[..., Awaitable[None]]"
LATER = TryLater("The platform is busy")
REFUSED = Conflict("There is no such channel")


@dataclass
class Open(FakeSurface):
    """A platform that says of a place with outsiders whether all of us read there."""

    opened: bool = True

    async def is_open(self, place: Place) -> bool:
        return self.opened


async def known(stage: Stage) -> str | None:
    """The class on record of the agent's channel."""
    async with stage.tx() as tx:
        return await tx.value("SELECT class FROM places WHERE surface = 'slack'")


async def asked_by_a_run(stage: Stage, root: str = "root-1") -> None:
    stage.models.turns = [reply("Reading.", make.READ), reply("Done.")]
    await stage.work(await stage.mention(root=root))


async def asked_beside(stage: Stage, _: str = "") -> None:
    await Readership(stage.database, {"slack": stage.surface}).once()


WAYS = [asked_by_a_run, asked_beside]


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("found", [PlaceClass.PRIVATE, PlaceClass.INTERNAL, PlaceClass.PUBLIC])
async def test_what_the_platform_says_is_kept(stage: Stage, ask: Ask, found: PlaceClass) -> None:
    stage.surface.place_class = found
    await ask(stage)

    assert await known(stage) == found


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("wide", [PlaceClass.GUESTS, PlaceClass.SHARED])
async def test_outsiders_read_in_private_places_too(
    stage: Stage, ask: Ask, wide: PlaceClass, clock: Clock
) -> None:
    """A guest in a private channel does not let the rest of us read there."""
    stage.surface.place_class = wide
    await ask(stage)
    assert await known(stage) == "private"

    stage.surface = Open(place_class=wide, opened=False)
    await clock.advance(seconds=DUE_SECONDS + 1)
    await ask(stage, "root-2")
    assert await known(stage) == "private"

    stage.surface = Open(place_class=wide)
    await clock.advance(seconds=DUE_SECONDS + 1)
    await ask(stage, "root-3")
    assert await known(stage) == wide


@pytest.mark.parametrize("ask", WAYS)
async def test_what_is_not_told_any_more_is_not_known(stage: Stage, ask: Ask, clock: Clock) -> None:
    await ask(stage)
    await clock.advance(seconds=DUE_SECONDS + 1)
    stage.surface.place_class = REFUSED
    await ask(stage, "root-2")

    assert await known(stage) is None


@pytest.mark.parametrize("ask", WAYS)
async def test_a_platform_that_is_busy_has_said_nothing_new(
    stage: Stage, ask: Ask, clock: Clock
) -> None:
    await ask(stage)
    await clock.advance(seconds=DUE_SECONDS + 1)
    stage.surface.place_class = LATER
    await ask(stage, "root-2")

    assert await known(stage) == "internal"


async def test_a_run_without_tools_writes_nothing_of_its_place(stage: Stage) -> None:
    await stage.work(await stage.mention("hello"))

    assert await stage.count("places") == 0
    assert stage.surface.audiences_asked == []


async def test_a_delivery_that_says_that_its_place_is_private_is_believed_at_once(
    stage: Stage, clock: Clock
) -> None:
    await asked_by_a_run(stage)
    assert await known(stage) == "internal"

    await stage.take(replace(make.inbound("hello", root="root-2"), is_private=True))
    assert await known(stage) == "private"
    await stage.take(make.inbound("hello", root="root-3"))
    assert await known(stage) == "private"


async def test_places_are_asked_about_again_and_not_all_the_time(
    stage: Stage, clock: Clock
) -> None:
    for _ in range(3):
        await asked_beside(stage)
    assert stage.surface.audiences_asked == [make.CHANNEL]

    await clock.advance(seconds=DUE_SECONDS + 1)
    stage.surface.place_class = PlaceClass.PRIVATE
    await asked_beside(stage)
    assert stage.surface.audiences_asked == [make.CHANNEL] * 2
    assert await known(stage) == "private"


async def test_places_of_a_surface_that_is_not_here_are_left_alone(stage: Stage) -> None:
    await Readership(stage.database, {"github": FakeSurface(name="github")}).once()

    assert await stage.count("places") == 0
