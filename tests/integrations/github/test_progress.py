"""Progress: an eye at once, one comment where it takes long, and nothing left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.domain.ids import new_id
from openloop.domain.surface import Say, SetStatus
from tests.integrations.github.conftest import BOT, surface_on, thread_of

if TYPE_CHECKING:
    from openloop.testing.rigs.github import GitHubRig
    from openloop.testing.rigs.github.rows import Comment, Issue

SECONDS = 0.4
EDIT = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}"
WORKING = SetStatus(text="is working on it")


def ours(issue: Issue) -> list[Comment]:
    return [each for each in issue.comments if each.author.login == BOT]


async def test_an_eye_is_put_on_what_was_asked_and_nothing_is_said(
    rig: GitHubRig, issue: Issue
) -> None:
    asked = rig.state.add_comment(issue, "@openloop why?", by=rig.state.add_user("anna"))
    async with surface_on(rig) as surface:
        status = SetStatus(text="is working on it", message_id=f"c{asked.id}")
        for _ in range(2):
            receipt = await surface.perform(status, thread_of(issue), key=str(new_id()))
            assert receipt.outcome == "done"
        await surface.perform(Say(markdown="Because."), thread_of(issue), key=str(new_id()))
    assert [each.content for each in asked.reactions] == ["eyes"]
    assert [each.body.split("\n")[0] for each in ours(issue)] == ["Because."]


async def test_what_takes_long_has_one_comment_which_goes_with_the_answer(
    rig: GitHubRig, issue: Issue
) -> None:
    thread = thread_of(issue)
    loop = asyncio.get_running_loop()
    async with surface_on(rig, progress_seconds=SECONDS) as surface:
        began = loop.time()
        await surface.perform(WORKING, thread, key=str(new_id()))
        await rig.until(lambda: ours(issue))
        assert loop.time() - began >= SECONDS
        for number in range(20):
            status = SetStatus(text=f"is working on it ({number} steps so far)")
            await surface.perform(status, thread, key=str(new_id()))
        await rig.until(lambda: "19 steps" in ours(issue)[0].body)
        assert loop.time() - began >= 2 * SECONDS
        assert len(rig.made(EDIT)) == 1
        await surface.perform(Say(markdown="Because."), thread, key=str(new_id()))
    assert [each.body.split("\n")[0] for each in ours(issue)] == ["Because."]


@pytest.mark.parametrize("op", [Say(markdown="Because."), SetStatus(text="", state="idle")])
async def test_what_another_process_left_is_taken_over_or_away(
    rig: GitHubRig, issue: Issue, op: Say | SetStatus
) -> None:
    thread = thread_of(issue)
    async with surface_on(rig, progress_seconds=0.01) as died:
        await died.perform(WORKING, thread, key=str(new_id()))
        await rig.until(lambda: ours(issue))
    (left,) = ours(issue)
    async with surface_on(rig, progress_seconds=0.01) as next_one:
        await next_one.perform(SetStatus(text="goes on"), thread, key=str(new_id()))
        await rig.until(lambda: "goes on" in left.body)
        assert ours(issue) == [left]
    async with surface_on(rig) as last:
        await last.perform(op, thread, key=str(new_id()))
    assert left not in ours(issue)
