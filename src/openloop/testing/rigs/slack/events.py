"""The Events API's payloads: what Slack tells an app about what happened.

Source of the shapes: https://docs.slack.dev/reference/events and npm `@slack/types`; the contract
tests hold every payload against the latter.
"""

import time
from typing import Any

from openloop.testing.rigs.slack.messages import Message, Reaction
from openloop.testing.rigs.slack.people import Channel, Person
from openloop.testing.rigs.slack.wire import Json


def envelope(
    event: Json, *, event_id: str, team_id: str, app_id: str, bot_user_id: str, ext_shared: bool
) -> Json:
    """The `event_callback` around an event."""
    return {
        "token": "legacy-verification-token",
        "team_id": team_id,
        "context_team_id": team_id,
        "context_enterprise_id": None,
        "api_app_id": app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(time.time()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": team_id,
                "user_id": bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": ext_shared,
        "event_context": f"4-{event_id}",
    }


def _author_fields(author: Person) -> Json:
    """What an event adds about somebody from another organisation."""
    if author.kind != "external":
        return {}
    return {
        "user_team": author.team_id,
        "source_team": author.team_id,
        "user_profile": {
            "name": author.name,
            "first_name": author.real_name.split(" ")[0],
            "real_name": author.real_name,
            "display_name": author.name,
            "team": author.team_id,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "avatar_hash": "",
            "image_72": "",
        },
    }


def message_posted(message: Message, channel: Channel) -> Json:
    return {
        **message.as_json(),
        **_author_fields(message.author),
        "channel": channel.id,
        "event_ts": message.ts,
        "channel_type": channel.type,
    }


def app_mention(message: Message, channel: Channel, *, event_ts: str) -> Json:
    """The twin of a `message` event: same `ts` and `client_msg_id`, its own `event_id`."""
    mention = message.as_json() | _author_fields(message.author)
    return mention | {"type": "app_mention", "channel": channel.id, "event_ts": event_ts}


def _amendment(subtype: str, channel: Channel, ts: str, fields: dict[str, Any]) -> Json:
    return {
        "type": "message",
        "subtype": subtype,
        **fields,
        "channel": channel.id,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.type,
    }


def message_changed(before: Message, after: Message, channel: Channel, *, ts: str) -> Json:
    fields = {"message": after.as_json(), "previous_message": before.as_json()}
    return _amendment("message_changed", channel, ts, fields)


def message_deleted(gone: Message, channel: Channel, *, ts: str) -> Json:
    fields = {"previous_message": gone.as_json(), "deleted_ts": gone.ts}
    return _amendment("message_deleted", channel, ts, fields)


def reaction_changed(reaction: Reaction, *, added: bool, item_user: str, ts: str) -> Json:
    return {
        "type": "reaction_added" if added else "reaction_removed",
        "user": reaction.user,
        "reaction": reaction.name,
        "item_user": item_user,
        "item": {"type": "message", "channel": reaction.channel, "ts": reaction.ts},
        "event_ts": ts,
    }


def member_joined(person: Person, channel: Channel, *, inviter: Person, ts: str) -> Json:
    return {
        "type": "member_joined_channel",
        "user": person.id,
        "channel": channel.id,
        "channel_type": "G" if channel.is_private else "C",
        "team": person.team_id,
        "inviter": inviter.id,
        "event_ts": ts,
    }


def agent_stopped(person: Person, channel: Channel, *, thread_ts: str, ts: str) -> Json:
    """Someone pressed the stop button that Slack shows while an agent session is `processing`."""
    return {
        "type": "agent_session_stopped",
        "channel": channel.id,
        "user": person.id,
        "thread_ts": thread_ts,
        "streaming_message_ts": [],
        "event_ts": ts,
    }
