"""An app for the rig to talk to, and a workspace for it to be in."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from openloop.testing.rigs.slack import Message, SlackRig

SECRET = "a-signing-secret"
CARD = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Create the issue?"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": "token-1",
                "style": "primary",
            },
            {
                "type": "button",
                "action_id": "reject",
                "text": {"type": "plain_text", "text": "Reject"},
                "value": "token-1",
            },
        ],
    },
]


@dataclass
class App:
    """What stands behind the request URL: keeps what comes and answers as it is told."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=lambda: list[dict[str, str]]())
    bodies: list[bytes] = field(default_factory=lambda: list[bytes]())
    answer: Callable[[], web.Response] = web.Response

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        if b"url_verification" in body:
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        return self.answer()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def event_types(self) -> list[str]:
        return sorted(event["event"]["type"] for event in self.events)


def a_rig(**options: Any) -> SlackRig:
    rig = SlackRig(signing_secret=SECRET, **options)
    rig.people.add("priya", email="priya@acme.test")
    rig.people.add("anna", email="anna@acme.test")
    rig.channels.add("dev-platform", id="C0DEV")
    return rig


def client_of(rig: SlackRig, **options: Any) -> Any:
    """Slack's own client; untyped, because its annotations are too loose for a strict check."""
    return AsyncWebClient(token=rig.bot_token, base_url=rig.api_url, **options)


async def refusal(call: Awaitable[Any]) -> dict[str, Any]:
    """What Slack answers to a call that it refuses."""
    with pytest.raises(SlackApiError) as refused:
        await call
    error: Any = refused.value
    return error.response.data


async def ask(rig: SlackRig, text: str = "<@U0BOT> summarize this") -> Message:
    """Have priya ask, and the app hear it."""
    message = await rig.say("#dev-platform", by="priya", text=text)
    await rig.settled()
    return message


async def a_card(rig: SlackRig) -> Message:
    """A card with two buttons, in the thread of a question."""
    question = await ask(rig)
    await client_of(rig).chat_postMessage(
        channel="C0DEV", text="Create the issue?", blocks=CARD, thread_ts=question.ts
    )
    await rig.settled()
    return await rig.reply_to(question)
