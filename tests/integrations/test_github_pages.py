"""Pages that are too large for one answer: they are read in parts, and nothing stays behind them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.domain.ids import new_id
from openloop.domain.surface import Thread
from openloop.integrations.github import watching, wire
from openloop.integrations.github.errors import Ambiguous
from openloop.integrations.github.feeds import ISSUES, lean
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.pages import Stride
from openloop.integrations.github.threads import Threads
from openloop.integrations.github.wire import MAX_ANSWER_BYTES
from openloop.testing.rigs.github import Raw
from tests.integrations.github_events import REPO, World
from tests.integrations.test_github_watching import Desk
from tests.integrations.test_github_watching import desk as desk
from tests.integrations.test_github_watching import world as world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.integrations.github.exchange import Endpoint, Query
    from openloop.integrations.github.wire import Answered
    from openloop.testing.rigs.github.rows import Issue

COMMENTS = "GET /repos/{owner}/{repo}/issues/comments"
THREAD = "GET /repos/{owner}/{repo}/issues/{issue_number}/comments"
EVENTS = "GET /repos/{owner}/{repo}/issues/events"
REVIEWS = "GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews"
LIMIT = 65_536
LONG = "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}" * LIMIT
"""As long as GitHub takes it, and each of its characters takes twelve bytes in the fake's JSON."""


@pytest.fixture
def is_short_of_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer holds less than one long text."""
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", 400_000)


def floods(world: World, times: int = 20) -> None:
    for _ in range(times):
        world.says(LONG, by="mallory")


def thread_of(world: World, issue: Issue) -> Thread:
    return Thread(place=world.place, root=str(issue.number))


# --- watching ------------------------------------------------------------------------------------


async def test_behind_a_strangers_long_comments_a_mention_comes_in(
    world: World, desk: Desk
) -> None:
    floods(world, 20)
    world.says("@openloop-bot why?")
    world.rig.calls.clear()
    assert await desk.look() == ["why?"]
    assert desk.bookmark.gaps == []
    # 100, 50 and 10 at once are too many; then five times 5, before more is tried again.
    assert len(world.rig.made(COMMENTS)) <= 10
    await desk.look()  # since is another one now
    world.rig.calls.clear()
    assert await desk.look() == []
    assert {call.status for call in world.rig.calls} == {304}


async def test_behind_many_events_of_a_long_issue_an_assignment_comes_in(
    world: World, desk: Desk
) -> None:
    state, anna = world.state, world.anna
    issue = state.add_issue(world.repository, "Long", by=anna, body="x" * LIMIT)
    state.assign(issue, [state.users["openloop-bot"]], by=anna)
    _label(world, issue, 250)
    said = await desk.look()
    assert [text for text in said if "assigned" in text] == [
        f"anna assigned #{issue.number} to you. Do what your instructions say about that."
    ]
    assert len(said) == 126
    assert desk.bookmark.gaps == []


async def test_what_is_edited_between_two_parts_of_a_page_moves_nothing_out_of_sight(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.clock.behind = timedelta(minutes=1)
    floods(world, 12)
    for number in range(30):
        world.clock.behind -= timedelta(seconds=1)
        world.says(f"@openloop-bot question {number}")
    world.clock.behind = timedelta(0)
    answer, parts = world.client.answer, list[object]()

    async def answered(endpoint: Endpoint, query: Query | None = None, **more: Any) -> Answered:
        found = await answer(endpoint, query, **more)
        if endpoint.path.endswith("issues/comments"):
            parts.append(query)
            for comment in world.issue.comments[: min(len(parts), 12)]:  # it goes behind all others
                world.state.edit_comment(world.issue, comment, comment.body[:5])
        return found

    monkeypatch.setattr(world.client, "answer", answered)
    assert await desk.look() == [f"question {number}" for number in range(30)]
    assert len(parts) > 2


async def test_where_much_is_said_it_is_read_in_several_looks_each_word_once(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_REQUESTS", 6)
    world.clock.behind = timedelta(minutes=30)
    desk.bookmark.read = _at(desk.bookmark.read, minutes=40)
    early = world.state.add_comment(world.issue, "@openloop-bot early", by=world.anna)
    for number in range(40):
        world.clock.behind -= timedelta(seconds=40)
        floods(world, 1)
        world.says(f"@openloop-bot question {number}")
    # Listed last, and older than all that was read before it: it is new all the same.
    world.state.edit_comment(world.issue, early, "@openloop-bot early bird")
    world.clock.behind = timedelta(0)
    said, looks = list[str](), 0
    while len(set(said)) < 41:
        desk.restart()
        world.rig.calls.clear()
        said += await desk.look()
        assert len(world.rig.made(COMMENTS)) <= 2 * 6
        looks += 1
        assert looks < 60
    assert sorted(said) == sorted(["early bird", *(f"question {n}" for n in range(40))])
    assert looks > 2
    assert desk.bookmark.gaps == []
    assert await desk.look() == []


async def test_an_unchanged_first_page_hides_nothing_that_stands_behind_it(
    world: World, desk: Desk
) -> None:
    for number in range(130):
        world.says(f"@openloop-bot question {number}")
    assert len(await desk.look()) == 130
    assert await desk.look() == []
    world.says("@openloop-bot why?")
    assert await desk.look() == ["why?"]


async def test_what_took_several_pages_is_not_read_again_at_each_look(
    world: World, desk: Desk
) -> None:
    desk.bookmark.read = _at(desk.bookmark.read, minutes=20)
    world.clock.behind = timedelta(minutes=10)
    for number in range(130):
        world.says(f"@openloop-bot question {number}")
    world.clock.behind = timedelta(0)
    assert len(await desk.look()) == 130
    await desk.look()
    world.rig.calls.clear()
    assert await desk.look() == []
    assert {call.status for call in world.rig.made(COMMENTS)} == {304}


async def test_a_second_in_which_more_was_said_than_is_read_is_left_behind_and_told(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_REQUESTS", 2)
    desk.bookmark.read = _at(desk.bookmark.read, minutes=20)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    for number in range(250):
        world.says(f"@openloop-bot question {number}")
    for comment in world.issue.comments:
        comment.created_at = comment.updated_at = at
    world.says("@openloop-bot why?")
    said = list[str]()
    for _ in range(4):
        said += await desk.look()
    assert (len(said), len(set(said)), said[-1]) == (201, 201, "why?")
    [gap] = desk.bookmark.gaps
    assert gap.since <= at <= gap.until <= at + timedelta(seconds=1)


@pytest.mark.usefixtures("is_short_of_room")
@pytest.mark.parametrize("place", ["first", "middle", "last"])
async def test_what_is_too_large_by_itself_is_passed_over_and_told_once(
    world: World, desk: Desk, place: str
) -> None:
    before, after = timedelta(minutes=9), timedelta(minutes=5)
    desk.bookmark.read = _at(desk.bookmark.read, minutes=10)
    world.clock.behind = before
    if place != "first":
        world.says("@openloop-bot one")
    world.clock.behind = timedelta(minutes=7)
    floods(world, 1)
    world.clock.behind = after
    if place != "last":
        world.says("@openloop-bot two")
    world.clock.behind = timedelta(0)
    expected = {"first": ["two"], "middle": ["one", "two"], "last": ["one"]}[place]
    assert await desk.look() == expected
    [gap] = desk.bookmark.gaps
    now = datetime.now(UTC)
    assert gap.since <= now - timedelta(minutes=7) <= gap.until
    if place == "middle":
        assert gap.until - gap.since < timedelta(minutes=5)
    world.says("@openloop-bot three")
    assert await desk.look() == ["three"]
    desk.restart()
    assert await desk.look() == []
    assert len(desk.bookmark.gaps) == 1


@pytest.mark.usefixtures("is_short_of_room")
async def test_an_event_that_is_too_large_hides_none_that_came_before_it(
    world: World, desk: Desk
) -> None:
    state, anna = world.state, world.anna
    short = state.add_issue(world.repository, "Short", by=anna)
    long = state.add_issue(world.repository, "Long", by=state.add_user("mallory"), body=LONG)
    desk.bookmark.gaps.clear()
    state.set_label(short, "agent", by=anna)
    state.set_label(long, "bug", by=anna)
    assert [text for text in await desk.look() if "label" in text] == [
        f"anna put the label 'agent' on #{short.number}. Do what your instructions say about that."
    ]
    [issue_itself, event] = desk.bookmark.gaps
    assert issue_itself.since <= event.since <= event.until
    for number in range(3):
        state.set_label(short, f"agent{number}", by=anna)
        assert len(await desk.look()) == 1
    assert len(desk.bookmark.gaps) == 2


async def test_a_list_that_begins_with_the_newest_ends_with_a_gap(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_PAGES", 1)
    state, anna = world.state, world.anna
    read_at = datetime.now(UTC)
    issue = state.add_issue(world.repository, "Busy", by=anna)
    state.assign(issue, [state.users["openloop-bot"]], by=anna)
    _label(world, issue, 150)
    said = await desk.look()
    assert not [text for text in said if "assigned" in text]
    [gap] = desk.bookmark.gaps
    assert gap.since <= read_at + timedelta(seconds=1)
    assert gap.since <= gap.until <= datetime.now(UTC)
    assert await desk.look() == []
    assert len(desk.bookmark.gaps) == 1


async def test_reviews_that_are_not_read_to_their_end_are_told(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_PAGES", 1)
    pull = world.state.add_pull(world.repository, "Fix", by=world.anna, head="fix")
    for _ in range(100):
        world.state.add_review(pull, by=world.state.add_user("mallory"), body="hm")
    world.state.add_review(pull, by=world.anna, body="@openloop-bot what do you think?")
    assert await desk.look() == []
    assert len(desk.bookmark.gaps) == 1


async def test_behind_a_strangers_long_reviews_a_mention_comes_in(world: World, desk: Desk) -> None:
    pull = world.state.add_pull(world.repository, "Fix", by=world.anna, head="fix")
    for _ in range(12):
        world.state.add_review(pull, by=world.state.add_user("mallory"), body=LONG)
    world.state.add_review(pull, by=world.anna, body="@openloop-bot what do you think?")
    assert await desk.look() == ["what do you think?"]
    assert desk.bookmark.gaps == []


async def test_a_list_that_is_refused_is_kept_for_doctor_until_it_is_read_again(
    world: World, desk: Desk
) -> None:
    refused = Raw(body=b'{"message": "Resource not accessible"}', status=403)
    world.rig.faults.fail(EVENTS, with_=refused, times=2)
    await desk.look()
    [(what, why)] = _unread(desk).items()
    assert what == f"{REPO} events"
    assert "Resource not accessible" in why["reason"]
    desk.restart()
    await desk.look()
    assert _unread(desk) == {what: why}
    desk.restart()
    await desk.look()
    assert _unread(desk) == {}


def test_no_text_is_kept_that_nobody_reads() -> None:
    events = next(feed for feed in watching.FEEDS if feed.name == "events")
    runs = next(feed for feed in watching.FEEDS if feed.name == "runs_failure")
    event = {"id": 1, "issue": {"number": 7, "body": LONG}}
    run = {"id": 2, "head_commit": {"message": LONG}, "repository": {}, "head_sha": "abc"}
    assert lean(events, event, is_new=True) == {"id": 1, "issue": {"number": 7}}
    assert lean(runs, run, is_new=True) == {"id": 2, "head_sha": "abc"}
    said = {"id": 3, "body": LONG}
    assert lean(ISSUES, said, is_new=True) == said
    assert lean(ISSUES, said, is_new=False) == {"id": 3}
    assert lean(events, {"id": 4, "issue": None}, is_new=True) == {"id": 4, "issue": None}


# --- threads -------------------------------------------------------------------------------------


async def test_a_thread_of_long_comments_is_read_to_its_newest(world: World, desk: Desk) -> None:
    floods(world)
    world.says("why?")
    found = await Threads(world.client).history(thread_of(world, world.issue), limit=200)
    assert [len(each.text) for each in found[1:]] == [LIMIT] * 20 + [4]


async def test_a_lost_comment_is_found_among_long_ones(world: World, desk: Desk) -> None:
    threads, thread = Threads(world.client), thread_of(world, world.issue)
    floods(world, 8)
    key = str(new_id())
    made = await threads.post(thread, "Because.", key=key, kind="say", part=0)
    progress = await threads.post(thread, "working", key=key, kind="progress", part=0)
    floods(world, 8)
    found = await threads.find(thread, key=key, kind="say")
    assert (dict(found.ids), found.is_certain) == ({0: made}, True)
    assert await threads.find_progress(thread) == progress
    none = await threads.find(thread, key=str(new_id()), kind="say")
    assert (dict(none.ids), none.is_certain) == ({}, True)


@pytest.mark.usefixtures("is_short_of_room")
async def test_what_could_not_be_read_is_not_said_to_be_missing(world: World, desk: Desk) -> None:
    floods(world, 1)
    world.says("why?")
    threads, thread = Threads(world.client), thread_of(world, world.issue)
    found = await threads.find(thread, key=str(new_id()), kind="say")
    assert (dict(found.ids), found.is_certain) == ({}, False)
    with pytest.raises(Ambiguous, match="too large"):
        await world.client.find_comment_by_marker(
            RepoName.parse(REPO), world.issue.number, "key", since=datetime.now(UTC)
        )
    assert [each.text for each in await threads.history(thread, limit=9)][1:] == ["why?"]


async def test_a_page_in_parts_is_the_page(world: World, desk: Desk) -> None:
    repo, number = RepoName.parse(REPO), world.issue.number
    for count in range(25):
        world.says(LONG if count % 3 == 0 else f"{count}")
    found = list[int]()
    page: int | None = 1
    while page is not None:
        listed = await world.client.list_comments(repo, number, page=page, page_size=20)
        found += [comment.id for comment in listed.items]
        page = listed.next_page
    assert found == [comment.id for comment in world.issue.comments]


async def test_a_single_thing_of_the_longest_text_fits_into_an_answer(
    world: World, desk: Desk
) -> None:
    """Whatever people wrote, five of them fit: no page has to be taken apart to its entries."""
    pull = world.state.add_pull(world.repository, "Fix", by=world.anna, head="fix", body=LONG)
    for _ in range(5):
        world.says(LONG)
        world.state.set_label(pull, str(new_id()), by=world.anna)
    await desk.look()
    smallest = min(
        int(call.query["per_page"])
        for operation in (COMMENTS, EVENTS)
        for call in world.rig.made(operation)
    )
    assert smallest >= 5
    assert 5 * 12 * LIMIT < MAX_ANSWER_BYTES


# --- the stride ----------------------------------------------------------------------------------


@given(
    largest=st.sampled_from([100, 50, 30, 20, 7, 2, 1]),
    page=st.integers(1, 4),
    heavy=st.sets(st.integers(0, 400)),
    most=st.integers(0, 6),
)
def test_every_entry_is_passed_once_in_its_order(
    largest: int, page: int, heavy: set[int], most: int
) -> None:
    """Whichever parts are too large: those with more heavy entries than `most`."""
    stride = Stride(largest=largest, at=(page - 1) * largest)
    passed, requests = list[int](), 0
    while stride.gone < largest:
        begin = (stride.page - 1) * stride.size
        covered = range(begin, begin + stride.size)
        requests += 1
        if len(heavy & set(covered)) > most and stride.shorten():
            continue
        passed += covered
        stride.advance()
    assert passed == list(range((page - 1) * largest, page * largest))
    assert requests <= 1 + 2 + 10 + 20 + 100


def _label(world: World, issue: Issue, times: int) -> None:
    """Put a label on and take it away, so often in all."""
    label = world.state.add_label(world.repository, "bug")
    for number in range(times):
        if number % 2:
            world.state.unset_label(issue, label, by=world.anna)
        else:
            world.state.set_label(issue, "bug", by=world.anna)


def _unread(desk: Desk) -> Mapping[str, Any]:
    read: Any = desk.bookmark.read
    return read["unread"]


def _at(read: Mapping[str, object] | None, *, minutes: float) -> Mapping[str, object]:
    """A bookmark as it was some minutes ago."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    assert read is not None
    feeds = {feed.name: {"through": at} for feed in watching.FEEDS}
    return {"repositories": {REPO: {"looked_at": at, "feeds": feeds}}}
