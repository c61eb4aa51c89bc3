"""What an agent says, as Markdown that GitHub shows and that does nothing else.

GitHub reads our text as its own Markdown, so what must not happen is taken out of the text: names
that nobody is to be called by, HTML, pictures, which GitHub would fetch, and lines that are commands
to other programs. Code stays as it is but for such lines, since nothing else in it is live. Whether
that worked is looked at with a parser, and what is still live then is made plain without mercy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.integrations.github.mentions import called_in, has_markup, is_twisted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

MOST_COMMENT = 65_536
MOST_PART = 60_000
MARK_ROOM = 200
"""GitHub's limit for a comment, and ours: footer, buttons and mark stand below it."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_TICKS = re.compile(r"`+")
_AT = re.compile(r"@(?=[A-Za-z0-9_])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!https?://[^\s<>]*>)")
# An entity that stands for an @ calls people as well.
_ENTITY = re.compile(r"&(?=#|commat;)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Programs that listen for commands look at the beginnings of lines, and at no Markdown. A path has
# another slash.
_COMMAND = re.compile(r"^([ \t]*)/(?=[A-Za-z][\w-]*(?:[ \t]|$))", re.MULTILINE)
# To GitHub, not to our parser, a footnote begins in the middle of a paragraph and ends what was open.
_FOOTNOTE = re.compile(r"[ \t>*+.)0-9-]*\[\^[^\]]*\]:")
_WIDE_AT = "\uff20"
_WIDE_LESS = "\uff1c"
_UNSEEN = "\u200b"
_FENCE_ROOM = 100
"""Above that a parser, too, takes long; nobody reads so many links."""


def say(markdown: str, *, live: Collection[str] = ()) -> list[str]:
    """The text as comments, in order; `live` are the logins that may be called by their names."""
    named = frozenset(login.lower() for login in live)
    text = _CONTROL.sub("", markdown.replace("\r\n", "\n")).strip()
    quiet = _quiet(text, named)
    return [_surely_quiet(part, named) for part in split(quiet)] or ["(nothing to show)"]


def plain(text: str, *, live: Collection[str] = ()) -> str:
    """Words that are shown as they are: no Markdown in them, and only `live` are called."""
    shown = _CONTROL.sub("", text)
    escaped = re.sub(r"([\\`*_{}\[\]()#+\-.!|~>])", r"\\\1", shown.replace("&", "&amp;"))
    escaped = escaped.replace("<", "&lt;")
    return _without_mentions(escaped, frozenset(login.lower() for login in live))


def code(text: str) -> str:
    """A block that shows exactly this text, whatever backticks are in it."""
    longest = max((len(found) for found in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def split(text: str, *, most: int = MOST_PART) -> list[str]:
    """The text in parts of at most `most` characters, cut between lines where that is possible.

    A block of code that is cut is closed in one part and opened again in the next.
    """
    parts: list[str] = []
    lines: list[str] = []
    room = most
    fence = ""
    for line in _short_lines(text, most - 2 * _FENCE_ROOM):
        if len(line) + 1 > room - (_FENCE_ROOM if fence else 0):
            parts.append("\n".join([*lines, _closing(fence)] if fence else lines))
            lines = [fence] if fence else []
            room = most - len(fence) - 1
        lines.append(line)
        room -= len(line) + 1
        fence = _fence_after(line, fence)
    parts.append("\n".join(lines))
    return [part for part in (each.strip("\n") for each in parts) if part.strip()]


def _quiet(text: str, live: frozenset[str]) -> str:
    """The text outside of code without mentions, HTML and pictures."""

    def muted(piece: str) -> str:
        without = _ENTITY.sub("&amp;", piece)
        without = _TAG.sub("&lt;", without).replace("![", "!\\[")
        return _without_mentions(without, live)

    quiet = "\n".join(_outside_code(text.split("\n"), muted))
    return _COMMAND.sub(rf"\1{_UNSEEN}/", quiet)


def _surely_quiet(part: str, live: frozenset[str]) -> str:
    """The part; where a parser still finds somebody called, or HTML, no sign for it is left."""
    if (
        is_twisted(part)
        or has_markup(part)
        or any(name.lower() not in live for name in called_in(part))
    ):
        part = _ENTITY.sub("&amp;", part)
        return part.replace("@", _WIDE_AT).replace("<", _WIDE_LESS).replace("![", "[")
    return part


def _without_mentions(text: str, live: frozenset[str]) -> str:
    def muted(found: re.Match[str]) -> str:
        rest = re.match(r"[A-Za-z0-9-]{1,39}", text[found.end() :])
        is_team = rest is not None and text[found.end() + rest.end() :].startswith("/")
        is_live = rest is not None and not is_team and rest[0].lower() in live
        return "@" if is_live else f"@{_UNSEEN}"

    return _AT.sub(muted, text)


def _outside_code(lines: list[str], change: Callable[[str], str]) -> Iterator[str]:
    """The lines, with everything that is no code changed; paragraphs are changed as one."""
    fence = ""
    spoken: list[str] = []
    for line in lines:
        after = _fence_after(line, fence)
        if fence or after or not line.strip():
            yield from _changed(spoken, change)
            spoken = []
            yield line
        else:
            if _FOOTNOTE.match(line):
                yield from _changed(spoken, change)
                spoken = []
            spoken.append(line)
        fence = after
    yield from _changed(spoken, change)


def _changed(spoken: list[str], change: Callable[[str], str]) -> Iterator[str]:
    """A paragraph with its code spans left as they are; they may go over lines."""
    if not spoken:
        return
    text = "\n".join(spoken)
    runs = list(_TICKS.finditer(text))
    last: dict[int, int] = {len(run[0]): at for at, run in enumerate(runs)}
    parts: list[str] = []
    at = number = 0
    while number < len(runs):
        run = runs[number]
        is_escaped = text[: run.start()].endswith("\\")
        closing = None
        if not is_escaped and last[len(run[0])] > number:
            closing = next(
                later for later in range(number + 1, len(runs)) if runs[later][0] == run[0]
            )
        if closing is None:
            number += 1
            continue
        end = runs[closing].end()
        parts += (change(text[at : run.start()]), text[run.start() : end])
        at, number = end, closing + 1
    parts.append(change(text[at:]))
    yield from "".join(parts).split("\n")


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open behind this line, as its opening line reads; empty where none is."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    mark, rest = found[1], found[2]
    if not fence:
        return "" if mark[0] == "`" and "`" in rest else line.strip()[:_FENCE_ROOM]
    opened = _TICKS.match(fence) or re.match(r"~+", fence)
    closes = opened is not None and mark.startswith(opened[0]) and not rest.strip()
    return "" if closes else fence


def _closing(fence: str) -> str:
    opened = _TICKS.match(fence) or re.match(r"~+", fence)
    return opened[0] if opened is not None else ""


def _short_lines(text: str, most: int) -> Iterator[str]:
    """The lines, those that are longer than a part cut at blanks."""
    for line in text.split("\n"):
        rest = line
        while len(rest) > most:
            at = rest.rfind(" ", most // 2, most) + 1 or most
            yield rest[:at]
            rest = rest[at:]
        yield rest
