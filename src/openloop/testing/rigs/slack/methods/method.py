"""What a Web API method is, and the checks that several families share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from openloop.testing.rigs.slack.arguments import Arguments, Refused
from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.people import Channel
from openloop.testing.rigs.slack.wire import Json
from openloop.testing.rigs.slack.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method: what it does, and what a token needs to call it.

    `scope` is None where none is needed or where it depends on the channel (then `run` asks for
    it). Only methods that write read their arguments from a JSON body; source:
    https://docs.slack.dev/apis/web-api#post-bodies
    """

    run: Callable[[Workspace, Arguments], Json]
    scope: str | None = None
    writes: bool = False
    token: Literal["bot", "app"] = "bot"


def require_scope(slack: Workspace, scope: str) -> None:
    if scope not in slack.scopes:
        raise Refused("missing_scope", needed=scope, provided=",".join(slack.scopes))


def visible_channel(slack: Workspace, channel_id: str | None) -> Channel:
    """A channel the bot may know of: private ones do not exist for those outside."""
    channel = None if channel_id is None else slack.channels.find(channel_id)
    if channel is None or (channel.is_private and not channel.bot_is_member):
        raise Refused("channel_not_found")
    return channel


def readable_channel(slack: Workspace, arguments: Arguments, right: str) -> Channel:
    """The channel of a reading call, for which the token has the right its type needs."""
    channel = visible_channel(slack, arguments.required("channel"))
    require_scope(slack, f"{channel.family}:{right}")
    return channel


def member_channel(slack: Workspace, channel: Channel) -> Channel:
    if not channel.bot_is_member:
        raise Refused("not_in_channel")
    return channel


def existing_message(slack: Workspace, channel: Channel, ts: str | None) -> Message:
    message = None if ts is None else slack.find_message(channel.id, ts)
    if message is None:
        raise Refused("message_not_found")
    return message
