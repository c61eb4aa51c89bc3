"""Attacks on endings: however a run ends, people see what it noted, and who they are is no markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.surface import Say
from openloop.storage import memories
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from tests.make import Stage


async def test_a_note_of_a_run_that_is_stopped_is_shown_with_its_undo(stage: Stage) -> None:
    """A model could save what it likes and wait for the stop that hides it."""
    stage.models.turns = [reply("Noting.", make.NOTE, make.CREATE)]
    ref = await stage.mention()
    await stage.work(ref)

    await stage.say("stop", by="anna")
    await stage.work(ref)

    last = list(stage.surface.posted.values())[-1]
    assert isinstance(last, Say)
    assert last.markdown.startswith("Stopped, as anna asked.")
    assert "We move to Postgres 16." in last.markdown
    [undo] = last.buttons
    await stage.press("undo", by="ben", token=undo.token)
    async with stage.tx() as tx:
        assert await memories.list_newest(tx, limit=5) == []


async def test_a_note_beyond_the_buttons_of_one_message_can_be_undone_too(stage: Stage) -> None:
    notes = [("memory__note", f'{{"kind": "fact", "text": "Fact {n}."}}') for n in range(8)]
    stage.models.turns = [reply("Noting.", *notes), reply("All done.")]
    ref = await stage.mention()
    await stage.work(ref)

    last = list(stage.surface.posted.values())[-1]
    assert isinstance(last, Say)
    for button in last.buttons:
        await stage.press("undo", by="ben", token=button.token)
    async with stage.tx() as tx:
        assert await memories.list_newest(tx, limit=9) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[a link](https://evil.example)", "a link https evil.example"),
        ("**bold**\n# heading", "bold heading"),
        ("you\u202e", "you"),
        ("Anna-Lena O'Neil Jr.", "Anna-Lena O'Neil Jr."),
        ("李小龙", "李小龙"),
        ("***", "somebody"),
    ],
)
async def test_the_name_of_whoever_stops_a_run_is_plain_words(
    stage: Stage, name: str, shown: str
) -> None:
    stage.surface.names = {"U0ANNA": name}
    ref, _ = await stage.hold()

    await stage.say("stop", by="anna")
    await stage.work(ref)

    assert stage.surface.said == [f"Stopped, as {shown} asked."]


async def test_a_run_with_nothing_to_say_takes_its_status_back(stage: Stage) -> None:
    """Else the thread reads that it is still being worked on."""
    stage.models.turns = [reply("")]
    ref = await stage.mention()
    await stage.work(ref)

    assert stage.surface.said == []
    assert [status.state for status in stage.surface.statuses] == ["working", "idle"]
