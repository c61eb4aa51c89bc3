"""Buttons: what a click tells, how it is answered, and who may try it."""

import json
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from slack_sdk.signature import SignatureVerifier

from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import CARD, SECRET, App, a_card, refusal


async def test_a_click_tells_who_pressed_what_where(rig: SlackRig, app: App) -> None:
    card = await a_card(rig)
    assert await rig.click(card, action_id="approve", by="anna") == 200

    payload = json.loads(parse_qs(app.bodies[-1].decode())["payload"][0])
    assert payload["user"] == {
        "id": "U0ANNA", "username": "anna", "name": "anna", "team_id": "T0ACME",
    }  # fmt: skip
    assert payload["container"]["message_ts"] == payload["message"]["ts"] == card.ts
    assert payload["container"]["thread_ts"] == card.thread_ts
    [action] = payload["actions"]
    assert (action["action_id"], action["value"]) == ("approve", "token-1")
    assert action["block_id"] == card.blocks[1]["block_id"]
    assert SignatureVerifier(SECRET).is_valid_request(app.bodies[-1], app.headers[-1])


async def test_a_click_is_answered_through_its_response_url(rig: SlackRig, app: App) -> None:
    card = await a_card(rig)
    await rig.click(card, action_id="approve", by="anna")
    url = json.loads(parse_qs(app.bodies[-1].decode())["payload"][0])["response_url"]

    async with aiohttp.ClientSession() as http:
        async with http.post(url, json={"text": "Not you.", "replace_original": False}) as told:
            assert told.status == 200
        async with http.post(url, json={"text": "Approved", "replace_original": True}) as told:
            assert told.status == 200
        for status in (200, 200, 200, 404):
            async with http.post(url, json={"text": "again"}) as told:
                assert told.status == status

    assert (rig.ephemerals[0].user, rig.ephemerals[0].text) == ("U0ANNA", "Not you.")
    assert rig.current(card).text == "Approved"
    assert len(rig.calls_of("response_url")) == 6


async def test_strangers_stale_cards_and_forged_buttons_can_be_clicked(
    rig: SlackRig, app: App, slack: Any
) -> None:
    card = await a_card(rig)
    rig.people.add("stranger", kind="external")
    await slack.chat_update(channel="C0DEV", ts=card.ts, text="Approved", blocks=CARD[:1])

    assert await rig.click(card, action_id="approve", by="stranger") == 200
    assert await rig.click(card, action_id="unknown", value="made-up", by="anna", forged=True)
    with pytest.raises(LookupError):
        await rig.click(rig.current(card), action_id="approve", by="anna")


async def test_a_click_on_an_app_that_is_gone_has_no_status(rig: SlackRig) -> None:
    card = await a_card(rig)
    rig.deliver_to = "http://127.0.0.1:1/"
    assert await rig.click(card, action_id="approve", by="anna") is None
    assert rig.deliveries[-1].reason == "connection_failed"


async def test_an_ephemeral_message_is_shown_to_members_only(rig: SlackRig, slack: Any) -> None:
    rig.people.add("stranger", kind="external")
    await slack.chat_postEphemeral(channel="C0DEV", user="U0ANNA", text="Only you see this.")
    outside = slack.chat_postEphemeral(channel="C0DEV", user="U0STRANGER", text="x")
    assert (await refusal(outside))["error"] == "user_not_in_channel"
    assert [shown.user for shown in rig.ephemerals] == ["U0ANNA"]
    assert rig.messages("C0DEV") == []
