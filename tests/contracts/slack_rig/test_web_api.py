"""The Web API keeps, pages, refuses and limits as Slack does."""

import json
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import CARD, App, ask, refusal


async def test_a_reply_is_kept_counted_and_told_to_the_app_itself(
    rig: SlackRig, app: App, slack: Any
) -> None:
    question = await ask(rig)
    metadata = {"event_type": "openloop_message", "event_payload": {"op": "42"}}
    posted = await slack.chat_postMessage(
        channel="C0DEV", text="Done.", thread_ts=question.ts, metadata=metadata
    )
    await rig.settled()

    assert (await rig.reply_to(question)).text == "Done."
    assert app.events[-1]["event"]["bot_id"] == "B0BOT"
    bare = await slack.conversations_replies(channel="C0DEV", ts=question.ts)
    root, reply = bare["messages"]
    assert (root["reply_count"], root["latest_reply"]) == (1, posted["ts"])
    assert reply["parent_user_id"] == "U0PRIYA"
    assert "metadata" not in reply
    full = await slack.conversations_replies(
        channel="C0DEV", ts=question.ts, include_all_metadata=True
    )
    assert full["messages"][1]["metadata"] == metadata


async def test_threads_and_channels_are_read_page_by_page(rig: SlackRig, slack: Any) -> None:
    root = await rig.say("#dev-platform", by="priya", text="0", deliver=False)
    for number in range(1, 6):
        await rig.say("#dev-platform", by="anna", text=str(number), thread=root, deliver=False)
    last = await rig.say("#dev-platform", by="anna", text="later", deliver=False)

    texts: list[str] = []
    cursor = ""
    while True:
        page = await slack.conversations_replies(
            channel="C0DEV", ts=root.ts, limit=4, cursor=cursor
        )
        texts.extend(message["text"] for message in page["messages"])
        if not page["has_more"]:
            break
        cursor = page["response_metadata"]["next_cursor"]
    assert texts == ["0", "1", "2", "3", "4", "5"]

    history = await slack.conversations_history(channel="C0DEV")
    assert [message["text"] for message in history["messages"]] == ["later", "0"]
    since = await slack.conversations_history(channel="C0DEV", oldest=root.ts)
    assert [message["ts"] for message in since["messages"]] == [last.ts]


async def test_a_message_is_changed_and_deleted_by_its_author_only(
    rig: SlackRig, slack: Any
) -> None:
    question = await ask(rig)
    card = await slack.chat_postMessage(channel="C0DEV", text="?", blocks=CARD)
    await slack.chat_update(channel="C0DEV", ts=card["ts"], text="Approved", blocks=CARD[:1])

    settled = rig.find_message("C0DEV", card["ts"])
    assert settled is not None
    assert settled.buttons == ()
    assert (await refusal(slack.chat_update(channel="C0DEV", ts=question.ts, text="x")))[
        "error"
    ] == "cant_update_message"
    await slack.chat_delete(channel="C0DEV", ts=card["ts"])
    assert rig.find_message("C0DEV", card["ts"]) is None
    assert (await refusal(slack.chat_delete(channel="C0DEV", ts=card["ts"])))[
        "error"
    ] == "message_not_found"


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def markdown(text: str) -> dict[str, Any]:
    return {"type": "markdown", "text": text}


def button(**fields: Any) -> dict[str, Any]:
    plain = {"type": "plain_text", "text": "Approve"}
    return {"type": "actions", "elements": [{"type": "button", "text": plain, **fields}]}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0DEV"}, "no_text"),
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0ELSEWHERE", "text": "x"}, "not_in_channel"),
        ({"channel": "C0SECRET", "text": "x"}, "channel_not_found"),
        ({"channel": "C0OLD", "text": "x"}, "is_archived"),
        ({"channel": "C0DEV", "text": "x", "thread_ts": "1700000000.000100"}, "thread_not_found"),
        ({"channel": "C0DEV", "text": "x", "thread_ts": "yesterday"}, "invalid_thread_ts"),
        ({"channel": "C0DEV", "text": "x" * 40_001}, "msg_too_long"),
        (
            {"channel": "C0DEV", "text": "x", "metadata": {"event_type": "a"}},
            "invalid_metadata_format",
        ),
        ({"channel": "C0DEV", "blocks": "not json"}, "invalid_blocks_format"),
        ({"channel": "C0DEV", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [section("")]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [section("x" * 2900)] * 5}, "msg_blocks_too_long"),
        ({"channel": "C0DEV", "blocks": [markdown("x" * 12_001)]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [markdown("x" * 6001)] * 2}, "msg_blocks_too_long"),
        ({"channel": "C0DEV", "blocks": [{"type": "headline"}]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [section("x") | {"colour": "red"}]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [button(value="x" * 2001)]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [button(style="green")]}, "invalid_blocks"),
        ({"channel": "C0DEV", "blocks": [section("x") | {"block_id": "a"}] * 2}, "invalid_blocks"),
    ],
)  # fmt: skip
async def test_what_slack_refuses_is_refused(
    rig: SlackRig, slack: Any, arguments: dict[str, Any], error: str
) -> None:
    rig.channels.add("elsewhere", bot_is_member=False)
    rig.channels.add("secret", is_private=True, bot_is_member=False)
    rig.channels.add("old", is_archived=True)

    answer = await refusal(slack.api_call("chat.postMessage", json=arguments))

    assert answer["error"] == error
    assert rig.messages("C0DEV") == []


async def test_what_slack_allows_at_its_limits_is_allowed(rig: SlackRig, slack: Any) -> None:
    await slack.chat_postMessage(channel="C0DEV", text="x" * 40_000)
    await slack.chat_postMessage(channel="C0DEV", text="x", blocks=[{"type": "divider"}] * 50)
    await slack.chat_postMessage(
        channel="C0DEV", text="x", blocks=[section("x" * 3000), button(value="x" * 2000)]
    )
    await slack.chat_postMessage(channel="C0DEV", markdown_text="x" * 12_000)
    assert len(rig.messages("C0DEV")) == 4


async def test_a_form_says_the_same_as_a_json_body(rig: SlackRig, slack: Any) -> None:
    form = {"channel": "C0DEV", "text": "hello", "blocks": json.dumps(CARD)}
    await slack.api_call("chat.postMessage", data=form)
    assert [button.label for button in rig.messages("C0DEV")[0].buttons] == ["Approve", "Reject"]


async def test_a_reading_method_does_not_see_a_json_body(rig: SlackRig, slack: Any) -> None:
    answer = await refusal(slack.api_call("users.info", json={"user": "U0PRIYA"}))
    assert answer["error"] == "invalid_arguments"
    assert (await slack.users_info(user="U0PRIYA"))["user"]["name"] == "priya"


async def test_tokens_and_scopes_are_checked(rig: SlackRig, slack: Any) -> None:
    stranger: Any = AsyncWebClient(token="xoxb-stolen", base_url=rig.api_url)
    nobody: Any = AsyncWebClient(base_url=rig.api_url)
    assert (await refusal(stranger.auth_test()))["error"] == "invalid_auth"
    assert (await refusal(nobody.auth_test()))["error"] == "not_authed"
    assert (await refusal(slack.apps_connections_open(app_token=rig.bot_token)))[
        "error"
    ] == "not_allowed_token_type"

    rig.scopes = ["chat:write", "users:read"]
    missing = await refusal(slack.conversations_history(channel="C0DEV"))
    assert (missing["error"], missing["needed"]) == ("missing_scope", "channels:history")
    assert missing["provided"] == "chat:write,users:read"
    answer = await slack.auth_test()
    assert answer.headers["X-OAuth-Scopes"] == "chat:write,users:read"
    assert "email" not in (await slack.users_info(user="U0PRIYA"))["user"]["profile"]


async def test_people_groups_and_channels_can_be_looked_up(rig: SlackRig, slack: Any) -> None:
    rig.people.add("ben", kind="guest")
    rig.people.add("left", email="left@acme.test", kind="deactivated")
    rig.usergroups.add("maintainers", id="S0MAINT", members=["anna"])
    rig.channels.add("secret", is_private=True, members=["anna"])

    found = await slack.users_lookupByEmail(email="Priya@acme.test")
    assert found["user"]["id"] == "U0PRIYA"
    assert found["user"]["profile"]["email"] == "priya@acme.test"
    gone = await refusal(slack.users_lookupByEmail(email="left@acme.test"))
    assert gone["error"] == "users_not_found"
    assert (await slack.users_info(user="U0BEN"))["user"]["is_restricted"] is True
    groups = await slack.usergroups_list(include_users=True)
    assert groups["usergroups"][0]["users"] == ["U0ANNA"]
    assert (await slack.usergroups_users_list(usergroup="S0MAINT"))["users"] == ["U0ANNA"]
    members = await slack.conversations_members(channel="C0SECRET")
    assert members["members"] == ["U0ANNA", "U0BOT"]
    public = await slack.conversations_list(limit=1)
    assert [channel["name"] for channel in public["channels"]] == ["dev-platform"]
    both = await slack.conversations_list(types="public_channel,private_channel")
    assert len(both["channels"]) == 2
    assert (await slack.auth_test())["user_id"] == "U0BOT"
    assert (await slack.bots_info(bot="B0BOT"))["bot"]["user_id"] == "U0BOT"
    assert (await slack.team_info())["team"]["id"] == "T0ACME"


async def test_statuses_and_reactions_show_until_they_are_over(
    rig: SlackRig, app: App, slack: Any
) -> None:
    question = await ask(rig)
    thread = {"channel_id": "C0DEV", "thread_ts": question.ts}
    await slack.assistant_threads_setStatus(**thread, status="is thinking...")
    await slack.agents_sessions_setStatus(**thread, status="processing")
    await slack.reactions_add(channel="C0DEV", timestamp=question.ts, name="eyes")
    again = slack.reactions_add(channel="C0DEV", timestamp=question.ts, name="eyes")
    assert (await refusal(again))["error"] == "already_reacted"
    assert rig.workspace.shown_status("C0DEV", question.ts) == "is thinking..."
    assert [reaction.name for reaction in rig.reactions] == ["eyes"]
    reactions = await slack.reactions_get(channel="C0DEV", timestamp=question.ts)
    assert reactions["message"]["reactions"][0]["count"] == 1

    await slack.chat_postMessage(channel="C0DEV", text="Done.", thread_ts=question.ts)
    await slack.reactions_remove(channel="C0DEV", timestamp=question.ts, name="eyes")
    assert rig.workspace.shown_status("C0DEV", question.ts) is None
    assert rig.workspace.agent_status("C0DEV", question.ts) == "processing"
    assert rig.reactions == []
    await rig.press_stop(question, by="priya")
    await rig.settled()
    assert app.events[-1]["event"]["type"] == "agent_session_stopped"


async def test_live_mentions_are_told_from_neutral_ones(rig: SlackRig, slack: Any) -> None:
    text = "<!channel> <@U0PRIYA> <!subteam^S0MAINT> &lt;!here&gt; @everyone"
    await slack.chat_postMessage(channel="C0DEV", text="x", blocks=[section(text)])
    assert rig.messages("C0DEV")[0].pings == ("<!channel", "<@U0PRIYA", "<!subteam^S0MAINT")
