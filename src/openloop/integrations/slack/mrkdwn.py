"""Slack's text markup: reading what people wrote, and escaping what we write.

The rules: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_TEXT = 40_000
CUT = " [cut]"

_REFERENCE = re.compile(
    r"<((?:[@#!]|[a-z][a-z0-9+.-]*:)[^<>|\n]*)(?:\|([^<>\n]*))?>", re.IGNORECASE
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_QUOTED_LINE = re.compile(r"^&gt;.*$", re.MULTILINE)
_QUOTED_REST = re.compile(r"^&gt;&gt;&gt;.*\Z", re.MULTILINE | re.DOTALL)

# U+2060 is not shown and keeps the word together: the token stays readable and rings nobody.
JOINER = "\u2060"
_BROADCAST = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.IGNORECASE)
_TOKEN = re.compile(r"<(?=[@!#])")

# Direction overrides reorder what people read; controls are refused by Slack or hide text.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def escape(text: str) -> str:
    """Text for a mrkdwn field: nothing in it is markup any more."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The characters behind Slack's three entities."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def neutralise(text: str) -> str:
    """Break what could ring somebody were it ever read as markup."""
    return _TOKEN.sub(f"<{JOINER}", _BROADCAST.sub(f"@{JOINER}", text))


def printable(text: str) -> str:
    """Without control characters and direction overrides; tabs and line breaks stay."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _UNSEEN.sub("", plain))


def is_mentioned(raw: str, user_id: str) -> bool:
    """Whether the markup addresses `user_id` itself, outside code and quotations."""
    if f"<@{user_id}" not in raw:
        return False
    spoken = unquoted(_CODE.sub("", raw))
    return re.search(rf"<@{re.escape(user_id)}(?:\|[^<>]*)?>", spoken) is not None


def unquoted(raw: str) -> str:
    """The markup without its quotations."""
    return _QUOTED_LINE.sub("", _QUOTED_REST.sub("", raw))


def to_plain(raw: str, *, own_id: str = "", names: Mapping[str, str] | None = None) -> str:
    """Markup as plain text: links spelled out, mentions as @name, our own first mention gone.

    At most 40,000 characters of markup are read (Slack's own limit); a cut is marked.
    """
    kept = raw[:MOST_TEXT]
    if own_id:
        kept = re.sub(rf"\A(?:\s*<@{re.escape(own_id)}(?:\|[^<>]*)?>[\s:,]*)+", "", kept)
    plain = unescape(_REFERENCE.sub(_spelled_out(names or {}), kept)).replace(JOINER, "")
    return plain + CUT if len(raw) > MOST_TEXT else plain


def mentioned_ids(raw: str) -> frozenset[str]:
    """The users mentioned in a markup, to look their names up."""
    return frozenset(re.findall(r"<@([UW][A-Z0-9]+)", raw[:MOST_TEXT]))


def _spelled_out(names: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    def spell(found: re.Match[str]) -> str:
        target, label = found[1], found[2] or ""
        match target[0]:
            case "@":
                return f"@{names.get(target[1:]) or label or target[1:]}"
            case "#":
                return f"#{label or target[1:]}"
            case "!":
                return _special(target[1:], label)
            case _:
                return _link(target, label)

    return spell


def _special(name: str, label: str) -> str:
    command, _, rest = name.partition("^")
    if command == "date":
        return label or rest.partition("^")[0]
    if command == "subteam":
        return label or f"@{rest}"
    return f"@{command}"


def _link(url: str, label: str) -> str:
    address = url.removeprefix("mailto:").removeprefix("tel:")
    return address if label in {"", url, address} else f"{label} ({url})"
