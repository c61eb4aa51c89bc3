"""Who reads in a channel: as Slack says now, and as the stricter where it does not say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import OpenLoopError
from openloop.domain.surface import Place
from openloop.integrations.slack import audience
from openloop.integrations.slack.audience import Audiences
from openloop.integrations.slack.client import SlackClient
from openloop.integrations.slack.directory import Directory
from openloop.testing.rigs.faults import DropAnswer, Refuse, ServerError, TooMany
from tests.integrations.slack import make

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.integrations.slack.surface import SlackSurface
    from openloop.testing.rigs.faults import Fault
    from openloop.testing.rigs.slack import PersonKind as RigKind
    from openloop.testing.rigs.slack import SlackRig

MEMBERS = ["priya", "anna"]


def place(channel: str) -> Place:
    return Place(surface="slack", tenant="T0ACME", container=channel)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def audiences(rig: SlackRig, clock: Clock) -> AsyncIterator[Audiences]:
    client = SlackClient(make.rig_settings(rig, timeout_seconds=30.0))
    yield Audiences(client, Directory(client), clock=clock)
    await client.aclose()


@pytest.mark.parametrize(
    ("is_private", "outsider", "found"),
    # Outsiders read in open channels and in private ones: whether all of us do is another question.
    [
        (False, None, PlaceClass.INTERNAL),
        (True, None, PlaceClass.PRIVATE),
        (False, "guest", PlaceClass.GUESTS),
        (True, "guest", PlaceClass.GUESTS),
        (True, "single_channel_guest", PlaceClass.GUESTS),
        (True, "external", PlaceClass.SHARED),
        (True, "deactivated", PlaceClass.PRIVATE),
        (True, "bot", PlaceClass.PRIVATE),
    ],
)
async def test_a_channel_is_as_wide_as_its_widest_reader(
    rig: SlackRig,
    slack: SlackSurface,
    is_private: bool,  # noqa: FBT001
    outsider: RigKind | None,
    found: PlaceClass,
) -> None:
    people = [*MEMBERS]
    if outsider is not None:
        rig.people.add("somebody", kind=outsider)
        people.append("somebody")
    rig.channels.add("room", id="C0ROOM", is_private=is_private, members=people)
    assert await slack.audience(place("C0ROOM")) is found
    assert await slack.is_open(place("C0ROOM")) is not is_private


async def test_a_guest_elsewhere_makes_no_channel_wider(rig: SlackRig, slack: SlackSurface) -> None:
    rig.people.add("eve", kind="guest")
    rig.channels.add("room", id="C0ROOM", members=MEMBERS)
    assert await slack.audience(place("C0ROOM")) is PlaceClass.INTERNAL


async def test_a_channel_that_others_share_is_shared_whoever_is_in_it(
    rig: SlackRig, slack: SlackSurface
) -> None:
    rig.channels.add("room", id="C0ROOM", members=MEMBERS, is_ext_shared=True)
    assert await slack.audience(place("C0ROOM")) is PlaceClass.SHARED


async def test_a_direct_message_is_private_and_nobody_is_asked(
    rig: SlackRig, slack: SlackSurface
) -> None:
    assert await slack.audience(place("D0BEN")) is PlaceClass.PRIVATE
    assert rig.calls == []


async def test_a_place_is_asked_about_once_a_minute(
    rig: SlackRig, audiences: Audiences, clock: Clock
) -> None:
    rig.channels.add("room", id="C0ROOM", members=MEMBERS)
    both = await asyncio.gather(audiences.of("C0ROOM"), audiences.of("C0ROOM"))
    assert both == [PlaceClass.INTERNAL] * 2
    clock.now = 59.9
    await audiences.of("C0ROOM")
    assert len(rig.calls_of("conversations.info")) == 1
    rig.channels.add("room", id="C0ROOM", members=MEMBERS, is_ext_shared=True)
    assert await audiences.of("C0ROOM") is PlaceClass.INTERNAL
    clock.now = 60.0
    assert await audiences.of("C0ROOM") is PlaceClass.SHARED


@pytest.mark.parametrize("method", ["conversations.info", "users.list", "conversations.members"])
@pytest.mark.parametrize(
    "fault", [TooMany(), ServerError(), DropAnswer(), Refuse(error="missing_scope")]
)
async def test_what_slack_does_not_say_is_not_assumed_and_not_remembered(
    rig: SlackRig, audiences: Audiences, method: str, fault: Fault
) -> None:
    rig.people.add("eve", kind="guest")
    rig.channels.add("room", id="C0ROOM", members=MEMBERS)
    for _ in range(3 if isinstance(fault, DropAnswer) else 1):
        rig.faults.fail(method, with_=fault)
    with pytest.raises(OpenLoopError):
        await audiences.of("C0ROOM")


async def test_an_unknown_channel_is_no_place(slack: SlackSurface) -> None:
    with pytest.raises(OpenLoopError):
        await slack.audience(place("C0NOWHERE"))


async def test_long_lists_are_read_to_their_end(
    rig: SlackRig, audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "PAGE", 1)
    rig.people.add("eve", kind="guest")
    rig.channels.add("room", id="C0ROOM", members=[*MEMBERS, "eve"])
    assert await audiences.of("C0ROOM") is PlaceClass.GUESTS


async def test_where_there_are_too_many_people_to_look_at_a_guest_may_be_among_them(
    rig: SlackRig, audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "PAGE", 1)
    monkeypatch.setattr(audience, "MOST_PAGES", 2)
    rig.channels.add("room", id="C0ROOM", members=MEMBERS)
    assert await audiences.of("C0ROOM") is PlaceClass.GUESTS
