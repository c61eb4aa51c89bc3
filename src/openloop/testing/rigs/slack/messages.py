"""A stored message, what can be clicked in it, and whom it would notify."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from openloop.testing.rigs.slack.people import Person
from openloop.testing.rigs.slack.wire import Json

_LIVE_MENTION = re.compile(r"<(?:@[UW][A-Z0-9]+|!(?:channel|here|everyone|subteam\^S[A-Z0-9]+))")
_REFERENCE = re.compile(r"<(@|!subteam\^|!|#)?([^<>|\s]+)(?:\|([^<>]*))?>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button as it stands in a message."""

    action_id: str
    block_id: str
    label: str
    value: str | None
    element: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """One person's emoji on one message."""

    channel: str
    ts: str
    name: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as the workspace keeps it; an edit is a new value under the same `ts`.

    `thread_ts` is set on replies only. `stored_at` is seconds on `time.perf_counter()`.
    """

    channel: str
    ts: str
    author: Person
    text: str
    stored_at: float
    thread_ts: str | None = None
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    metadata: Json | None = None
    client_msg_id: str | None = None
    parent_user_id: str | None = None
    subtype: str | None = None
    edited: Json | None = None
    reactions: tuple[Reaction, ...] = ()
    broadcast: bool = False

    @property
    def user(self) -> str:
        return self.author.id

    @property
    def root_ts(self) -> str:
        """The thread this message opens or belongs to."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def buttons(self) -> tuple[Button, ...]:
        return tuple(_buttons(self.blocks))

    @property
    def pings(self) -> tuple[str, ...]:
        """The live mentions in it (`<@U..`, `<!channel`): everybody Slack would notify."""
        texts = (self.text, *_markup_texts(self.blocks))
        return tuple(found for text in texts for found in _LIVE_MENTION.findall(text))

    @property
    def words(self) -> str:
        """All that a reader sees: the text of the blocks, or the plain text without any."""
        return "\n".join(_visible_texts(self.blocks)) if self.blocks else self.text

    def as_json(self) -> Json:
        """The message object without thread counters and metadata."""
        message: Json = {"type": "message", "user": self.author.id, "ts": self.ts}
        if self.subtype is not None:
            message["subtype"] = self.subtype
        if self.client_msg_id is not None:
            message["client_msg_id"] = self.client_msg_id
        if self.author.bot_id is not None:
            message["bot_id"] = self.author.bot_id
            message["app_id"] = self.author.app_id
            message["bot_profile"] = self.author.bot_profile()
        message["text"] = self.text
        message["team"] = self.author.team_id
        if self.thread_ts is not None:
            message["thread_ts"] = self.thread_ts
        if self.parent_user_id is not None:
            message["parent_user_id"] = self.parent_user_id
        if self.blocks:
            message["blocks"] = list(self.blocks)
        if self.attachments:
            message["attachments"] = list(self.attachments)
        if self.edited is not None:
            message["edited"] = self.edited
        if self.reactions:
            message["reactions"] = _reaction_counts(self.reactions)
        return message


def _reaction_counts(reactions: tuple[Reaction, ...]) -> list[Json]:
    users: dict[str, list[str]] = {}
    for reaction in reactions:
        users.setdefault(reaction.name, []).append(reaction.user)
    return [{"name": name, "users": who, "count": len(who)} for name, who in users.items()]


def _inner_objects(node: object) -> Iterator[Json]:
    """Every object inside a block, in reading order."""
    if isinstance(node, dict):
        found = cast("Json", node)
        yield found
        for inner in found.values():
            yield from _inner_objects(inner)
    elif isinstance(node, (list, tuple)):
        for inner in cast("list[Any]", node):
            yield from _inner_objects(inner)


def _buttons(blocks: tuple[Json, ...]) -> Iterator[Button]:
    for block in blocks:
        for element in _inner_objects(block):
            if element.get("type") == "button" and "action_id" in element:
                label = element.get("text")
                yield Button(
                    action_id=element["action_id"],
                    block_id=block.get("block_id", ""),
                    label=cast("Json", label).get("text", "") if isinstance(label, dict) else "",
                    value=element.get("value"),
                    element=element,
                )


def _texts_of(blocks: tuple[Json, ...], types: tuple[str, ...]) -> Iterator[str]:
    for block in blocks:
        for node in _inner_objects(block):
            if node.get("type") in types and isinstance(node.get("text"), str):
                yield node["text"]


def _markup_texts(blocks: tuple[Json, ...]) -> Iterator[str]:
    return _texts_of(blocks, ("mrkdwn", "markdown"))


def _visible_texts(blocks: tuple[Json, ...]) -> Iterator[str]:
    return _texts_of(blocks, ("mrkdwn", "plain_text", "markdown", "raw_text", "text"))


def _unescape(text: str) -> str:
    for entity, plain in _ENTITIES:
        text = text.replace(entity, plain)
    return text


def _reference(kind: str | None, target: str, label: str | None) -> Json:
    if kind == "@":
        return {"type": "user", "user_id": target}
    if kind == "!subteam^":
        return {"type": "usergroup", "usergroup_id": target}
    if kind == "!":
        return {"type": "broadcast", "range": target}
    if kind == "#":
        return {"type": "channel", "channel_id": target}
    link: Json = {"type": "link", "url": _unescape(target)}
    return link if label is None else link | {"text": _unescape(label)}


def rich_text(text: str, *, block_id: str) -> Json:
    """What Slack's own composer makes of a message: a `rich_text` block beside the text."""
    elements: list[Json] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > end:
            elements.append({"type": "text", "text": _unescape(text[end : match.start()])})
        elements.append(_reference(match[1], match[2], match[3]))
        end = match.end()
    if end < len(text):
        elements.append({"type": "text", "text": _unescape(text[end:])})
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}
