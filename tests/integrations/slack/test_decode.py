"""What becomes of Slack's payloads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from openloop.domain.surface import Accepted, Inbound, Rejected
from openloop.integrations.slack.surface import SlackSurface
from tests.integrations.slack import make

SURFACE = SlackSurface(make.settings())


def accept(payload: object) -> Accepted:
    return SURFACE.accept(make.delivery(payload))


def taken(**fields: Any) -> Inbound:
    (inbound,) = accept(make.event(**fields)).events
    return inbound


def test_a_mention_becomes_an_event_with_both_keys() -> None:
    inbound = taken()
    assert inbound.delivery_key == "A0OPENLOOP:T0ACME:Ev01"
    assert inbound.subject_key == f"message:T0ACME:C0DEV:{make.ROOT}"
    assert inbound.thread == make.thread()
    assert (inbound.kind, inbound.addressed, inbound.text) == (
        "message",
        "mention",
        "summarize this",
    )
    assert (inbound.actor.id, inbound.actor.tenant) == ("U0PRIYA", "T0ACME")
    assert inbound.occurred_at == datetime(2026, 11, 23, 12, 0, 0, 100, UTC)
    assert inbound.link == "https://slack.com/archives/C0DEV/p1795435200000100"


def test_the_twins_of_one_message_share_their_subject() -> None:
    message = taken()
    (mention,) = accept(make.event("Ev02", type="app_mention", channel_type=None)).events
    assert mention.delivery_key != message.delivery_key
    assert mention.subject_key == message.subject_key
    assert mention.addressed == message.addressed == "mention"


def test_a_reply_belongs_to_the_thread_of_its_root() -> None:
    reply = taken(ts="1795435260.000300", thread_ts=make.ROOT, text="and the costs?")
    assert reply.thread.root == make.ROOT
    assert reply.addressed == "followup"
    assert reply.link.endswith(f"p1795435260000300?thread_ts={make.ROOT}&cid=C0DEV")


@pytest.mark.parametrize(
    ("text", "addressed"),
    [
        ("please, <@U0BOT>: look", "mention"),
        ("<@U0BOT|openloop> look", "mention"),
        ("`<@U0BOT>` is its name", "followup"),
        ("```\n<@U0BOT>\n```", "followup"),
        ("&gt; <@U0BOT> do it\nI disagree", "followup"),
        ("&gt;&gt;&gt; <@U0BOT> do it\nall quoted", "followup"),
        ("&gt; quoted\n<@U0BOT> now you", "mention"),
        ("<@U0BOTHER> hi", "followup"),
        ("@openloop hi", "followup"),
    ],
)
def test_only_words_of_ones_own_address_the_agent(text: str, addressed: str) -> None:
    assert taken(text=text).addressed == addressed


def test_a_direct_message_needs_no_mention() -> None:
    assert taken(channel="D0PRIYA", channel_type="im", text="hello").addressed == "dm"


@pytest.mark.parametrize(
    "fields",
    [
        {"bot_id": "B0OTHER"},
        {"user": "U0BOT"},
        {"user": "USLACKBOT"},
        {"subtype": "bot_message", "user": None},
        {"hidden": True},
        {"subtype": "channel_join"},
        {"subtype": "channel_topic"},
        {"subtype": "reminder_add"},
        {"type": "reaction_added"},
        {"type": "member_joined_channel"},
        {"type": "something_new"},
        {"ts": "not a time"},
        {"channel": None},
        {"user": 17},
    ],
)
def test_what_is_not_a_person_speaking_is_acknowledged_and_nothing_else(
    fields: dict[str, Any],
) -> None:
    assert accept(make.event(**fields)) == Accepted()


@pytest.mark.parametrize("subtype", ["thread_broadcast", "file_share"])
def test_a_broadcast_reply_and_a_file_with_words_are_messages(subtype: str) -> None:
    assert taken(subtype=subtype).kind == "message"


def test_files_are_named_in_the_text() -> None:
    inbound = taken(subtype="file_share", text="see", files=[{"name": "<trace>.txt"}, {}])
    assert inbound.text == "see\n[file: <trace>.txt]"


def test_an_edit_is_an_event_of_its_own() -> None:
    before = {"user": "U0PRIYA", "ts": make.ROOT, "text": "old"}
    after = {
        **before,
        "text": "<@U0BOT> new",
        "edited": {"user": "U0PRIYA", "ts": "1795435300.000000"},
    }
    inbound = taken(
        subtype="message_changed", hidden=True, message=after, previous_message=before, user=None
    )
    assert inbound.kind == "edited"
    assert inbound.message_id == make.ROOT
    assert inbound.subject_key == f"edited:T0ACME:C0DEV:{make.ROOT}:1795435300.000000"
    assert (inbound.text, inbound.addressed) == ("new", "mention")


def test_an_unfurl_is_no_edit() -> None:
    message = {"user": "U0PRIYA", "ts": make.ROOT, "text": "same"}
    payload = make.event(
        subtype="message_changed",
        message={**message, "attachments": [{"id": 1}]},
        previous_message=message,
    )
    assert accept(payload) == Accepted()


def test_a_deletion_names_what_is_gone() -> None:
    gone = {"user": "U0PRIYA", "ts": "1795435260.000300", "thread_ts": make.ROOT, "text": "x"}
    inbound = taken(
        subtype="message_deleted",
        hidden=True,
        deleted_ts="1795435260.000300",
        previous_message=gone,
        event_ts="1795435400.000000",
    )
    assert (inbound.kind, inbound.message_id) == ("deleted", "1795435260.000300")
    assert inbound.thread.root == make.ROOT
    assert inbound.subject_key == "deleted:T0ACME:C0DEV:1795435260.000300"


def test_an_answered_message_that_is_deleted_leaves_a_tombstone() -> None:
    before = {"user": "U0PRIYA", "ts": make.ROOT, "text": "x"}
    tomb = {"subtype": "tombstone", "ts": make.ROOT, "user": "USLACKBOT", "hidden": True}
    inbound = taken(subtype="message_changed", message=tomb, previous_message=before)
    assert (inbound.kind, inbound.message_id) == ("deleted", make.ROOT)


def test_the_stop_button_is_a_stop() -> None:
    inbound = taken(
        type="agent_session_stopped",
        thread_ts=make.ROOT,
        event_ts="1795435300.000000",
        streaming_message_ts=[],
    )
    assert (inbound.kind, inbound.thread.root) == ("stopped", make.ROOT)


def test_somebody_of_another_organisation_keeps_its_id() -> None:
    inbound = taken(user_team="T0PARTNER", source_team="T0PARTNER")
    assert inbound.actor.tenant == "T0PARTNER"
    assert inbound.thread.place.tenant == "T0ACME"


def test_a_click_carries_its_token_and_thread() -> None:
    (inbound,) = SURFACE.accept(make.click_delivery(make.click())).events
    assert inbound.kind == "choice"
    assert inbound.thread == make.thread()
    assert inbound.actor.id == "U0ANNA"
    choice = inbound.choice
    assert choice is not None
    assert (choice.action, choice.token) == ("approve", "token-1")
    assert choice.message_id == "1795435201.000200"
    assert choice.response_url == "https://hooks.slack.com/actions/T0ACME/1/abc"


def test_a_redelivered_click_has_the_same_keys_and_a_second_one_others() -> None:
    def keys(**changes: Any) -> tuple[str, str]:
        (inbound,) = SURFACE.accept(make.click_delivery(make.click(**changes))).events
        return inbound.delivery_key, inbound.subject_key

    assert keys() == keys()
    assert keys()[1] != keys(trigger_id="13345.2")[1]
    assert keys()[1] != keys(user={"id": "U0BEN", "team_id": "T0ACME"})[1]


def test_the_number_of_a_repeated_action_is_taken_off() -> None:
    action = {**make.click()["actions"][0], "action_id": "undo#2"}
    (inbound,) = SURFACE.accept(make.click_delivery(make.click(actions=[action]))).events
    assert inbound.choice is not None
    assert inbound.choice.action == "undo"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/actions",
        "http://hooks.slack.com/actions",
        "https://hooks.slack.com.evil.example/a",
        "https://hooks.slack.com@evil.example/a",
        "https://[bad",
        "",
    ],
)
def test_an_answer_address_that_is_not_slacks_is_dropped(url: str) -> None:
    (inbound,) = SURFACE.accept(make.click_delivery(make.click(response_url=url))).events
    assert inbound.choice is not None
    assert inbound.choice.response_url is None


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": []},
        {"actions": [{"action_id": "approve", "action_ts": "1795435209.000001"}]},
        {"actions": "approve"},
        {"user": {}},
        {"team": {}, "user": {"id": "U0ANNA"}},
        {"message": {}, "container": {}},
        {"type": "view_submission"},
        {"type": "shortcut"},
    ],
)
def test_a_click_without_what_a_click_has_is_acknowledged_and_nothing_else(
    changes: dict[str, Any],
) -> None:
    assert SURFACE.accept(make.click_delivery(make.click(**changes))) == Accepted()


def test_the_challenge_is_answered() -> None:
    reply = accept({"type": "url_verification", "challenge": "abc<1>"}).reply
    assert reply is not None
    assert orjson.loads(reply.body) == {"challenge": "abc<1>"}


@pytest.mark.parametrize("challenge", [None, "", 7, "x" * 2000])
def test_a_challenge_that_is_none_is_malformed(challenge: object) -> None:
    with pytest.raises(Rejected) as refused:
        accept({"type": "url_verification", "challenge": challenge})
    assert (refused.value.status, refused.value.code) == (400, "challenge_missing")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_syntax"),
        (b"{", "json_syntax"),
        (b"\xff\xfe", "json_not_utf8"),
        (b'{"type": NaN}', "json_syntax"),
        (b'{"type":"a","type":"b"}', "json_duplicate_key"),
        (b'{"a":' * 100_000, "json_too_deep"),
        (b"[]", "json_not_an_object"),
        (b'"event_callback"', "json_not_an_object"),
        (b"null", "json_not_an_object"),
    ],
)
def test_a_signed_body_that_is_not_strict_json_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        SURFACE.accept(make.signed(body))
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        b"payload=",
        b"payload=%7B%7D&payload=%7B%7D",
        b"other=1",
        b"payload=%FF",
        b"&".join([b"a=1"] * 50),
        b"\xff",
        b"",
    ],
)
def test_a_form_without_one_readable_payload_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        SURFACE.accept(make.signed(body, content_type="application/x-www-form-urlencoded"))
    assert refused.value.status == 400


def test_a_mention_of_a_megabyte_is_cut_where_slack_cuts() -> None:
    inbound = taken(text="<@U0BOT> " + "long " * 200_000)
    assert len(inbound.text) < 40_010
    assert inbound.text.endswith("[cut]")


@pytest.mark.parametrize(("header", "attempt"), [("2", 2), ("x", 0), ("", 0), ("9" * 50, 0)])
def test_the_number_of_the_attempt_is_told(header: str, attempt: int) -> None:
    delivery = make.delivery(make.event(), headers={"x-slack-retry-num": header})
    assert SURFACE.accept(delivery).events[0].attempt == attempt


@pytest.mark.parametrize(
    ("channel_type", "is_private"),
    [
        ("channel", False),
        ("group", True),
        ("mpim", True),
        ("im", True),
        (None, False),
        ("C", False),
    ],
)
def test_a_message_says_whether_its_channel_is_private(
    channel_type: str | None,
    is_private: bool,  # noqa: FBT001
) -> None:
    """Where it says nothing for certain, the platform is asked."""
    assert taken(channel_type=channel_type).is_private is is_private
