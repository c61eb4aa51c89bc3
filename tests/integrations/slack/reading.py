"""Reading rendered messages back, as a strict reader of Slack's formats would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from openloop.integrations.slack import mrkdwn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LIVE = re.compile(r"<(?:@|!|#)[^>]*>")
_RINGING = {"user", "usergroup", "broadcast", "channel"}


def objects(node: object) -> Iterator[dict[str, Any]]:
    """Every JSON object in a message, in reading order."""
    if isinstance(node, dict):
        found = cast("dict[str, Any]", node)
        yield found
        for inner in found.values():
            yield from objects(inner)
    elif isinstance(node, (list, tuple)):
        for inner in cast("Iterable[object]", node):
            yield from objects(inner)


def kinds(blocks: object) -> list[str]:
    """The types of all typed objects, in reading order."""
    return [found["type"] for found in objects(blocks) if isinstance(found.get("type"), str)]


def words(blocks: object) -> str:
    """All the text a reader sees, joined."""
    return "".join(
        found["text"]
        for found in objects(blocks)
        if found.get("type") in {"text", "link", "plain_text"}
        and isinstance(found.get("text"), str)
    )


def live(blocks: object, text: str) -> set[str]:
    """Everybody a message would ring, by typed element or by markup."""
    ringing = {
        str(found.get("user_id") or found.get("usergroup_id") or found["type"])
        for found in objects(blocks)
        if found.get("type") in _RINGING
    }
    markup = [text, *(o["text"] for o in objects(blocks) if o.get("type") == "mrkdwn")]
    return ringing | {found for given in markup for found in _LIVE.findall(given)}


def letters(text: str) -> str:
    """Text without blanks and without what is put in to break mentions."""
    return re.sub(r"\s", "", text.replace(mrkdwn.JOINER, ""))
