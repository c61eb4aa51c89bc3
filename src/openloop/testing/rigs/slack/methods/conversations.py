"""`conversations.*`: reading channels, threads and who is in them."""

from collections.abc import Iterable

from openloop.testing.rigs.slack.arguments import Arguments, Refused, page
from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.methods.method import (
    Method,
    member_channel,
    readable_channel,
    require_scope,
)
from openloop.testing.rigs.slack.people import Channel
from openloop.testing.rigs.slack.wire import Json, microseconds
from openloop.testing.rigs.slack.workspace import Workspace

_TYPES = {"public_channel": "channels", "private_channel": "groups", "im": "im", "mpim": "mpim"}


def replies(slack: Workspace, arguments: Arguments) -> Json:
    """The thread a message opens or belongs to, oldest first, its opening message always first."""
    channel = member_channel(slack, readable_channel(slack, arguments, "history"))
    message = slack.find_message(channel.id, arguments.required("ts"))
    if message is None:
        raise Refused("thread_not_found")
    root, *answers = slack.history(channel.id).thread(message.root_ts)
    messages, cursor = page(
        [root, *_within(answers, arguments)], arguments, default=1000, most=1000
    )
    return _messages(slack, channel, messages, arguments, cursor)


def history(slack: Workspace, arguments: Arguments) -> Json:
    """What the channel shows, newest first; replies are only read by thread."""
    channel = member_channel(slack, readable_channel(slack, arguments, "history"))
    shown = _within(slack.history(channel.id).newest_first(), arguments)
    messages, cursor = page(shown, arguments, default=100, most=999)
    answer = _messages(slack, channel, messages, arguments, cursor)
    return answer | {"pin_count": 0}


def about(slack: Workspace, arguments: Arguments) -> Json:
    channel = readable_channel(slack, arguments, "read")
    count = len(slack.members_of(channel)) if arguments.flag("include_num_members") else None
    described = channel.as_json(bot_user_id=slack.bot.id, member_count=count)
    return {"ok": True, "channel": described}


def list_channels(slack: Workspace, arguments: Arguments) -> Json:
    families: set[str] = set()
    for kind in (arguments.text("types") or "public_channel").split(","):
        family = _TYPES.get(kind.strip())
        if family is None:
            raise Refused("invalid_types")
        require_scope(slack, f"{family}:read")
        families.add(family)
    listed = [
        channel
        for channel in slack.channels
        if channel.family in families
        and (channel.bot_is_member or not channel.is_private)
        and not (channel.is_archived and arguments.flag("exclude_archived"))
    ]
    channels, cursor = page(listed, arguments, default=100, most=1000)
    return {
        "ok": True,
        "channels": [
            channel.as_json(bot_user_id=slack.bot.id, member_count=len(slack.members_of(channel)))
            for channel in channels
        ],
        "response_metadata": {"next_cursor": cursor},
    }


def members(slack: Workspace, arguments: Arguments) -> Json:
    channel = readable_channel(slack, arguments, "read")
    found, cursor = page(slack.members_of(channel), arguments, default=100, most=1000)
    return {"ok": True, "members": found, "response_metadata": {"next_cursor": cursor}}


def _bound(arguments: Arguments, name: str) -> int | None:
    if name not in arguments:
        return None
    try:
        return microseconds(str(arguments.values[name]))
    except ValueError:
        raise Refused(f"invalid_ts_{name}") from None


def _within(messages: Iterable[Message], arguments: Arguments) -> Iterable[Message]:
    """Those between `oldest` and `latest`; the ends themselves only if `inclusive`."""
    oldest, latest = _bound(arguments, "oldest"), _bound(arguments, "latest")
    if oldest is None and latest is None:
        return messages
    margin = 0 if arguments.flag("inclusive") else 1
    first = 0 if oldest is None else oldest + margin
    last = None if latest is None else latest - margin
    return (
        message
        for message in messages
        if first <= (at := microseconds(message.ts)) and (last is None or at <= last)
    )


def _messages(
    slack: Workspace,
    channel: Channel,
    messages: list[Message],
    arguments: Arguments,
    cursor: str,
) -> Json:
    with_metadata = arguments.flag("include_all_metadata")
    kept = slack.history(channel.id)
    answer: Json = {
        "ok": True,
        "messages": [kept.render(message, with_metadata=with_metadata) for message in messages],
        "has_more": bool(cursor),
    }
    return answer | {"response_metadata": {"next_cursor": cursor}} if cursor else answer


METHODS = {
    "conversations.replies": Method(run=replies),
    "conversations.history": Method(run=history),
    "conversations.info": Method(run=about),
    "conversations.list": Method(run=list_channels),
    "conversations.members": Method(run=members),
}
