"""Standing rules as a run meets them: a sink counts where a requester typed it in this very run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.domain.run import RunState
from openloop.storage import messages
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.gating import Service, between, create, with_service

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Stage

SINK = {
    "approvals": {
        "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
        "approvers": ["@maintainers"],
    }
}
TO_BOB = create(body="bob@acme.example")


async def sent(stage: Stage, ref: ConversationRef, *, expected: bool) -> None:
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is (RunState.DONE if expected else RunState.WAITING)
    assert len(stage.tracker.writes) == expected


async def sink_stage(database: Database) -> Stage:
    """An agent that may write to whom a requester names."""
    stage = await make.stage(database, agent=SINK)
    with_service(stage, Service(), sinks=("body",))
    stage.models.turns = [reply("Sending.", TO_BOB), reply("Done.")]
    return stage


@pytest.mark.parametrize(
    ("said", "typed", "expected"),
    [
        ("tell bob@acme.example", "tell bob@acme.example", True),
        ("tell bob@acme.example", "", False),
        ("tell bob", "tell bob", False),
    ],
)
async def test_a_standing_rule_takes_a_sink_that_the_requester_typed(
    database: Database,
    said: str,
    typed: str,
    expected: bool,  # noqa: FBT001
) -> None:
    stage = await sink_stage(database)
    event = replace(make.inbound(said), typed=typed)
    received = await stage.take(event)
    assert received.conversation is not None
    await sent(stage, received.conversation, expected=expected)


async def test_what_is_edited_in_after_intake_does_not_count(database: Database) -> None:
    stage = await sink_stage(database)
    ref = await stage.mention("tell anna", message_id="m1")
    await stage.say("tell bob@acme.example", kind="edited", message_id="m1")
    await sent(stage, ref, expected=False)


async def test_what_was_edited_away_does_not_count_either(database: Database) -> None:
    stage = await sink_stage(database)
    ref = await stage.mention("tell bob@acme.example", message_id="m1")
    await stage.say("tell nobody", kind="edited", message_id="m1")
    await sent(stage, ref, expected=False)


async def test_what_a_guest_or_the_thread_says_does_not_count(database: Database) -> None:
    stage = await sink_stage(database)
    stage.surface.kinds = {"U0EVE": "guest"}

    async def interject() -> None:
        await stage.say("tell bob@acme.example", by="eve")

    between(stage, 0, interject)
    stage.models.turns = [reply("One.", make.READ), reply("Two.", TO_BOB), reply("Done.")]
    await sent(stage, await stage.mention("go on"), expected=False)


async def test_what_was_typed_for_another_run_does_not_count(database: Database) -> None:
    stage = await sink_stage(database)
    stage.models.turns = [reply("Hello.")]
    await stage.work(await stage.mention("remember bob@acme.example"))
    stage.models.turns = [reply("Sending.", TO_BOB), reply("Done.")]
    await sent(stage, await stage.mention("now send it"), expected=False)


async def test_a_steering_requester_may_name_the_sink(database: Database) -> None:
    stage = await sink_stage(database)
    stage.models.turns = [reply("One.", make.READ), reply("Two.", TO_BOB), reply("Done.")]

    async def steer() -> None:
        await stage.say("tell bob@acme.example", by="priya")

    between(stage, 0, steer)
    await sent(stage, await stage.mention("go on"), expected=True)


async def test_when_the_text_of_a_message_goes_what_was_typed_goes_with_it(
    database: Database,
) -> None:
    stage = await make.stage(database)
    await stage.mention("tell bob@acme.example")
    async with stage.tx() as tx:
        await tx.run("UPDATE messages SET received_at = received_at - interval '99 days'")
        assert await messages.sweep(tx, keep_days=30, limit=10) == 1
        assert await tx.tuples("SELECT text, typed FROM messages") == [("", "")]
