"""Events reach the app as Slack would send them: signed, twinned, retried."""

import asyncio
import itertools
from typing import Any

from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from openloop.testing.rigs.slack import SlackRig, sign
from tests.contracts.slack_rig.app import SECRET, App, a_rig, ask


def test_signatures_are_those_of_slacks_own_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    assert sign("8f742231b10e8888abcd99yyyzzz85a5", 1531420618, body) == (
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    )


async def test_every_request_to_the_app_is_signed(rig: SlackRig, app: App) -> None:
    assert await rig.verify_url()
    await ask(rig, "<@U0BOT> naïve and & more")

    assert len(app.bodies) == 3
    for body, headers in zip(app.bodies, app.headers, strict=True):
        assert SignatureVerifier(SECRET).is_valid_request(body, headers)
        assert not SignatureVerifier("another").is_valid_request(body, headers)


async def test_a_mention_arrives_twice_under_two_event_ids(rig: SlackRig, app: App) -> None:
    message = await ask(rig)

    twins = app.events
    assert app.event_types == ["app_mention", "message"]
    assert len({twin["event_id"] for twin in twins}) == 2
    assert {twin["event"]["ts"] for twin in twins} == {message.ts}
    assert {twin["event"]["client_msg_id"] for twin in twins} == {message.client_msg_id}


async def test_a_direct_message_has_no_twin(rig: SlackRig, app: App) -> None:
    message = await rig.say_directly(by="priya", text="hello <@U0BOT>")
    await rig.settled()

    assert app.event_types == ["message"]
    assert app.events[0]["event"]["channel_type"] == "im"
    assert app.events[0]["event"]["channel"] == message.channel == "D0PRIYA"


async def test_a_follow_up_arrives_once_and_names_its_thread(rig: SlackRig, app: App) -> None:
    rig.people.add("deploys", kind="bot")
    question = await ask(rig)
    await rig.say("#dev-platform", by="anna", text="me too", thread=question)
    await rig.say("#dev-platform", by="deploys", text="build 7 is out", thread=question)
    await rig.settled()

    followed = sorted((event["event"] for event in app.events[2:]), key=lambda event: event["ts"])
    assert [event["thread_ts"] for event in followed] == [question.ts] * 2
    assert [event.get("bot_id") for event in followed] == [None, "B0DEPLOYS"]
    assert followed[0]["parent_user_id"] == "U0PRIYA"


async def test_the_app_hears_nothing_where_it_is_not_or_does_not_listen(
    rig: SlackRig, app: App
) -> None:
    rig.channels.add("elsewhere", bot_is_member=False)
    rig.subscriptions = {"app_mention"}
    await rig.say("#elsewhere", by="priya", text="<@U0BOT> hello")
    await rig.say("#dev-platform", by="priya", text="good morning")
    await ask(rig)

    assert app.event_types == ["app_mention"]


async def test_a_failing_app_is_tried_four_times_on_slacks_schedule(app: App) -> None:
    app.answer = lambda: web.Response(status=503)
    async with a_rig(deliver_to=app.url, time_scale=0.001) as rig:
        await rig.say("#dev-platform", by="priya", text="anybody there?")
        await rig.settled()

        attempts = rig.deliveries
        assert [attempt.attempt for attempt in attempts] == [0, 1, 2, 3]
        assert {(attempt.status, attempt.reason) for attempt in attempts} == {(503, "http_error")}
        assert {attempt.event_id for attempt in attempts} == {rig.lost[0].id}
        starts = [attempt.at for attempt in attempts]
        gaps = [after - before for before, after in itertools.pairwise(starts)]
        assert gaps[0] < 0.3
        assert gaps[1] >= 0.06
        assert gaps[2] >= 0.3
        assert [headers.get("X-Slack-Retry-Num") for headers in app.headers] == [
            None, "1", "2", "3",
        ]  # fmt: skip
        assert app.headers[3]["X-Slack-Retry-Reason"] == "http_error"


async def test_a_retry_that_is_acked_ends_the_matter(app: App) -> None:
    answers = iter([web.Response(status=500), web.Response()])
    app.answer = lambda: next(answers)
    async with a_rig(deliver_to=app.url, time_scale=0.001) as rig:
        await rig.say("#dev-platform", by="priya", text="anybody there?")
        await rig.settled()

        assert [attempt.status for attempt in rig.deliveries] == [500, 200]
        assert rig.lost == []
        assert app.bodies[0] == app.bodies[1]


async def test_an_app_may_decline_the_retries(rig: SlackRig, app: App) -> None:
    app.answer = lambda: web.Response(status=400, headers={"X-Slack-No-Retry": "1"})
    await rig.say("#dev-platform", by="priya", text="anybody there?")
    await rig.settled()

    assert [(attempt.status, attempt.no_retry) for attempt in rig.deliveries] == [(400, True)]


async def test_silence_and_a_closed_port_are_told_apart() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with a_rig(
        deliver_to=f"http://127.0.0.1:{port}/", time_scale=0.0001, ack_deadline_seconds=0.05
    ) as rig:
        await rig.say("#dev-platform", by="priya", text="anybody there?")
        await rig.until(lambda: rig.deliveries)
        assert rig.deliveries[0].reason == "http_timeout"
        assert rig.deliveries[0].ack_seconds >= 0.05
        await rig.settled()
        rig.deliver_to = "http://127.0.0.1:1/"
        await rig.say("#dev-platform", by="priya", text="and now?")
        await rig.settled()
        assert {attempt.reason for attempt in rig.deliveries[4:]} == {"connection_failed"}
    silent.close()
    await silent.wait_closed()


async def test_edits_and_deletions_are_told(rig: SlackRig, app: App) -> None:
    said = await rig.say("#dev-platform", by="priya", text="summarize this")
    edited = await rig.edit(said, text="<@U0BOT> summarize this")
    await rig.delete(edited)
    await rig.settled()

    events = sorted((event["event"] for event in app.events), key=lambda event: event["event_ts"])
    kinds = [(event["type"], event.get("subtype")) for event in events]
    assert sorted(kinds[1:3], key=str) == [("app_mention", None), ("message", "message_changed")]
    assert [kinds[0], kinds[3]] == [("message", None), ("message", "message_deleted")]
    changed = next(event for event in events if event.get("subtype") == "message_changed")
    assert changed["previous_message"]["text"] == "summarize this"
    assert changed["message"]["edited"]["user"] == "U0PRIYA"
    assert events[3]["deleted_ts"] == said.ts
    assert rig.messages("#dev-platform") == []


async def test_deliveries_are_duplicated_and_reordered_as_dialled(rig: SlackRig, app: App) -> None:
    rig.faults.duplicates = 3
    rig.faults.reorder = 8
    for number in range(12):
        await rig.say("#dev-platform", by="priya", text=f"message {number}")
    await rig.settled()

    ids = [event["event_id"] for event in app.events]
    assert len(set(ids)) == 12 < len(ids)
    assert max(ids.count(event_id) for event_id in ids) <= 3
    assert list(dict.fromkeys(ids)) != sorted(set(ids))


async def test_a_guest_from_elsewhere_is_recognizable(rig: SlackRig, app: App, slack: Any) -> None:
    rig.people.add("ben", kind="external")
    rig.channels.add("with-partner", is_ext_shared=True)
    await rig.say("#with-partner", by="ben", text="<@U0BOT> hello")
    await rig.settled()

    assert app.events[0]["is_ext_shared_channel"] is True
    assert app.events[0]["event"]["user_team"] == "T0PARTNER"
    found = await slack.users_info(user="U0BEN")
    assert found["user"]["is_stranger"] is True
