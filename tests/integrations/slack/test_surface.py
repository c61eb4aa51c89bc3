"""The surface against a fake Slack: what is posted, and what becomes of failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.surface import Amend, Ask, Say, SetStatus, Settle, Whisper
from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.rigs.faults import (
    DropAnswer,
    DropRequest,
    Refuse,
    ServerError,
    Slow,
    TooMany,
)
from tests.integrations.slack import make
from tests.integrations.slack.reading import words

if TYPE_CHECKING:
    from openloop.domain.surface import Op
    from openloop.testing.rigs.faults import Fault
    from openloop.testing.rigs.slack import Message, SlackRig

ASK = Ask(card=make.card(), buttons=(make.APPROVE, make.REJECT))
LONG = "".join(f"{number} " for number in range(8_000))


async def question(rig: SlackRig) -> Message:
    return await rig.say("#dev-platform", by="priya", text="<@U0BOT> why?", deliver=False)


async def test_an_answer_is_posted_into_the_thread(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    receipt = await slack.perform(
        Say(markdown="Because *so*."), make.thread_of(asked), key=make.KEY
    )
    (reply,) = rig.replies_to(asked)
    assert (receipt.outcome, receipt.message_ids) == ("done", (reply.ts,))
    assert reply.words == "Because \nso\n."
    (call,) = rig.calls_of("chat.postMessage")
    assert call.args["unfurl_links"] is call.args["unfurl_media"] is False
    assert reply.metadata == {
        "event_type": "openloop_op",
        "event_payload": {"key": make.KEY, "part": 0, "kind": "say"},
    }


async def test_a_long_answer_is_several_messages_in_order(
    rig: SlackRig, slack: SlackSurface
) -> None:
    asked = await question(rig)
    receipt = await slack.perform(Say(markdown=LONG), make.thread_of(asked), key=make.KEY)
    replies = rig.replies_to(asked)
    assert receipt.message_ids == tuple(reply.ts for reply in replies)
    assert len(replies) > 2
    assert "".join(words(reply.blocks) for reply in replies).split() == LONG.split()


async def test_a_card_goes_round(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    thread = make.thread_of(asked)
    posted = await slack.perform(ASK, thread, key=make.KEY)
    (message_id,) = posted.message_ids
    (reply,) = rig.replies_to(asked)
    assert [(button.action_id, button.value) for button in reply.buttons] == [
        ("approve", "token-1"),
        ("reject", "token-1"),
    ]
    settle = Settle(message_id=message_id, card=ASK.card, outcome="Approved by anna")
    settled = await slack.perform(settle, thread, key="another")
    assert settled.outcome == "done"
    assert rig.current(reply).buttons == ()
    assert "Approved by anna" in rig.current(reply).words


async def test_an_answer_can_be_amended(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    thread = make.thread_of(asked)
    posted = await slack.perform(Say(markdown="Saved."), thread, key=make.KEY)
    amend = Amend(message_id=posted.message_ids[0], markdown="Undone.")
    assert (await slack.perform(amend, thread, key="another")).outcome == "done"
    (reply,) = rig.replies_to(asked)
    assert reply.words == "Undone."


async def test_a_whisper_reaches_one_person(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    whisper = Whisper(to_id="U0BEN", markdown="Only anna may decide this.")
    receipt = await slack.perform(whisper, make.thread_of(asked), key=make.KEY)
    (shown,) = rig.ephemerals
    assert receipt.outcome == "done"
    assert (shown.user, shown.thread_ts) == ("U0BEN", asked.ts)


async def test_a_status_is_shown_and_cleared(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    thread = make.thread_of(asked)
    await slack.perform(SetStatus(text="is reading\nthe thread"), thread, key="1")
    assert rig.workspace.shown_status("C0DEV", asked.ts) == "is reading the thread"
    await slack.perform(SetStatus(text="anything", state="idle"), thread, key="2")
    assert rig.workspace.shown_status("C0DEV", asked.ts) is None


@pytest.mark.parametrize("fault", [TooMany(), ServerError(), DropAnswer(), Refuse(error="nope")])
async def test_a_status_that_fails_is_given_up_at_once(
    rig: SlackRig, slack: SlackSurface, fault: Fault
) -> None:
    asked = await question(rig)
    rig.faults.fail("assistant.threads.setStatus", with_=fault)
    receipt = await slack.perform(SetStatus(text="x"), make.thread_of(asked), key="1")
    assert receipt.outcome == "refused"
    assert len(rig.calls_of("assistant.threads.setStatus")) == 1


@pytest.mark.parametrize("op", [Say(markdown="x"), ASK, Whisper(to_id="U0BEN", markdown="x")])
async def test_a_rate_limit_says_when_to_come_back(
    rig: SlackRig, slack: SlackSurface, op: Op
) -> None:
    asked = await question(rig)
    rig.faults.fail(with_=TooMany(retry_after_seconds=30))
    before = datetime.now(UTC)
    receipt = await slack.perform(op, make.thread_of(asked), key=make.KEY)
    assert receipt.outcome == "retry"
    assert receipt.retry_at is not None
    assert timedelta(seconds=29) < receipt.retry_at - before < timedelta(seconds=32)
    assert rig.replies_to(asked) == []


@pytest.mark.parametrize(
    "fault", [DropAnswer(), ServerError(after_commit=True), Slow(seconds=60), DropRequest()]
)
@pytest.mark.parametrize("op", [Say(markdown="x"), ASK])
async def test_a_lost_answer_is_looked_up_and_not_repeated(
    rig: SlackRig, fault: Fault, op: Op
) -> None:
    slack = SlackSurface(make.rig_settings(rig, timeout_seconds=2.0))
    asked = await question(rig)
    thread = make.thread_of(asked)
    rig.faults.fail("chat.postMessage", with_=fault)
    lost = await slack.perform(op, thread, key=make.KEY)
    assert lost.outcome == "unknown"
    assert (lost.retry_at is not None) is isinstance(fault, Slow)
    found = await slack.look_up(op, thread, key=make.KEY)
    if isinstance(fault, DropRequest):
        assert (found.outcome, found.message_ids) == ("retry", ())
        found = await slack.perform(op, thread, key=make.KEY)
    (reply,) = rig.replies_to(asked)
    assert (found.outcome, found.message_ids) == ("done", (reply.ts,))
    await slack.aclose()


async def test_only_our_own_message_with_that_key_is_found(
    rig: SlackRig, slack: SlackSurface
) -> None:
    asked = await question(rig)
    thread = make.thread_of(asked)
    await slack.perform(Say(markdown="x"), thread, key="another key")
    rig.workspace.post(
        rig.channels.get("C0DEV"),
        author=rig.people.add("otherbot", kind="bot"),
        text="x",
        thread_ts=asked.ts,
        metadata={
            "event_type": "openloop_op",
            "event_payload": {"key": make.KEY, "part": 0, "kind": "say"},
        },
    )
    assert (await slack.look_up(Say(markdown="x"), thread, key=make.KEY)).outcome == "retry"


@pytest.mark.parametrize("key", [make.KEY, "no time in it"], ids=["uuid7", "no-time"])
async def test_a_look_up_reads_what_may_be_younger_than_the_op(
    rig: SlackRig, slack: SlackSurface, key: str
) -> None:
    asked = await question(rig)
    thread = make.thread_of(asked)
    posted = await slack.perform(Say(markdown="x"), thread, key=key)
    found = await slack.look_up(Say(markdown="x"), thread, key=key)
    assert (found.outcome, found.message_ids) == ("done", posted.message_ids)
    (call,) = rig.calls_of("conversations.replies")
    assert ("oldest" in call.args) is (key == make.KEY)


async def test_a_look_up_that_fails_does_not_guess(rig: SlackRig, slack: SlackSurface) -> None:
    asked = await question(rig)
    for fault in (TooMany(), ServerError(), Refuse(error="not_in_channel"), DropAnswer()):
        rig.faults.fail("conversations.replies", with_=fault)
        found = await slack.look_up(Say(markdown="x"), make.thread_of(asked), key=make.KEY)
        assert found.outcome == "unknown"


async def test_a_long_answer_cut_off_half_way_is_completed(rig: SlackRig) -> None:
    first, second = (SlackSurface(make.rig_settings(rig)) for _ in range(2))
    asked = await question(rig)
    thread = make.thread_of(asked)
    say = Say(markdown=LONG)
    rig.faults.fail("chat.postMessage", with_=TooMany(), skip=1)
    halted = await first.perform(say, thread, key=make.KEY)
    assert (halted.outcome, len(halted.message_ids)) == ("retry", 1)
    rig.faults.fail("chat.postMessage", with_=DropAnswer(), skip=1)
    lost = await first.perform(say, thread, key=make.KEY)
    assert (lost.outcome, len(lost.message_ids)) == ("unknown", 2)
    found = await second.look_up(say, thread, key=make.KEY)
    finished = await second.perform(say, thread, key=make.KEY)
    replies = rig.replies_to(asked)
    assert finished.outcome == "done"
    assert finished.message_ids == tuple(reply.ts for reply in replies)
    assert found.message_ids == finished.message_ids[: len(found.message_ids)]
    assert "".join(words(reply.blocks) for reply in replies).split() == LONG.split()
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("op", [Settle(message_id="1.2", card=make.card(), outcome="x")])
async def test_what_only_sets_something_is_simply_repeated(
    rig: SlackRig, slack: SlackSurface, op: Op
) -> None:
    asked = await question(rig)
    rig.faults.fail("chat.update", with_=DropAnswer())
    assert (await slack.perform(op, make.thread_of(asked), key="1")).outcome == "retry"
    assert (await slack.look_up(op, make.thread_of(asked), key="1")).outcome == "retry"


@pytest.mark.parametrize(
    "error", ["channel_not_found", "not_in_channel", "is_archived", "msg_too_long", "new_error"]
)
async def test_a_refusal_is_final_and_named(rig: SlackRig, slack: SlackSurface, error: str) -> None:
    asked = await question(rig)
    rig.faults.fail("chat.postMessage", with_=Refuse(error=error))
    receipt = await slack.perform(Say(markdown="x"), make.thread_of(asked), key=make.KEY)
    assert receipt.outcome == "refused"
    assert error in receipt.detail


@pytest.mark.parametrize("error", ["token_revoked", "invalid_auth", "missing_scope"])
async def test_a_token_that_is_refused_loses_no_answer(
    rig: SlackRig, slack: SlackSurface, error: str
) -> None:
    asked = await question(rig)
    rig.faults.token_error = error
    receipt = await slack.perform(Say(markdown="x"), make.thread_of(asked), key=make.KEY)
    assert (receipt.outcome, error in receipt.detail) == ("retry", True)
    assert receipt.retry_at is not None
    assert receipt.retry_at - datetime.now(UTC) > timedelta(seconds=50)
    rig.faults.token_error = None
    again = await slack.perform(Say(markdown="x"), make.thread_of(asked), key=make.KEY)
    assert again.outcome == "done"


async def test_blocks_that_slack_will_not_take_are_posted_as_text(
    rig: SlackRig, slack: SlackSurface
) -> None:
    asked = await question(rig)
    rig.faults.fail("chat.postMessage", with_=Refuse(error="msg_blocks_too_long"))
    receipt = await slack.perform(Say(markdown="plain *x*"), make.thread_of(asked), key=make.KEY)
    (reply,) = rig.replies_to(asked)
    assert receipt.outcome == "done"
    assert (reply.text, reply.blocks) == ("plain x", ())


async def test_an_unreachable_slack_is_tried_again() -> None:
    slack = SlackSurface(make.settings(api_url="http://127.0.0.1:9/api/"))
    receipt = await slack.perform(Say(markdown="x"), make.thread(), key=make.KEY)
    assert (receipt.outcome, receipt.retry_at) == ("retry", None)
    await slack.aclose()


@pytest.mark.parametrize("fault", [TooMany(), ServerError(), DropAnswer(), Refuse(error="nope")])
async def test_no_failure_names_the_token(
    rig: SlackRig, slack: SlackSurface, fault: Fault, caplog: Any
) -> None:
    asked = await question(rig)
    rig.faults.fail("chat.postMessage", with_=fault)
    receipt = await slack.perform(Say(markdown="x"), make.thread_of(asked), key=make.KEY)
    assert "xoxb" not in repr(receipt) + caplog.text + repr(make.rig_settings(rig))


async def test_the_thread_is_read_with_names_and_times(rig: SlackRig, slack: SlackSurface) -> None:
    rig.people.add("priya", real_name="Priya")
    asked = await rig.say("#dev-platform", by="priya", text="<@U0BOT> &amp; <@U0ANNA>: why?")
    await rig.say("#dev-platform", by="anna", text="see <https://x.example|this>", thread=asked)
    thread = make.thread_of(asked)
    await slack.perform(Say(markdown="Because @here.", footer="cost"), thread, key="1")
    await slack.perform(ASK, thread, key="2")
    await rig.say("#dev-platform", by="ben", text="thanks", thread=asked)
    history = await slack.history(thread, limit=50)
    assert [(m.author_name, m.text, m.by_us) for m in history] == [
        ("priya", "& @anna: why?", False),
        ("anna", "see this (https://x.example)", False),
        ("openloop", "Because @here.", True),
        ("ben", "thanks", False),
    ]
    assert [m.sent_at for m in history] == sorted(m.sent_at for m in history)
    assert history[0].link.endswith(f"/C0DEV/p{asked.ts.replace('.', '')}")


async def test_the_newest_messages_of_a_long_thread_are_read(
    rig: SlackRig, slack: SlackSurface
) -> None:
    asked = await question(rig)
    for number in range(1200):
        rig.workspace.say(
            rig.channels.get("C0DEV"),
            author=rig.people.get("anna"),
            text=f"m{number}",
            thread_ts=asked.ts,
            publish=False,
        )
    history = await slack.history(make.thread_of(asked), limit=3)
    assert [message.text for message in history] == ["m1197", "m1198", "m1199"]
    assert len(rig.calls_of("conversations.replies")) == 2
    assert len(rig.calls_of("users.info")) == 1


async def test_a_name_that_cannot_be_resolved_stands_for_itself(
    rig: SlackRig, slack: SlackSurface
) -> None:
    asked = await question(rig)
    rig.faults.fail("users.info", with_=ServerError(), times=None)
    (message,) = await slack.history(make.thread_of(asked), limit=10)
    assert message.author_name == "U0PRIYA"
