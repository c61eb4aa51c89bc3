"""`chat.*`: posting, changing and deleting messages."""

from typing import Any, cast

from openloop.testing.rigs.slack.arguments import Arguments, Refused
from openloop.testing.rigs.slack.blocks import (
    MOST_MARKDOWN,
    BlocksTooLong,
    problems_of,
    with_ids,
)
from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.methods.method import (
    Method,
    existing_message,
    member_channel,
    require_scope,
    visible_channel,
)
from openloop.testing.rigs.slack.people import Channel
from openloop.testing.rigs.slack.wire import Json, microseconds
from openloop.testing.rigs.slack.workspace import Ephemeral, Workspace

MOST_TEXT = 40_000
_MOST_METADATA = 16_000


def post_message(slack: Workspace, arguments: Arguments) -> Json:
    channel = _target(slack, arguments)
    content = _content(slack, arguments)
    message = slack.post(
        channel,
        author=slack.bot,
        thread_ts=_thread_of(slack, channel, arguments.text("thread_ts")),
        metadata=_metadata(arguments),
        broadcast=arguments.flag("reply_broadcast"),
        **content,
    )
    return {"ok": True, "channel": channel.id, "ts": message.ts, "message": _posted(message)}


def update(slack: Workspace, arguments: Arguments) -> Json:
    channel = visible_channel(slack, arguments.required("channel"))
    message = existing_message(slack, channel, arguments.required("ts"))
    if message.author != slack.bot:
        raise Refused("cant_update_message")
    content = _content(slack, arguments)
    if not content["blocks"] and "blocks" not in arguments.values:
        content["blocks"] = message.blocks
    content["blocks"] = tuple(content["blocks"])
    if metadata := _metadata(arguments):
        content["metadata"] = metadata
    after = slack.amend(message, by=slack.bot, **content)
    updated = after.as_json()
    for absent in ("ts", "thread_ts", "parent_user_id"):
        updated.pop(absent, None)
    return {
        "ok": True,
        "channel": channel.id,
        "ts": after.ts,
        "text": after.text,
        "message": updated,
    }


def delete(slack: Workspace, arguments: Arguments) -> Json:
    channel = visible_channel(slack, arguments.required("channel"))
    message = existing_message(slack, channel, arguments.required("ts"))
    if message.author != slack.bot:
        raise Refused("cant_delete_message")
    slack.retract(message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


def post_ephemeral(slack: Workspace, arguments: Arguments) -> Json:
    channel = member_channel(slack, visible_channel(slack, arguments.required("channel")))
    user = arguments.required("user")
    if user not in slack.members_of(channel):
        raise Refused("user_not_in_channel")
    content = _content(slack, arguments)
    shown = Ephemeral(
        channel=channel.id,
        user=user,
        ts=slack.clock.next_ts(),
        text=content["text"],
        blocks=tuple(content["blocks"]),
        thread_ts=arguments.text("thread_ts"),
    )
    slack.whisper(shown)
    return {"ok": True, "message_ts": shown.ts}


def get_permalink(slack: Workspace, arguments: Arguments) -> Json:
    channel = visible_channel(slack, arguments.required("channel"))
    message = existing_message(slack, channel, arguments.required("message_ts"))
    return {"ok": True, "channel": channel.id, "permalink": permalink(slack, message)}


def permalink(slack: Workspace, message: Message) -> str:
    link = f"https://{slack.domain}.slack.com/archives/{message.channel}"
    link += f"/p{message.ts.replace('.', '')}"
    return (
        f"{link}?thread_ts={message.thread_ts}&cid={message.channel}" if message.is_reply else link
    )


def _target(slack: Workspace, arguments: Arguments) -> Channel:
    """Where to post; a user id opens a direct message."""
    wanted = arguments.text("channel")
    person = None if wanted is None else slack.people.find(wanted)
    if person is not None:
        return slack.channels.direct(person)
    channel = visible_channel(slack, wanted)
    if channel.is_archived:
        raise Refused("is_archived")
    if not channel.bot_is_member and "chat:write.public" not in slack.scopes:
        raise Refused("not_in_channel")
    return channel


def _thread_of(slack: Workspace, channel: Channel, thread_ts: str | None) -> str | None:
    """The root to reply to; a reply's own timestamp opens no thread."""
    if thread_ts is None:
        return None
    try:
        microseconds(thread_ts)
    except ValueError:
        raise Refused("invalid_thread_ts") from None
    root = slack.find_message(channel.id, thread_ts)
    if root is None or root.is_reply:
        raise Refused("thread_not_found")
    return thread_ts


def _content(slack: Workspace, arguments: Arguments) -> dict[str, Any]:
    """Text, blocks and attachments within Slack's limits."""
    text = arguments.text("text") or ""
    markdown = arguments.text("markdown_text")
    blocks = checked_blocks(arguments.objects("blocks", error="invalid_blocks_format"))
    attachments = arguments.objects("attachments", error="invalid_attachments")
    if markdown is not None:
        if text or blocks:
            raise Refused("markdown_text_conflict")
        if len(markdown) > MOST_MARKDOWN:
            raise Refused("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if not (text or blocks or attachments):
        raise Refused("no_text")
    if len(text) > MOST_TEXT:
        raise Refused("msg_too_long")
    fresh = iter(lambda: slack.ids.next_id("b", width=4), None)
    return {
        "text": text,
        "blocks": with_ids(blocks, fresh),
        "attachments": tuple(attachments),
    }


def checked_blocks(blocks: list[Json]) -> list[Json]:
    """The blocks, or Slack's refusal of them."""
    try:
        problems = problems_of(blocks)
    except BlocksTooLong:
        raise Refused("msg_blocks_too_long") from None
    if problems:
        raise Refused(
            "invalid_blocks",
            errors=[str(problem).removeprefix("[ERROR] ") for problem in problems],
            response_metadata={"messages": [str(problem) for problem in problems]},
        )
    return blocks


def _metadata(arguments: Arguments) -> Json | None:
    metadata = arguments.structure("metadata", error="invalid_metadata_format")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise Refused("invalid_metadata_format")
    metadata = cast("Json", metadata)
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not isinstance(payload, dict):
        raise Refused("invalid_metadata_format")
    if len(str(cast("Json", payload))) > _MOST_METADATA:
        raise Refused("metadata_too_large")
    return metadata


def _posted(message: Message) -> Json:
    posted = message.as_json()
    return posted | {"metadata": message.metadata} if message.metadata else posted


def _open_conversation(slack: Workspace, arguments: Arguments) -> Json:
    require_scope(slack, "im:write")
    users = arguments.required("users").split(",")
    person = slack.people.find(users[0])
    if person is None or len(users) > 1:
        raise Refused("user_not_found")
    channel = slack.channels.direct(person)
    return {"ok": True, "channel": {"id": channel.id}}


METHODS = {
    "chat.postMessage": Method(run=post_message, scope="chat:write", writes=True),
    "chat.update": Method(run=update, scope="chat:write", writes=True),
    "chat.delete": Method(run=delete, scope="chat:write", writes=True),
    "chat.postEphemeral": Method(run=post_ephemeral, scope="chat:write", writes=True),
    "chat.getPermalink": Method(run=get_permalink),
    "conversations.open": Method(run=_open_conversation, writes=True),
}
