"""What the rig answers and tells the app is what Slack's own types allow."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import CARD, client_of
from tests.contracts.slack_shapes.oracle import Case, Oracle, cases_of

pytestmark = pytest.mark.oracle

METADATA = {"event_type": "openloop_message", "event_payload": {"op": "42"}}
BLOCKS = [
    {"type": "header", "text": {"type": "plain_text", "text": "Weekly"}},
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Cost*"}]},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "by <@U0PRIYA>"}]},
    {"type": "divider"},
    {"type": "markdown", "text": "| a | b |"},
    {"type": "image", "image_url": "https://acme.test/a.png", "alt_text": "a chart"},
    *CARD,
]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle.load_or_skip()


async def play(rig: SlackRig) -> None:
    """Everything that people and the app can do, once."""
    slack = client_of(rig)
    rig.people.add("ben", kind="external")
    rig.people.add("left", kind="deactivated")
    rig.channels.add("with-partner", is_ext_shared=True)
    rig.channels.add("secret", is_private=True)
    rig.usergroups.add("maintainers", id="S0MAINT", members=["anna"])
    question = await rig.say(
        "#dev-platform", by="priya", text="<@U0BOT> see <https://acme.test|this> <!here> <#C0DEV>"
    )
    await rig.say("#with-partner", by="ben", text="<@U0BOT> and <!subteam^S0MAINT>")
    await rig.say("#secret", by="anna", text="psst")
    direct = await rig.say_directly(by="priya", text="hello")
    await rig.say("#dev-platform", by="anna", text="me too <@U0BOT>", thread=question)
    card = await _post(slack, question.ts)
    await slack.chat_postMessage(channel=direct.user, markdown_text="**hello**")
    await _read(slack, question.ts)
    await _signal(slack, question.ts)
    await rig.react(question, "thumbsup", by="anna")
    await rig.join("#secret", "priya", by="anna")
    await rig.press_stop(question, by="anna")
    message = rig.find_message("C0DEV", card)
    assert message is not None
    await rig.click(message, action_id="approve", by="anna")
    await slack.chat_update(channel="C0DEV", ts=card, text="Approved", blocks=BLOCKS[:2])
    await slack.chat_delete(channel="C0DEV", ts=card)
    later = await rig.edit(await rig.say("#dev-platform", by="priya", text="or"), text="and")
    await rig.delete(later)
    await rig.delete(question)
    await rig.settled()


async def _post(slack: Any, thread_ts: str) -> str:
    posted = await slack.chat_postMessage(
        channel="C0DEV",
        text="Create the issue?",
        blocks=BLOCKS,
        thread_ts=thread_ts,
        metadata=METADATA,
        unfurl_links=False,
        unfurl_media=False,
    )
    await slack.chat_postEphemeral(channel="C0DEV", user="U0ANNA", text="x", blocks=BLOCKS[:1])
    await slack.chat_getPermalink(channel="C0DEV", message_ts=posted["ts"])
    await slack.conversations_open(users="U0ANNA")
    return posted["ts"]


async def _read(slack: Any, ts: str) -> None:
    await slack.conversations_replies(channel="C0DEV", ts=ts, include_all_metadata=True, limit=2)
    await slack.conversations_history(channel="C0DEV", limit=200, oldest="0")
    await slack.conversations_info(channel="C0DEV", include_num_members=True)
    await slack.conversations_info(channel="D0PRIYA")
    await slack.conversations_list(types="public_channel,private_channel", limit=2)
    await slack.conversations_members(channel="C0DEV")
    for user in ("U0PRIYA", "U0BEN", "U0LEFT", "U0BOT"):
        await slack.users_info(user=user)
    await slack.users_list(limit=2)
    await slack.users_lookupByEmail(email="priya@acme.test")
    await slack.usergroups_list(include_users=True)
    await slack.usergroups_users_list(usergroup="S0MAINT")
    await slack.bots_info(bot="B0BOT")
    await slack.team_info()
    await slack.auth_test()
    await slack.apps_connections_open(app_token="xapp-rig")


async def _signal(slack: Any, ts: str) -> None:
    thread = {"channel_id": "C0DEV", "thread_ts": ts}
    await slack.assistant_threads_setStatus(**thread, status="thinking", loading_messages=["…"])
    await slack.agents_sessions_setStatus(**thread, status="processing", title="Weekly")
    await slack.reactions_add(channel="C0DEV", timestamp=ts, name="eyes")
    await slack.reactions_get(channel="C0DEV", timestamp=ts)
    await slack.reactions_remove(channel="C0DEV", timestamp=ts, name="eyes")
    for refused in (
        slack.chat_postMessage(channel="C0DEV", text="x", blocks=[{"type": "section"}]),
        slack.users_info(user="U0NOBODY"),
        slack.users_info(user=""),
    ):
        await asyncio.gather(refused, return_exceptions=True)


def invented(spoken: list[Case]) -> Iterator[Case]:
    """The first of each kind with a field that Slack does not have, at its root and further in."""
    for case in {case.label: case for case in reversed(spoken)}.values():
        yield from _with_invention(case, [])
        root: Any = case.value
        for inner in ("event", "message", "channel", "user", "team"):
            if isinstance(root.get(inner), dict):
                yield from _with_invention(case, [inner])


def _with_invention(case: Case, path: list[str]) -> Iterator[Case]:
    root: Any = copy.deepcopy(case.value)
    place = root
    for step in path:
        place = place[step]
    place["invented"] = True
    yield Case(f"invented in {'.'.join([case.label, *path])}", case.shape, root)


def planted() -> Iterator[Case]:
    """Values that are of the wrong type, or missing."""
    post = {"channel": "C0DEV", "text": "x"}
    answer = {"ok": True, "channel": "C0DEV", "ts": "1.2"}
    green: Any = copy.deepcopy(CARD)
    green[1]["elements"][0]["style"] = "green"
    yield Case("a style", "Requests['chat.postMessage']", post | {"blocks": green})
    yield Case("a header", "Requests['chat.postMessage']", post | {"blocks": [{"type": "header"}]})
    yield Case("a block", "Requests['chat.postMessage']", post | {"blocks": [{"type": "bold"}]})
    yield Case("a number", "Responses['chat.postMessage']", answer | {"message": {"ts": 1.2}})
    yield Case("an event", "Events['message']", {"type": "event_callback"})
    yield Case("a click", "Interactions['block_actions']", {"type": "block_actions"})
    yield Case("a refusal", "Refusal", {"ok": True, "error": "fatal_error"})


async def test_all_the_rig_says_is_allowed_and_planted_deviations_are_noticed(
    rig: SlackRig, oracle: Oracle
) -> None:
    await play(rig)
    spoken = cases_of(rig)
    assert {f"answer to {method}" for method in rig.methods} <= {case.label for case in spoken}
    wrong = [*invented(spoken), *planted()]

    noticed = {case.label for case in wrong}

    found = oracle.deviations([*spoken, *wrong])

    assert {label: said for label, said in found.items() if label not in noticed} == {}
    assert noticed - found.keys() == set()
