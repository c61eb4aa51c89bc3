"""Socket Mode: acknowledged when committed, and never given up."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import Unavailable
from openloop.domain.surface import Ask
from openloop.integrations.slack import socket
from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.rigs.faults import Refuse, ServerError
from tests.integrations.slack import make

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.domain.surface import Accepted, Inbound
    from openloop.testing.rigs.slack import SlackRig


@dataclass(slots=True)
class Inbox:
    """What was committed. While `is_down` nothing can be; while `gate` is shut nothing is yet."""

    taken: list[Inbound] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    is_down: bool = False

    async def __call__(self, accepted: Accepted) -> None:
        self.entered.set()
        await self.gate.wait()
        if self.is_down:
            message = "The database is away"
            raise Unavailable(message)
        self.taken.extend(accepted.events)


@contextlib.asynccontextmanager
async def listening(rig: SlackRig, inbox: Inbox) -> AsyncGenerator[SlackSurface, None]:
    surface = SlackSurface(make.rig_settings(rig, app_token=rig.app_token))
    task = asyncio.create_task(surface.listen(inbox))
    await rig.until(lambda: rig.sockets.count == 1)
    yield surface
    task.cancel()
    await asyncio.wait([task], timeout=30)
    assert task.cancelled()
    await surface.aclose()


@pytest.fixture
def inbox() -> Inbox:
    inbox = Inbox()
    inbox.gate.set()
    return inbox


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "_FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(socket, "_LONGEST_WAIT_SECONDS", 0.05)


async def test_without_an_app_token_there_is_nothing_to_listen_to(slack: SlackSurface) -> None:
    async with asyncio.timeout(30):
        await slack.listen(Inbox())


async def test_an_event_is_acknowledged_only_once_it_is_committed(
    rig: SlackRig, inbox: Inbox
) -> None:
    inbox.gate.clear()
    async with listening(rig, inbox), asyncio.timeout(30):
        await rig.say("#dev-platform", by="priya", text="hello")
        await inbox.entered.wait()
        assert rig.deliveries == []
        inbox.gate.set()
        await rig.settled()
    assert [event.text for event in inbox.taken] == ["hello"]
    assert [delivery.status for delivery in rig.deliveries] == [200]


async def test_what_could_not_be_committed_is_delivered_again(rig: SlackRig, inbox: Inbox) -> None:
    rig.ack_deadline_seconds = 0.3
    inbox.is_down = True
    async with listening(rig, inbox), asyncio.timeout(30):
        await rig.say("#dev-platform", by="priya", text="hello")
        await rig.until(lambda: len(rig.deliveries) == 1)
        assert rig.deliveries[0].status is None
        inbox.is_down = False
        await rig.settled()
    assert [(event.text, event.attempt) for event in inbox.taken] == [("hello", 1)]


async def test_clicks_come_over_the_socket_too(rig: SlackRig, inbox: Inbox) -> None:
    async with listening(rig, inbox) as slack, asyncio.timeout(30):
        asked = await rig.say("#dev-platform", by="priya", text="x", deliver=False)
        ask = Ask(card=make.card(), buttons=(make.APPROVE,))
        await slack.perform(ask, make.thread_of(asked), key=make.KEY)
        (card,) = rig.replies_to(asked)
        assert await rig.click(card, action_id="approve", by="anna") == 200
        await rig.settled()
    clicks = [event for event in inbox.taken if event.kind == "choice"]
    assert [(event.actor.id, event.thread.root) for event in clicks] == [("U0ANNA", asked.ts)]


async def test_what_is_not_for_us_is_acknowledged_without_a_commit(
    rig: SlackRig, inbox: Inbox
) -> None:
    async with listening(rig, inbox), asyncio.timeout(30):
        message = await rig.say("#dev-platform", by="priya", text="x", deliver=False)
        await rig.react(message, "eyes", by="anna")
        await rig.settled()
    assert inbox.taken == []
    assert [delivery.status for delivery in rig.deliveries] == [200]


async def test_an_announced_end_costs_nothing(rig: SlackRig, inbox: Inbox) -> None:
    inbox.gate.clear()
    async with listening(rig, inbox), asyncio.timeout(30):
        await rig.say("#dev-platform", by="priya", text="before")
        await inbox.entered.wait()
        await rig.sockets.disconnect("refresh_requested")
        await rig.until(lambda: rig.sockets.count == 1)
        inbox.gate.set()
        await rig.say("#dev-platform", by="priya", text="after")
        await rig.settled()
    assert [event.text for event in inbox.taken] == ["before", "after"]
    assert [delivery.status for delivery in rig.deliveries] == [200, 200]


async def test_a_connection_that_breaks_is_made_again(rig: SlackRig, inbox: Inbox) -> None:
    async with listening(rig, inbox), asyncio.timeout(30):
        for text in ("one", "two"):
            await rig.sockets.cut()
            await rig.until(lambda: rig.sockets.count == 1)
            await rig.say("#dev-platform", by="priya", text=text)
            await rig.settled()
    assert [event.text for event in inbox.taken] == ["one", "two"]


async def test_slack_may_be_away_when_we_connect(rig: SlackRig, inbox: Inbox) -> None:
    for fault in (ServerError(), Refuse(error="internal_error")):
        rig.faults.fail("apps.connections.open", with_=fault)
    async with listening(rig, inbox), asyncio.timeout(30):
        await rig.say("#dev-platform", by="priya", text="hello")
        await rig.settled()
    assert len(rig.calls_of("apps.connections.open")) == 3
    assert [event.text for event in inbox.taken] == ["hello"]
