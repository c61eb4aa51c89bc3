"""Reading threads: what people said in them, and which of our ops are there already."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from openloop.domain.surface import Place, Thread, ThreadMessage
from openloop.integrations.slack import mrkdwn
from openloop.integrations.slack.decode import moment, permalink, words_of
from openloop.integrations.slack.methods import READ_THREAD
from openloop.integrations.slack.reading import items_at, mapping_at, text_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from openloop.integrations.slack.client import SlackClient
    from openloop.integrations.slack.directory import Directory, Identity
    from openloop.integrations.slack.reading import Json

OP_EVENT = "openloop_op"
MOST_HISTORY = 200

_PAGE = 999
_MOST_PAGES = 6
# A key with a UUIDv7 in it says when the op was made: nothing older can be its message. The
# margin covers clocks that disagree.
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MARGIN_SECONDS = 3600

OpKind = Literal["say", "card"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundParts:
    """The messages of one op by their part; `is_certain` where the whole range was read."""

    ids: Mapping[int, str]
    is_certain: bool


def alone_with(tenant: str, user_id: str) -> Thread:
    """Our direct message with somebody, by their id: Slack opens it for whatever is posted there.

    What is said opens a thread of its own, so there is no root; and Slack reads no conversation by
    the id of a person, so nothing in it can be looked up. Source:
    https://docs.slack.dev/reference/methods/chat.postMessage
    """
    return Thread(place=Place(surface="slack", tenant=tenant, container=user_id), root="")


def op_metadata(key: str, *, part: int, kind: OpKind) -> Json:
    """What marks a message as a part of one op. Slack keeps it and shows it to nobody."""
    payload = {"key": key, "part": part, "kind": kind}
    return {"event_type": OP_EVENT, "event_payload": payload}


async def find_parts(
    client: SlackClient, thread: Thread, *, key: str, identity: Identity
) -> FoundParts:
    """Look for our messages of one op in a thread.

    Slack answers oldest first, so a key without a time in it means reading from the beginning.
    """
    ids: dict[int, str] = {}
    async for message, is_last_page in _walk(client, thread, oldest=_made_at(key)):
        if message is None:
            return FoundParts(ids=ids, is_certain=is_last_page)
        metadata = mapping_at(message, "metadata")
        payload = mapping_at(metadata, "event_payload")
        is_op = text_at(metadata, "event_type") == OP_EVENT and text_at(payload, "key") == key
        part = payload.get("part")
        if is_op and isinstance(part, int) and identity.wrote(message):
            ids[part] = text_at(message, "ts")
    return FoundParts(ids=ids, is_certain=False)


async def read_history(
    client: SlackClient, directory: Directory, thread: Thread, *, limit: int
) -> Sequence[ThreadMessage]:
    """The newest `limit` messages (200 at most), oldest first, with the names of their authors."""
    identity = await directory.identity()
    newest: deque[Json] = deque(maxlen=max(1, min(limit, MOST_HISTORY)))
    async for message, _ in _walk(client, thread):
        if message is not None and not _is_noise(message, identity):
            newest.append(message)
    names = await directory.names(_people_in(newest, identity))
    names[identity.user_id] = identity.name
    said = (_said(message, thread, identity, names) for message in newest)
    return tuple(message for message in said if message is not None)


async def _walk(
    client: SlackClient, thread: Thread, *, oldest: str = ""
) -> AsyncIterator[tuple[Json | None, bool]]:
    """Every message of a thread page by page, then `(None, whether that was all)`."""
    cursor = ""
    for _ in range(_MOST_PAGES):
        arguments: dict[str, object] = {
            "channel": thread.place.container,
            "ts": thread.root,
            "limit": _PAGE,
            "include_all_metadata": True,
        }
        if oldest:
            arguments["oldest"] = oldest
        if cursor:
            arguments["cursor"] = cursor
        answer = await client.call(READ_THREAD, arguments)
        cursor = text_at(answer.payload, "response_metadata", "next_cursor")
        for message in items_at(answer.payload, "messages"):
            yield message, not cursor
        if not cursor:
            break
    yield None, not cursor


def _made_at(key: str) -> str:
    found = _UUID7.search(key.lower())
    if found is None:
        return ""
    milliseconds = UUID(found[0]).int >> 80
    return f"{max(0, milliseconds // 1000 - _MARGIN_SECONDS)}.000000"


def _is_noise(message: Json, identity: Identity) -> bool:
    """What is not talk: our own approval cards, joins and leaves, deleted messages."""
    if identity.wrote(message):
        return text_at(message, "metadata", "event_payload", "kind") == "card"
    subtype = text_at(message, "subtype")
    return subtype not in {"", "thread_broadcast", "file_share", "me_message", "bot_message"}


def _people_in(messages: Iterable[Json], identity: Identity) -> set[str]:
    """The authors and those who are mentioned. Bots name themselves, and we need no name."""
    found: set[str] = set()
    for message in messages:
        if text_at(message, "user") and not text_at(message, "bot_id"):
            found.add(text_at(message, "user"))
        found |= mrkdwn.mentioned_ids(text_at(message, "text"))
    return found - {identity.user_id}


def _said(
    message: Json, thread: Thread, identity: Identity, names: Mapping[str, str]
) -> ThreadMessage | None:
    ts = text_at(message, "ts")
    sent_at = moment(ts)
    if sent_at is None:
        return None
    by_us = identity.wrote(message)
    author_id = text_at(message, "user") or text_at(message, "bot_id")
    return ThreadMessage(
        id=ts,
        author_id=author_id,
        author_name=names.get(author_id) or _bot_name(message) or author_id,
        sent_at=sent_at,
        text=mrkdwn.to_plain(words_of(message), own_id=identity.user_id, names=names),
        by_us=by_us,
        by_bot=not by_us and bool(text_at(message, "bot_id")),
        link=permalink(thread.place.container, ts, thread.root),
    )


def _bot_name(message: Json) -> str:
    return text_at(message, "bot_profile", "name") or text_at(message, "username")
