"""Reactions and statuses: the small signs that an agent is at work."""

import time
from typing import cast

from openloop.testing.rigs.slack.arguments import Arguments, Refused
from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.methods.chat import permalink
from openloop.testing.rigs.slack.methods.method import (
    Method,
    existing_message,
    member_channel,
    visible_channel,
)
from openloop.testing.rigs.slack.people import Channel
from openloop.testing.rigs.slack.wire import Json
from openloop.testing.rigs.slack.workspace import (
    AGENT_STATUS,
    STATUS_LINE,
    Status,
    Workspace,
)

_AGENT_STATUSES = ("active", "processing", "suspended", "closed")
_MOST_TITLE = 200
_MOST_LOADING_MESSAGES = 10


def add_reaction(slack: Workspace, arguments: Arguments) -> Json:
    message = _reacted_to(slack, arguments)
    if not slack.react(message, _name(arguments), by=slack.bot):
        raise Refused("already_reacted")
    return {"ok": True}


def remove_reaction(slack: Workspace, arguments: Arguments) -> Json:
    message = _reacted_to(slack, arguments)
    if not slack.unreact(message, _name(arguments), by=slack.bot):
        raise Refused("no_reaction")
    return {"ok": True}


def get_reactions(slack: Workspace, arguments: Arguments) -> Json:
    message = _reacted_to(slack, arguments)
    shown = message.as_json() | {"permalink": permalink(slack, message)}
    for absent in ("client_msg_id", "thread_ts", "parent_user_id"):
        shown.pop(absent, None)
    return {"ok": True, "type": "message", "channel": message.channel, "message": shown}


def set_thread_status(slack: Workspace, arguments: Arguments) -> Json:
    """`assistant.threads.setStatus`: a line of text until the app posts; "" takes it away."""
    channel = _agent_channel(slack, arguments)
    thread_ts = arguments.required("thread_ts")
    existing_message(slack, channel, thread_ts)
    if not isinstance(arguments.values.get("status"), str):
        raise Refused.because("invalid_arguments", "[ERROR] missing required field: status")
    given = arguments.structure("loading_messages", error="invalid_arguments")
    lines = cast("list[str]", given or [])
    if len(lines) > _MOST_LOADING_MESSAGES:
        raise Refused.because("invalid_arguments", "[ERROR] no more than 10 items allowed")
    slack.set_status(
        Status(
            method=STATUS_LINE,
            channel=channel.id,
            thread_ts=thread_ts,
            status=arguments.values["status"],
            stored_at=time.perf_counter(),
            loading_messages=tuple(lines),
        )
    )
    return {"ok": True}


def set_agent_status(slack: Workspace, arguments: Arguments) -> Json:
    """`agents.sessions.setStatus`: the lifecycle Slack shows, with its stop button.

    Source: https://docs.slack.dev/reference/methods/agents.sessions.setStatus
    """
    channel = _agent_channel(slack, arguments)
    thread_ts = arguments.text("thread_ts")
    if thread_ts is not None:
        existing_message(slack, channel, thread_ts)
    status, title = arguments.required("status"), arguments.text("title")
    if status not in _AGENT_STATUSES:
        raise Refused.because("invalid_arguments", "[ERROR] must be a valid enum value: status")
    if len(title or "") > _MOST_TITLE:
        raise Refused.because(
            "invalid_arguments", "[ERROR] must be less than 201 characters: title"
        )
    slack.set_status(
        Status(
            method=AGENT_STATUS,
            channel=channel.id,
            thread_ts=thread_ts,
            status=status,
            title=title,
            stored_at=time.perf_counter(),
        )
    )
    answer: Json = {"ok": True, "status": status}
    if title is not None:
        answer["title"] = title
    if "agent_session_stopped" not in slack.subscriptions:
        answer["warning"] = "missing_agent_session_stopped_event_subscription"
    return answer


def _name(arguments: Arguments) -> str:
    name = (arguments.text("name") or "").strip(":")
    if not name:
        raise Refused("invalid_name")
    return name


def _reacted_to(slack: Workspace, arguments: Arguments) -> Message:
    channel = member_channel(slack, visible_channel(slack, arguments.required("channel")))
    return existing_message(slack, channel, arguments.required("timestamp"))


def _agent_channel(slack: Workspace, arguments: Arguments) -> Channel:
    return member_channel(slack, visible_channel(slack, arguments.required("channel_id")))


METHODS = {
    "reactions.add": Method(run=add_reaction, scope="reactions:write", writes=True),
    "reactions.remove": Method(run=remove_reaction, scope="reactions:write", writes=True),
    "reactions.get": Method(run=get_reactions, scope="reactions:read"),
    STATUS_LINE: Method(run=set_thread_status, scope="chat:write", writes=True),
    AGENT_STATUS: Method(run=set_agent_status, scope="chat:write", writes=True),
}
