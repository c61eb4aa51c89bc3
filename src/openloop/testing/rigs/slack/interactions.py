"""Clicks: the payload of a pressed button, and the URL by which an app answers it.

Source: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from aiohttp import web

from openloop.testing.rigs.slack.arguments import Arguments, Refused, json_object
from openloop.testing.rigs.slack.messages import Button, Message
from openloop.testing.rigs.slack.methods.chat import checked_blocks
from openloop.testing.rigs.slack.people import Channel, Person
from openloop.testing.rigs.slack.wire import Json
from openloop.testing.rigs.slack.workspace import Ephemeral, Workspace

_MOST_USES = 5
_GOOD_FOR_SECONDS = 30 * 60


@dataclass(slots=True, kw_only=True)
class _ResponseUrl:
    message: Message
    user: str
    uses_left: int
    expires_at: float


class _Record(Protocol):
    def __call__(
        self, name: str, given: Mapping[str, Any], result: Json, at: float, *, status: int | None
    ) -> object: ...


class ResponseUrls:
    """The URLs handed out with clicks: five uses within half an hour."""

    def __init__(self, workspace: Workspace, record: _Record) -> None:
        self._slack, self._record = workspace, record
        self._by_path: dict[str, _ResponseUrl] = {}

    def issue(self, message: Message, person: Person) -> str:
        """The path of a fresh URL."""
        path = (
            f"/actions/{self._slack.team_id}/{self._slack.ids.next_id('')}/{self._slack.ids.uuid()}"
        )
        self._by_path[path] = _ResponseUrl(
            message=message,
            user=person.id,
            uses_left=_MOST_USES,
            expires_at=time.monotonic() + _GOOD_FOR_SECONDS,
        )
        return path

    async def serve(self, request: web.BaseRequest) -> web.Response:
        """Take what the app posted to one of these URLs; recorded as a call of `response_url`."""
        at = time.perf_counter()
        given: Json = {}
        result: Json = {"ok": True}
        status = 200
        try:
            given = json_object(await request.read())
            self._answer(request.path, Arguments(given))
        except Refused as refused:
            gone = refused.error in ("used_url", "expired_url")
            result, status = refused.as_json(), 404 if gone else 400
        self._record("response_url", given, result, at, status=status)
        return web.Response(status=status, text=result.get("error", "ok"))

    def _answer(self, path: str, arguments: Arguments) -> None:
        """Replace or delete the message that was clicked, or say something."""
        url = self._by_path.get(path)
        if url is None or url.uses_left == 0:
            raise Refused("used_url")
        if time.monotonic() > url.expires_at:
            raise Refused("expired_url")
        url.uses_left -= 1
        message = self._slack.find_message(url.message.channel, url.message.ts)
        if arguments.flag("delete_original"):
            if message is not None:
                self._slack.retract(message)
            return
        blocks = checked_blocks(arguments.objects("blocks", error="invalid_blocks_format"))
        text = arguments.text("text") or ""
        if not (text or blocks):
            raise Refused("no_text")
        if arguments.flag("replace_original"):
            if message is not None:
                self._slack.amend(message, by=self._slack.bot, text=text, blocks=tuple(blocks))
        else:
            self._say(url, text, blocks, arguments)

    def _say(self, url: _ResponseUrl, text: str, blocks: list[Json], arguments: Arguments) -> None:
        thread_ts = arguments.text("thread_ts")
        if arguments.text("response_type") == "in_channel":
            channel = self._slack.channels.get(url.message.channel)
            self._slack.post(
                channel, author=self._slack.bot, text=text, blocks=blocks, thread_ts=thread_ts
            )
            return
        self._slack.whisper(
            Ephemeral(
                channel=url.message.channel,
                user=url.user,
                ts=self._slack.clock.next_ts(),
                text=text,
                blocks=tuple(blocks),
                thread_ts=thread_ts,
            )
        )


def find_button(message: Message, action_id: str, value: str | None) -> Button:
    """The button of a message with this action id (and value, where several share the id).

    Raises:
        LookupError
    """
    for button in message.buttons:
        if button.action_id == action_id and value in (None, button.value):
            return button
    there = [button.action_id for button in message.buttons]
    raise LookupError(f"No button {action_id!r} in message {message.ts}; it has {there}")


def forged_button(action_id: str, value: str | None) -> Button:
    """A button that no message has."""
    element: Json = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": "Forged", "emoji": True},
    }
    if value is not None:
        element["value"] = value
    return Button(
        action_id=action_id, block_id="forged", label="Forged", value=value, element=element
    )


def block_actions(
    slack: Workspace,
    *,
    message: Message,
    button: Button,
    person: Person,
    response_url: str,
) -> Json:
    """The payload Slack sends when a person presses a button."""
    channel = slack.channels.get(message.channel)
    rendered = slack.history(channel.id).render(message, with_metadata=True)
    container: dict[str, Any] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": False,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    return {
        "type": "block_actions",
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": person.team_id,
        },
        "api_app_id": slack.app_id,
        "token": "legacy-verification-token",
        "container": container,
        "trigger_id": slack.ids.next_id("13345224609."),
        "team": {"id": slack.team_id, "domain": slack.domain},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel.id, "name": _name_of(channel)},
        "message": rendered,
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [_action(button, ts=slack.clock.next_ts())],
    }


def _name_of(channel: Channel) -> str:
    """What Slack calls a channel in payloads; the name of a private one is not told."""
    if channel.is_im:
        return "directmessage"
    return "privategroup" if channel.is_private else channel.name


def _action(button: Button, *, ts: str) -> Json:
    action: Json = {
        "action_id": button.action_id,
        "block_id": button.block_id,
        "text": {"emoji": True, **cast("Json", button.element["text"])},
        "type": "button",
        "action_ts": ts,
    }
    if button.value is not None:
        action["value"] = button.value
    if "style" in button.element:
        action["style"] = button.element["style"]
    return action
