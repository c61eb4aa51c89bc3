"""Who is mentioned in a text in Markdown, and whether a comment is nothing but a command.

A mention is no event of GitHub's: it is found in the text, as GitHub itself does it. Code,
quotations, HTML and the labels of links mention nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from openloop.domain.markdown_effort import takes_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it.token import Token

MOST_READ = 16_000
"""How far into a text mentions are looked for: whoever delivers it waits for that."""
COMMANDS = {
    "approve": "approve",
    "reject": "deny",
    "retry": "retry",
    "happened": "happened",
    "undo": "undo",
    "break-glass": "break_glass",
}
"""What people write after the slash, and the action of the button that it stands for."""

_MENTION = re.compile(
    r"(?<![A-Za-z0-9_`/@.-])@([A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})(?![A-Za-z0-9_/-])"
)
# Rather too much than too little: for what we say ourselves.
_CALL = re.compile(r"@([A-Za-z0-9][A-Za-z0-9_/-]*)")
_COMMAND = re.compile(r"/([a-z-]{1,20}) {1,4}([A-Za-z0-9_-]{8,128})")
_STOP = re.compile(r"/(?:stop|cancel)")
_NESTING = 20
_QUOTE = re.compile(r" {0,3}>")


@dataclass(frozen=True, slots=True)
class Command:
    """A comment that is one command: an action of ours, and the token of what it is about."""

    action: str
    token: str


def mentions(text: str, login: str) -> bool:
    """Whether the text mentions this login near its beginning; one that is twisted mentions nobody."""
    text = text[:MOST_READ]
    if f"@{login.lower()}" not in text.lower() or is_twisted(text):
        return False
    wanted = login.lower()
    return any(found.lower() == wanted for found in mentioned_in(text))


def mentioned_in(text: str) -> Iterator[str]:
    """Every login that the text speaks to, as often as it does; quotations speak to nobody."""
    quotations = 0
    for token in _tokens(text.replace("\r\n", "\n")):
        if token.type in {"blockquote_open", "blockquote_close"}:
            quotations += token.nesting
        elif token.type == "inline" and token.children and not quotations:
            for piece in _spoken(token.children):
                yield from (found[1] for found in _MENTION.finditer(piece))


def called_in(text: str) -> Iterator[str]:
    """Everybody whom GitHub may tell of the text: people and teams, those in quotations as well."""
    for token in _tokens(text):
        if token.type == "inline":
            for piece in _spoken(token.children or ()):
                yield from (found[1] for found in _CALL.finditer(piece))


def has_markup(text: str) -> bool:
    """Whether the text holds HTML or a picture, outside of code."""
    for token in _tokens(text):
        if token.type == "html_block":
            return True
        if any(child.type in {"html_inline", "image"} for child in token.children or ()):
            return True
    return False


def without_leading_mention(text: str, login: str) -> str:
    """The text without our name where it begins with it, as people begin who speak to us."""
    rest = re.sub(
        rf"\A\s*@{re.escape(login)}(?![A-Za-z0-9_/-])[\s,:]*", "", text, flags=re.IGNORECASE
    )
    return rest.strip()


def command_in(text: str) -> Command | None:
    """The command that is the only line of a comment outside of quotations."""
    found = _COMMAND.fullmatch(_only_line(text))
    action = COMMANDS.get(found[1]) if found else None
    return Command(action, found[2]) if found and action else None


def is_stop(text: str) -> bool:
    """Whether the only line of a comment says that the run has to stop."""
    return _STOP.fullmatch(_only_line(text)) is not None


def command_for(action: str) -> str:
    """What people write for an action: the other way round."""
    return next((word for word, meant in COMMANDS.items() if meant == action), action)


def is_twisted(text: str) -> bool:
    """Whether a parser would need much longer for it than for a text that people write."""
    return takes_long(text, nesting=_NESTING)


@lru_cache(maxsize=4)
def _tokens(text: str) -> Sequence[Token]:
    """The text as it is read; whoever asks one thing of it asks the next at once."""
    # Without a line break at its end the parser reads beyond it where HTML in a list is quoted.
    return parser().parse(f"{text}\n")


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough, and HTML as tokens of its own."""
    made = MarkdownIt("commonmark", {"html": True, "maxNesting": _NESTING})
    return made.enable(["table", "strikethrough"])


def _spoken(children: Sequence[Token]) -> Iterator[str]:
    """The runs of text that are neither code nor HTML nor a label."""
    labels = 0
    line: list[str] = []
    for child in children:
        if child.type == "link_open":
            labels += 1
        elif child.type == "link_close":
            labels -= 1
        if child.type in {"text", "text_special"} and not labels:
            line.append(child.content)
            continue
        # Emphasis and the like: a name goes on over none of them.
        yield "".join(line)
        line = []
    yield "".join(line)


def _only_line(text: str) -> str:
    """The one line outside of quotations; empty where there is none, or more than one.

    A quotation goes on until a line is empty, as Markdown has it.
    """
    found: list[str] = []
    quoted = False
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip(" \t"):
            quoted = False
        elif _QUOTE.match(line):
            quoted = True
        elif not quoted:
            found.append(line.rstrip(" \t"))
    return found[0] if len(found) == 1 else ""
