"""What the author of a message typed themselves, with mentions and links as ids and addresses.

Slack's composer sends what was typed as `rich_text`: sections and lists count, quotations and code
blocks do not, nor inline code, the labels of links, unfurls, attachments and files. A message
without blocks is read as mrkdwn. What does not count leaves glue behind, so that its neighbours
make no token either.
https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.domain.sinks import GLUE
from openloop.domain.typed import without_code
from openloop.integrations.slack import mrkdwn
from openloop.integrations.slack.reading import flag_at, items_at, mapping_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.integrations.slack.reading import Json

_COUNTING = frozenset({"rich_text_section", "rich_text_list"})
_REFERENCE = re.compile(r"<([^<>|\n]*+)(?:\|[^<>\n]*+)?>")
_FENCE = re.compile(r"```")
_MOST_DEPTH = 8


def typed_text(message: Json) -> str:
    """The text as it counts for sink arguments; empty where nothing in it does."""
    if message.get("blocks") is not None:
        return _of_blocks(message)[: mrkdwn.MOST_TEXT]
    return _of_mrkdwn(text_at(message, "text"))[: mrkdwn.MOST_TEXT]


def _of_blocks(message: Json) -> str:
    blocks = items_at(message, "blocks")
    if any(text_at(block, "type") != "rich_text" for block in blocks):
        return ""  # not made by a person's composer alone
    sections = (each for block in blocks for each in items_at(block, "elements"))
    text = "\n".join(_section(each, 0) for each in sections)
    return _spoken(text)


def _section(element: Json, depth: int) -> str:
    if text_at(element, "type") not in _COUNTING or depth > _MOST_DEPTH:
        return GLUE
    if text_at(element, "type") == "rich_text_list":
        return "\n".join(_section(each, depth + 1) for each in items_at(element, "elements"))
    return "".join(_pieces(element))


def _pieces(section: Json) -> Iterator[str]:
    for piece in items_at(section, "elements"):
        if flag_at(mapping_at(piece, "style"), "code"):
            yield GLUE
            continue
        match text_at(piece, "type"):
            case "text":
                yield text_at(piece, "text").replace(GLUE, "")
            case "link":
                yield _entity(_address(text_at(piece, "url")))
            case "user":
                yield _entity(text_at(piece, "user_id"))
            case "channel":
                yield _entity(text_at(piece, "channel_id"))
            case "usergroup":
                yield _entity(text_at(piece, "usergroup_id"))
            case _:
                yield GLUE


def _of_mrkdwn(raw: str) -> str:
    kept = without_code(_unfenced(raw[: mrkdwn.MOST_TEXT].replace(GLUE, "")))
    spoken = _spoken(mrkdwn.unquoted(kept))
    return mrkdwn.unescape(_REFERENCE.sub(_decoded, spoken))


def _spoken(text: str) -> str:
    """Without what a person wrote as markup where the composer did not make it one."""
    lines = without_code(_unfenced(text)).split("\n")
    return "\n".join(line for line in lines if not line.lstrip().startswith(">"))


def _unfenced(text: str) -> str:
    """Without code blocks; one that is not closed goes to the end."""
    return f"\n{GLUE}\n".join(_FENCE.split(text)[::2])


def _decoded(found: re.Match[str]) -> str:
    target = found[1]
    if target.startswith(("@", "#")):
        return _entity(target[1:])
    if target.startswith("!subteam^"):
        return _entity(target.removeprefix("!subteam^"))
    return GLUE if target.startswith("!") else _entity(_address(target))


def _address(url: str) -> str:
    return url.removeprefix("mailto:")


def _entity(value: str) -> str:
    """An id or address as a token of its own, unless it could not be one."""
    return value if value and not re.search(r"\s", value) and GLUE not in value else GLUE
