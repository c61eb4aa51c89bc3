"""Taking in events: once each, and only for those who are addressed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.actions.receive import UNBOUND, Taken, receive
from openloop.domain.errors import Unavailable
from openloop.domain.run import RunState
from openloop.storage import conversations, memories
from openloop.storage.database import Database
from tests import make
from tests.runtime.fakes import reply
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from tests.make import Stage


async def test_a_mention_queues_a_run(stage: Stage) -> None:
    received = await stage.say("please summarize")

    assert received.taken is Taken.RUN_QUEUED
    [run] = await stage.runs()
    assert (run.state, run.request, run.requested_by.id) == (
        RunState.QUEUED,
        "please summarize",
        "U0BEN",
    )
    assert (await stage.kinds("run"))[-1] == "run.queued"


async def test_a_redelivery_is_taken_once(stage: Stage) -> None:
    said = make.inbound()
    first = await stage.take(said)
    again = [await stage.take(replace(said, attempt=n)) for n in (1, 2, 3)]

    assert first.taken is Taken.RUN_QUEUED
    assert {received.taken for received in again} == {Taken.DUPLICATE}
    assert len(await stage.runs()) == 1


async def test_twins_that_arrive_together_are_one_message(stage: Stage) -> None:
    """Slack sends `app_mention` and `message` for one human message, at the same time."""
    mention = make.inbound(message_id="m1", subject_key="message:m1")
    twin = replace(mention, delivery_key="another delivery", addressed="followup")
    await stage.mention()  # the thread is known, so both twins are wanted

    async with stage.tx() as tx:  # the first twin has taken its keys...
        keys = {"delivery_key": mention.delivery_key, "subject_key": mention.subject_key}
        first = await conversations.take_keys(tx, stage.workspace, mention.thread, **keys)
        assert first.is_new
        second = asyncio.create_task(stage.take(twin))
        await until_someone_waits_for(tx)  # ...when the second asks for them

    assert (await second).taken is Taken.DUPLICATE


async def test_a_twin_that_is_not_wanted_does_not_take_the_mention_with_it(stage: Stage) -> None:
    """The `message` twin may come first, and may not show that we are mentioned."""
    mention = make.inbound(root="m0", message_id="m1", subject_key="message:m1")
    twin = replace(mention, delivery_key="another delivery", addressed="followup")

    assert (await stage.take(twin)).taken is Taken.IGNORED
    assert (await stage.take(mention)).taken is Taken.RUN_QUEUED


async def test_a_message_to_a_working_run_steers_it(stage: Stage) -> None:
    ref = await stage.mention("first")
    steered = await stage.say("also this", addressed="followup", by="anna")

    assert steered.taken is Taken.STEERED
    assert steered.conversation == ref
    assert len(await stage.runs()) == 1
    assert [message.text for message in await stage.unread(ref)] == ["first", "also this"]


async def test_two_mentions_at_once_are_one_run_and_one_steering(stage: Stage) -> None:
    both = await asyncio.gather(stage.say("one"), stage.say("two"))

    assert sorted(received.taken for received in both) == [Taken.RUN_QUEUED, Taken.STEERED]
    assert len(await stage.runs()) == 1


async def test_an_unmentioned_word_in_a_known_thread_wakes(stage: Stage) -> None:
    ref = await stage.mention()
    await stage.work(ref)

    received = await stage.say("and who does it?", addressed="followup")

    assert received.taken is Taken.RUN_QUEUED
    assert len(await stage.runs()) == 2


async def test_an_unmentioned_word_in_an_unknown_thread_is_not_stored(stage: Stage) -> None:
    received = await stage.say("just talking", addressed="followup", root="elsewhere")

    assert received.taken is Taken.IGNORED
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM messages") == 0
        assert await tx.value("SELECT count(*) FROM conversations") == 0


async def test_a_new_thread_that_addresses_nobody_needs_no_database(stage: Stage) -> None:
    said = make.inbound("just talking", addressed="followup", root="m1", message_id="m1")
    gone = Database("host=127.0.0.1 port=1 dbname=nowhere", size=1)

    received = await receive(gone, stage.workspace, said, wakes=_everything)

    assert received.taken is Taken.IGNORED


async def _everything(tx: object, addressee: object) -> frozenset[str]:
    return frozenset({"mention", "followup"})


async def test_an_agent_that_wants_mentions_only_is_not_woken_by_follow_ups(
    database: Database,
) -> None:
    stage = await make.stage(database, agent={"wake": ["mention"]})
    ref = await stage.mention()
    await stage.work(ref)

    assert (await stage.say("and now?", addressed="followup")).taken is Taken.IGNORED
    assert (await stage.say("and now?")).taken is Taken.RUN_QUEUED


@pytest.mark.parametrize("kind", ["bot", "self"])
async def test_machines_wake_nobody(stage: Stage, kind: str) -> None:
    said = make.inbound("do something")
    machine = replace(said, actor=replace(said.actor, kind=kind))  # pyright: ignore[reportArgumentType]

    assert (await stage.take(machine)).taken is Taken.IGNORED
    assert await stage.runs() == []


# --- channels without an agent -------------------------------------------------------------------


async def test_an_unbound_channel_gets_one_polite_line_once(stage: Stage) -> None:
    first = await stage.say(root="r1", channel="OTHER")
    second = await stage.say(root="r2", channel="OTHER")
    assert (first.taken, second.taken) == (Taken.UNBOUND, Taken.UNBOUND)
    assert first.conversation is not None

    await stage.work(first.conversation)

    assert stage.surface.said == [UNBOUND]
    assert await stage.kinds("place") == ["place.unbound"]
    assert await stage.runs() == []


async def test_nobody_is_told_that_a_channel_is_unbound_who_did_not_speak_to_us(
    stage: Stage,
) -> None:
    received = await stage.say(root="r1", channel="OTHER", addressed="followup")

    assert received.taken is Taken.IGNORED
    assert await stage.kinds("place") == []


async def test_an_unknown_installation_is_ignored(stage: Stage) -> None:
    said = make.inbound()
    foreign = replace(said.thread, place=replace(said.thread.place, tenant="T0OTHER"))

    assert (await stage.take(replace(said, thread=foreign))).taken is Taken.IGNORED


# --- stop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["stop", "Stop.", " CANCEL! ", "stop!"])
async def test_the_stop_word_stops_the_active_run(stage: Stage, word: str) -> None:
    ref = await stage.mention()
    assert (await stage.say(word, by="anna")).taken is Taken.STEERED

    await stage.work(ref)

    run = await stage.run_of(ref)
    assert (run.state, run.outcome) == (RunState.CANCELLED, "stopped by anna")
    assert stage.models.requests == []


@pytest.mark.parametrize("text", ["stop the vacuum", "do not stop", "stop?", "non-stop"])
async def test_other_words_do_not(stage: Stage, text: str) -> None:
    ref = await stage.mention()
    await stage.say(text)

    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_a_stop_with_no_active_run_does_nothing(stage: Stage) -> None:
    assert (await stage.say("stop")).taken is Taken.IGNORED

    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM conversations") == 0
    ref = await stage.mention()
    await stage.work(ref)
    assert (await stage.say("stop")).taken is Taken.IGNORED
    assert len(await stage.runs()) == 1


async def test_the_stop_button_of_a_platform_stops_too(stage: Stage) -> None:
    ref = await stage.mention()
    assert (await stage.say("", kind="stopped")).taken is Taken.STEERED

    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.CANCELLED


# --- edits and deletions -------------------------------------------------------------------------


async def test_an_edit_of_an_unread_message_is_read_as_it_stands(stage: Stage) -> None:
    ref = await stage.mention("deploy on Friday", message_id="m1")
    await stage.say("and tell Anna", message_id="m2")

    for message, text in (("m1", "deploy on Monday"), ("m2", "and tell Priya")):
        edited = await stage.say(text, message_id=message, kind="edited")
        assert edited.taken is Taken.CHANGED
    await stage.work(ref)

    asked = "\n".join(message.content for message in stage.models.requests[0].messages)
    assert "deploy on Monday" in asked
    assert "tell Priya" in asked
    assert "Friday" not in asked
    assert "Anna" not in asked


async def test_a_request_that_is_deleted_before_it_was_read_is_not_worked_on(stage: Stage) -> None:
    ref = await stage.mention("the password is swordfish", message_id="m1")

    assert (await stage.say("", message_id="m1", kind="deleted")).taken is Taken.CHANGED
    await stage.work(ref)

    assert stage.models.requests == []
    run = await stage.run_of(ref)
    assert (run.state, run.error_code) == (RunState.DECLINED, "request_deleted")
    assert "swordfish" not in run.request
    assert stage.surface.said == []


async def test_what_others_said_is_not_deleted_with_it(stage: Stage) -> None:
    ref = await stage.mention("hello", by="mallory", message_id="m1")
    await stage.say("why does it fail?", by="anna", message_id="m2", addressed="mention")

    await stage.say("", by="mallory", message_id="m1", kind="deleted")
    await stage.work(ref)

    [gone, asked] = sorted(await stage.runs(), key=lambda run: run.queued_at)
    assert (gone.state, asked.state) == (RunState.DECLINED, RunState.DONE)
    assert asked.request == "why does it fail?"


async def test_what_is_deleted_while_it_is_worked_on_stops_nothing(stage: Stage) -> None:
    async def delete(request: object) -> None:
        await stage.say("", message_id="m1", kind="deleted")

    stage.models.before = delete
    ref = await stage.mention("why does it fail?", message_id="m1")
    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_an_edit_of_what_was_read_changes_nothing(stage: Stage) -> None:
    stage.models.turns = [reply("Done.")]
    ref = await stage.mention("deploy on Friday", message_id="m1")
    await stage.work(ref)

    await stage.say("deploy on Monday", message_id="m1", kind="edited")

    assert (await stage.run_of(ref)).request == "deploy on Friday"
    async with stage.tx() as tx:
        assert await tx.value("SELECT text FROM messages") == "deploy on Friday"


@pytest.mark.parametrize("kind", ["edited", "deleted"])
async def test_what_was_remembered_because_of_a_message_goes_with_it(
    stage: Stage, kind: str
) -> None:
    stage.models.turns = [reply("Noted.", make.NOTE), reply("Done.")]
    ref = await stage.mention("we move to Postgres 16", message_id="m1")
    await stage.work(ref)
    async with stage.tx() as tx:
        assert len(await memories.list_newest(tx, limit=5)) == 1

    await stage.say("never mind", message_id="m1", kind=kind)

    async with stage.tx() as tx:
        assert await memories.list_newest(tx, limit=5) == []
    assert (await stage.kinds("memory"))[-1] == "memory.retracted"


async def test_an_edit_elsewhere_is_ignored(stage: Stage) -> None:
    received = await stage.say("x", root="unknown", message_id="m1", kind="edited")
    assert received.taken is Taken.IGNORED


# --- when it cannot be committed -----------------------------------------------------------------


async def test_what_cannot_be_committed_leaves_nothing(stage: Stage) -> None:
    """The platform is told 503 and delivers again: the second delivery must not be a duplicate."""
    said = make.inbound()
    failing = _FailsBeforeItsEnd(stage)

    with pytest.raises(Unavailable):
        await receive(failing, stage.workspace, said, wakes=_everything)  # pyright: ignore[reportArgumentType]

    async with stage.tx() as tx:
        for table in ("taken_keys", "messages", "runs", "conversations"):
            assert await tx.value(f"SELECT count(*) FROM {table}") == 0  # noqa: S608
    assert (await stage.take(said)).taken is Taken.RUN_QUEUED


async def test_a_click_that_cannot_be_committed_leaves_nothing(stage: Stage) -> None:
    ref, token = await stage.hold()
    press = make.click("approve", token, by="anna")
    failing = make.Intake(_FailsBeforeItsEnd(stage), stage.configuration)  # pyright: ignore[reportArgumentType]

    with pytest.raises(Unavailable):
        await failing.take(press, stage.workspace)
    assert (await stage.approval(ref)).state == "pending"

    await stage.take(press)
    assert (await stage.approval(ref)).state == "approved"


async def test_a_server_that_is_gone_is_told_to_the_platform(stage: Stage) -> None:
    gone = Database("host=127.0.0.1 port=1 dbname=nowhere", size=1)
    with pytest.raises(Unavailable):
        await receive(gone, stage.workspace, make.inbound(), wakes=_everything)
    await gone.close()


class _FailsBeforeItsEnd:
    """A database whose connection is cut right before each commit."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def transaction(self, workspace: object) -> _Cut:
        return _Cut(self._stage.tx())


class _Cut:
    def __init__(self, inner: object) -> None:
        self._inner = inner

    async def __aenter__(self) -> object:
        return await self._inner.__aenter__()  # pyright: ignore

    async def __aexit__(self, *raised: object) -> None:
        cut = Unavailable("the connection was cut")
        await self._inner.__aexit__(type(cut), cut, None)  # pyright: ignore
        raise cut


async def test_text_that_no_database_takes_is_taken_all_the_same(stage: Stage) -> None:
    ref = await stage.mention("nul \x00 byte")

    await stage.work(ref)

    assert (await stage.run_of(ref)).request == "nul  byte"
    assert stage.surface.said == ["All done."]


async def test_more_messages_than_are_read_at_once_are_all_read(stage: Stage) -> None:
    ref = await stage.mention("start")
    await asyncio.gather(*(stage.say(f"more {n}", addressed="followup") for n in range(60)))

    await stage.work(ref)
    await stage.sweep_and_work(ref)

    assert await stage.unread(ref) == []
