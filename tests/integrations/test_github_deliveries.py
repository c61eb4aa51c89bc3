"""An App's events without inbound traffic: read from GitHub's list, each once, none lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import pytest

from openloop.actions.bookmarks import SurfaceBookmarks
from openloop.domain.bookmark import LostBookmark
from openloop.domain.errors import Unavailable
from openloop.domain.surface import Delivery
from openloop.integrations.github import deliveries, polling
from openloop.integrations.github.clients import app_api_of
from openloop.integrations.github.deliveries import LIST, Deliveries
from openloop.integrations.github.errors import RateLimited
from openloop.integrations.github.polling import keep_reading, reader_of
from openloop.integrations.github.signature import sign
from openloop.testing.rigs.faults import TooMany
from openloop.testing.rigs.github import Raw
from tests.integrations.github_events import Inbox, Paper, World
from tests.staging import clock as clock
from tests.staging import stage as stage
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import LiteralString

    from openloop.domain.surface import Accepted
    from openloop.integrations.github.surface import GitHubSurface
    from tests.make import Clock, Stage

LIST_DELIVERIES = "GET /app/hook/deliveries"
GET_DELIVERY = "GET /app/hook/deliveries/{delivery_id}"
SECRET = "s3cret-s3cret"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.rig:
        yield world


@pytest.fixture
async def surface(world: World) -> AsyncIterator[GitHubSurface]:
    surface = await world.surface(world.as_app)
    yield surface
    await surface.aclose()


class Desk:
    """A reader with what it reads into, as one process has it."""

    def __init__(self, world: World, surface: GitHubSurface, *, only_missed: bool = False) -> None:
        self.world = world
        api = app_api_of(world.client)
        assert api is not None
        self.reader = Deliveries(api, accept=surface.accept, only_missed=only_missed)
        self.bookmark = Paper()
        self.inbox = Inbox()

    async def look(self) -> list[str]:
        """Read once; what came in by it."""
        known = len(self.inbox.texts)
        await self.reader.look(self.bookmark, self.inbox, self.world.places)
        return self.inbox.texts[known:]


@pytest.fixture
async def desk(world: World, surface: GitHubSurface) -> Desk:
    """One that has begun to read."""
    desk = Desk(world, surface)
    await desk.look()
    return desk


async def test_a_mention_comes_in_as_a_webhook_would_have_brought_it(
    world: World, desk: Desk
) -> None:
    world.says("@openloop why is it broken?")
    assert await desk.look() == ["why is it broken?"]
    [event] = desk.inbox.events
    [delivered] = world.app.deliveries
    assert event.delivery_key == delivered.guid
    assert event.thread.place == world.place
    assert event.actor.id == str(world.anna.id)


async def test_what_was_said_before_the_first_time_is_not_answered(
    world: World, surface: GitHubSurface
) -> None:
    world.says("@openloop are you there?")
    desk = Desk(world, surface)
    assert await desk.look() == []
    world.says("@openloop and now?")
    assert await desk.look() == ["and now?"]


async def test_events_come_in_in_their_order_over_many_pages_and_each_once(
    world: World, desk: Desk
) -> None:
    for number in range(130):
        world.says(f"@openloop question {number}")
    assert await desk.look() == [f"question {number}" for number in range(130)]
    assert await desk.look() == []
    assert len(world.rig.made(GET_DELIVERY)) == 130


async def test_a_list_that_has_not_changed_costs_nothing(world: World, desk: Desk) -> None:
    world.says("@openloop one")
    await desk.look()
    world.rig.calls.clear()
    for _ in range(3):
        assert await desk.look() == []
    assert [call.status for call in world.rig.calls] == [304, 304, 304]


async def test_of_events_that_nothing_is_done_with_no_payload_is_fetched(
    world: World, desk: Desk
) -> None:
    for event in ("star", "push", "installation"):
        world.app.deliver(event, {"action": "created"})
    assert await desk.look() == []
    assert not world.rig.made(GET_DELIVERY)


async def test_what_came_while_nobody_read_for_two_days_comes_in(world: World, desk: Desk) -> None:
    desk.bookmark.read = {"through": _ago(days=2, hours=1), "seen": {}}
    for hours in (47, 24, 1):
        world.clock.behind = timedelta(hours=hours)
        world.says(f"@openloop {hours} hours ago")
    world.clock.behind = timedelta(0)
    assert await desk.look() == ["47 hours ago", "24 hours ago", "1 hours ago"]
    assert desk.bookmark.gaps == []


async def test_a_time_that_github_lists_no_more_is_told_and_the_rest_comes_in(
    world: World, desk: Desk
) -> None:
    desk.bookmark.read = {"through": _ago(days=5), "seen": {}}
    for days in (4, 1):
        world.clock.behind = timedelta(days=days)
        world.says(f"@openloop {days} days ago")
    world.clock.behind = timedelta(0)
    assert await desk.look() == ["1 days ago"]
    [gap] = desk.bookmark.gaps
    assert abs(gap.since - (datetime.now(UTC) - timedelta(days=5))) < timedelta(minutes=1)
    assert abs(gap.until - (datetime.now(UTC) - timedelta(days=3))) < timedelta(minutes=1)
    assert await desk.look() == []
    assert len(desk.bookmark.gaps) == 1


async def test_a_quiet_app_that_was_read_all_the_time_has_no_gap(world: World, desk: Desk) -> None:
    desk.bookmark.read = {"through": _ago(days=2, hours=23), "seen": {}}
    world.app.deliver("star", {"action": "created"})
    await desk.look()
    assert desk.bookmark.gaps == []


async def test_a_commit_that_fails_brings_the_same_again(world: World, desk: Desk) -> None:
    world.says("@openloop one")
    world.says("@openloop two")
    desk.inbox.fails = [Unavailable("the database is gone")]
    with pytest.raises(Unavailable):
        await desk.look()
    assert desk.inbox.texts == []
    assert await desk.look() == ["one", "two"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Raw(body=b"{}", status=404), id="gone"),
        pytest.param(Raw(body=b"[]", status=200), id="of no shape that we know"),
        pytest.param(Raw(body=b" " * 5_000_001, status=200), id="too large"),
    ],
)
async def test_a_payload_that_is_not_to_be_had_is_a_gap_and_no_end(
    world: World, desk: Desk, answer: Raw
) -> None:
    world.says("@openloop one")
    world.says("@openloop two")
    first = world.app.deliveries[0]
    world.rig.faults.fail(
        GET_DELIVERY,
        with_=answer,
        when=lambda asked: asked["delivery_id"] == str(first.id),
    )
    assert await desk.look() == ["two"]
    [gap] = desk.bookmark.gaps
    assert gap.since == gap.until == first.delivered_at


async def test_what_cannot_be_read_is_passed_over(world: World, desk: Desk) -> None:
    world.app.deliver("issues", {"action": "opened", "deep": _deep(80)})
    world.says("@openloop one")
    assert await desk.look() == ["one"]


# --- beside webhooks -----------------------------------------------------------------------------


async def test_beside_webhooks_only_what_was_not_taken_is_fetched(
    world: World, surface: GitHubSurface
) -> None:
    desk = Desk(world, surface, only_missed=True)
    await desk.look()
    world.status_code = 200
    world.says("@openloop taken")
    world.status_code = 503
    world.says("@openloop missed")
    world.says("@openloop missed, then redelivered")
    again = world.app.deliveries[-1]
    world.app.deliver(again.event, again.payload, guid=again.guid, status_code=200)
    assert await desk.look() == ["missed"]


async def test_what_there_is_to_read_follows_from_who_we_are_and_how_events_arrive(
    world: World,
) -> None:
    person = replace(world.as_person, webhook_secret="s3cret-s3cret", webhooks="http")
    named: list[str | None] = []
    for settings in (world.as_app, world.as_person, person):
        surface = await world.surface(settings)
        found = reader_of(settings, world.client, surface.accept)
        named.append(None if found is None else found[0])
        if found is not None:
            await found[1].aclose()
        await surface.aclose()
    assert named == ["deliveries", "repositories", None]


# --- processes -----------------------------------------------------------------------------------


async def test_of_two_processes_one_reads_and_the_other_takes_over(
    world: World, surface: GitHubSurface, stage: Stage
) -> None:
    await world.bind(stage)
    first, second = Inbox(), Inbox()
    reading = [
        asyncio.create_task(_keep_reading(world, surface, inbox, stage))
        for inbox in (first, second)
    ]
    await _until_row(stage, "read IS NOT NULL")
    world.says("@openloop one")
    await until(lambda: bool(first.texts or second.texts))
    leader, other = (0, 1) if first.texts else (1, 0)
    reading[leader].cancel()
    await asyncio.gather(reading[leader], return_exceptions=True)
    world.says("@openloop two")
    inbox = (first, second)[other]
    await until(lambda: "two" in inbox.texts)
    reading[other].cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    # The first may have been stopped before it noted what it had handed in.
    by_key = {event.delivery_key: event.text for event in first.events + second.events}
    assert sorted(by_key.values()) == ["one", "two"]


async def test_one_that_was_thought_dead_moves_nothing_and_doubles_nothing(
    world: World, surface: GitHubSurface, stage: Stage, clock: Clock
) -> None:
    await world.bind(stage)
    slow, quick = Desk(world, surface), Desk(world, surface)
    async with _bookmarks(stage).hold(LIST) as held:
        await slow.reader.look(held, stage.intake, world.places)
        world.says("@openloop one")
        world.says("@openloop two")
        await clock.advance(seconds=61)

        async def overtaken(accepted: Accepted) -> None:
            if not await _messages(stage):
                async with _bookmarks(stage).hold(LIST) as successor:
                    await quick.reader.look(successor, stage.intake, world.places)
            await stage.intake(accepted)

        with pytest.raises(LostBookmark):
            await slow.reader.look(held, overtaken, world.places)
    assert await _messages(stage) == ["one", "two"]


@pytest.mark.parametrize("committed", [False, True])
async def test_a_process_killed_between_fetch_and_bookmark_loses_and_doubles_nothing(
    world: World, surface: GitHubSurface, stage: Stage, *, committed: bool
) -> None:
    """Killed before the second event is committed, or after that and before it is noted."""
    await world.bind(stage)
    async with _bookmarks(stage).hold(LIST) as bookmark:
        await Desk(world, surface).reader.look(bookmark, stage.intake, world.places)
    for text in ("one", "two", "three"):
        world.says(f"@openloop {text}")
    taken = 0

    async def dying(accepted: Accepted) -> None:
        nonlocal taken
        taken += 1
        if taken < 2 or committed:
            await stage.intake(accepted)
        if taken == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        async with _bookmarks(stage).hold(LIST) as bookmark:
            await Desk(world, surface).reader.look(bookmark, dying, world.places)
    async with _bookmarks(stage).hold(LIST) as bookmark:
        await Desk(world, surface).reader.look(bookmark, stage.intake, world.places)
    assert await _messages(stage) == ["one", "two", "three"]


async def test_what_a_webhook_brought_as_well_comes_in_once(
    world: World, surface: GitHubSurface, stage: Stage
) -> None:
    await world.bind(stage)
    desk = Desk(world, surface)
    world.says("@openloop one")
    [delivered] = world.app.deliveries
    body = orjson.dumps(delivered.payload)
    headers = {"x-github-event": delivered.event, "x-github-delivery": delivered.guid}
    webhook = Delivery(
        headers={**headers, "x-hub-signature-256": sign(SECRET, body)},
        body=body,
        received_at=datetime.now(UTC),
        transport="http",
    )
    told = await world.surface(replace(world.as_app, webhooks="http", webhook_secret=SECRET))
    await stage.intake(told.accept(webhook))
    await told.aclose()
    late = Paper(read={"through": _ago(hours=1), "seen": {}})
    await desk.reader.look(late, stage.intake, world.places)
    assert len(world.rig.made(GET_DELIVERY)) == 1
    assert await _messages(stage) == ["one"]


async def test_while_github_limits_us_nothing_is_asked_and_nothing_is_lost(
    world: World, desk: Desk
) -> None:
    world.says("@openloop one")
    world.rig.faults.fail(LIST_DELIVERIES, with_=TooMany(retry_after_seconds=1))
    with pytest.raises(RateLimited) as limited:
        await desk.look()
    asked = len(world.rig.calls)
    with pytest.raises(RateLimited, match="nothing was sent"):
        await desk.look()
    assert len(world.rig.calls) == asked
    assert 0.1 < polling.wait_after(limited.value, 1, every_seconds=0.1) <= 1

    async def is_over() -> bool:
        try:
            return await desk.look() == ["one"]
        except RateLimited:
            return False

    await until(is_over)


async def test_a_limit_in_the_middle_of_much_keeps_what_is_done(world: World, desk: Desk) -> None:
    for number in range(100):
        world.says(f"@openloop question {number}")
    world.rig.faults.fail(GET_DELIVERY, with_=TooMany(retry_after_seconds=1), skip=60)
    with pytest.raises(RateLimited):
        await desk.look()
    fetched = len(world.rig.made(GET_DELIVERY))

    async def is_over() -> bool:
        try:
            await desk.look()
        except RateLimited:
            return False
        return True

    await until(is_over)
    by_key = {event.delivery_key: event.text for event in desk.inbox.events}
    assert list(by_key.values()) == [f"question {number}" for number in range(100)]
    assert len(world.rig.made(GET_DELIVERY)) - fetched == 60  # a batch of 40 was done


async def test_a_list_too_long_to_be_read_is_told_as_a_gap(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_PAGES", 1)
    for number in range(110):
        world.says(f"@openloop question {number}")
    assert await desk.look() == [f"question {number}" for number in range(10, 110)]
    assert len(desk.bookmark.gaps) == 1


def test_a_wait_grows_with_the_failures_up_to_five_minutes() -> None:
    waits = [
        polling.wait_after(Unavailable("down"), failures, every_seconds=10)
        for failures in (1, 2, 3, 10, 1000)
    ]
    assert waits == [10, 20, 40, 300, 300]


async def test_nothing_is_asked_while_no_agent_is_bound_anywhere(
    world: World, surface: GitHubSurface, stage: Stage
) -> None:
    world.rig.calls.clear()
    reading = asyncio.create_task(_keep_reading(world, surface, Inbox(), stage))
    await _until_row(stage, "true")
    assert not world.rig.calls
    await world.bind(stage)
    await world.rig.until(lambda: world.rig.made(LIST_DELIVERIES))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


# --- around --------------------------------------------------------------------------------------


def _bookmarks(stage: Stage) -> SurfaceBookmarks:
    return SurfaceBookmarks(
        stage.database, stage.workspace, "github", held_seconds=60, try_seconds=0.02
    )


async def _keep_reading(world: World, surface: GitHubSurface, inbox: Inbox, stage: Stage) -> None:
    api = app_api_of(world.client)
    assert api is not None
    reader = Deliveries(api, accept=surface.accept, only_missed=False, every_seconds=0.1)
    await keep_reading(LIST, reader, inbox, _bookmarks(stage), prepare=surface.identify)


async def _messages(stage: Stage) -> list[str]:
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT text FROM messages ORDER BY id")
    return [text for (text,) in found]


async def _until_row(stage: Stage, condition: LiteralString) -> None:
    async def is_there() -> bool:
        async with stage.tx() as tx:
            return bool(await tx.value(f"SELECT count(*) FROM bookmarks WHERE {condition}"))  # noqa: S608

    await until(is_there)


def _ago(**units: float) -> str:
    return (datetime.now(UTC) - timedelta(**units)).isoformat()


def _deep(levels: int) -> Mapping[str, object]:
    found: Mapping[str, object] = {}
    for _ in range(levels):
        found = {"a": found}
    return found
