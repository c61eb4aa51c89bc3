"""Values that the tests of the Slack surface are about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from openloop.domain.ids import new_id
from openloop.domain.surface import Button, Card, Delivery, Field, Place, Thread
from openloop.integrations.slack.settings import SlackSettings
from openloop.integrations.slack.signature import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.testing.rigs.slack import Message, SlackRig

SECRET = "a-signing-secret"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON_SECONDS = int(NOON.timestamp())
ROOT = "1795435200.000100"
# As the outbox makes them: the time in it bounds a look-up.
KEY = str(new_id())


def settings(**changes: Any) -> SlackSettings:
    given: dict[str, Any] = {"bot_token": "xoxb-test", "signing_secret": SECRET, **changes}
    return SlackSettings(**given)


def rig_settings(rig: SlackRig, **changes: Any) -> SlackSettings:
    return settings(
        bot_token=rig.bot_token,
        signing_secret=rig.signing_secret,
        api_url=rig.api_url,
        **changes,
    )


def delivery(payload: object, **changes: Any) -> Delivery:
    """A JSON delivery as Slack signs it at noon; `changes` go to `signed`."""
    return signed(orjson.dumps(payload), **changes)


def signed(
    body: bytes,
    *,
    at: str = str(NOON_SECONDS),
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Delivery:
    given = {
        "content-type": content_type,
        "x-slack-request-timestamp": at,
        "x-slack-signature": sign(SECRET, timestamp=at, body=body),
        **(headers or {}),
    }
    return Delivery(headers=given, body=body, received_at=NOON)


def click_delivery(payload: object) -> Delivery:
    body = urlencode({"payload": orjson.dumps(payload).decode()}).encode()
    return signed(body, content_type="application/x-www-form-urlencoded")


def event(event_id: str = "Ev01", **fields: Any) -> dict[str, Any]:
    """An `event_callback` around a message by Priya in #dev-platform; `fields` replace its own."""
    inner: dict[str, Any] = {
        "type": "message",
        "user": "U0PRIYA",
        "text": "<@U0BOT> summarize this",
        "ts": ROOT,
        "channel": "C0DEV",
        "channel_type": "channel",
        "event_ts": ROOT,
    }
    inner = {name: value for name, value in (inner | fields).items() if value is not None}
    return {
        "token": "legacy",
        "team_id": "T0ACME",
        "api_app_id": "A0OPENLOOP",
        "type": "event_callback",
        "event_id": event_id,
        "event_time": NOON_SECONDS,
        "authorizations": [{"team_id": "T0ACME", "user_id": "U0BOT", "is_bot": True}],
        "event": inner,
    }


def click(**changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "type": "block_actions",
        "user": {"id": "U0ANNA", "name": "anna", "team_id": "T0ACME"},
        "api_app_id": "A0OPENLOOP",
        "trigger_id": "13345.1",
        "team": {"id": "T0ACME", "domain": "acme"},
        "container": {"type": "message", "message_ts": "1795435201.000200", "channel_id": "C0DEV"},
        "channel": {"id": "C0DEV", "name": "dev-platform"},
        "message": {"ts": "1795435201.000200", "thread_ts": ROOT, "type": "message"},
        "response_url": "https://hooks.slack.com/actions/T0ACME/1/abc",
        "actions": [
            {
                "type": "button",
                "action_id": "approve",
                "value": "token-1",
                "action_ts": "1795435209.000001",
            }
        ],
    }
    return payload | changes


def thread(channel: str = "C0DEV", root: str = ROOT) -> Thread:
    return Thread(place=Place(surface="slack", tenant="T0ACME", container=channel), root=root)


def thread_of(message: Message) -> Thread:
    return thread(message.channel, message.root_ts)


def card(**changes: Any) -> Card:
    given: dict[str, Any] = {
        "title": "Create an issue in acme/platform",
        "fields": (
            Field(label="Repository", value="acme/platform"),
            Field(label="Title", value="Deploys fail on *main* since _yesterday_"),
        ),
        "body": "Steps:\n```\n./deploy --env prod\n```\n<!channel> look",
        "reason": "The thread agrees that this is a bug.",
        "notes": ("Asked by priya", "Expires in 2 hours"),
        **changes,
    }
    return Card(**given)


APPROVE = Button(action="approve", label="Approve", token="token-1", style="primary")
REJECT = Button(action="reject", label="Reject", token="token-1", style="danger")
