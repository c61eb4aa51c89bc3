"""From a model's markdown to pieces: CommonMark with tables and strikethrough, no HTML.

Nothing that the text says becomes live unless it is allowed here: mentions only by a listed id,
links only past the link policy, pictures never.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from markdown_it import MarkdownIt

from openloop.domain.markdown_effort import takes_long
from openloop.integrations.slack import mrkdwn
from openloop.integrations.slack.links import bare_urls, hides_host, host_of
from openloop.integrations.slack.richtext import (
    BOLD,
    CODE,
    PLAIN,
    Link,
    Mention,
    Piece,
    Text,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from markdown_it.token import Token

    from openloop.integrations.slack.richtext import Run, Shape, Style, Styles

MOST_MARKDOWN = 200_000
_NESTING = 50
_MOST_LABEL = 500
_MOST_COLUMN = 60

_MENTION = re.compile(
    r"<@(?P<user>[UW][A-Z0-9]+)(?:\|[^<>]*)?>"
    r"|<!subteam\^(?P<group>S[A-Z0-9]+)(?:\|[^<>]*)?>"
    r"|@(?P<bare>[UWS][A-Z0-9]{5,})\b"
)
_STYLES: dict[str, Style] = {"strong": "bold", "em": "italic", "s": "strike"}


def pieces_of(markdown: str, *, live: Collection[str] = ()) -> tuple[Piece, ...]:
    """Read markdown; only the ids in `live` become mentions that ring somebody."""
    text = mrkdwn.printable(markdown)
    if len(text) > MOST_MARKDOWN or takes_long(text, nesting=_NESTING):
        # A parser's time is not bounded by a length; plain paragraphs are.
        is_long = len(text) > MOST_MARKDOWN
        return _paragraphs(text[:MOST_MARKDOWN] + (mrkdwn.CUT if is_long else ""))
    pieces = _Reader(_parser().parse(text), frozenset(live)).pieces()
    return tuple(piece for piece in pieces if piece.runs or piece.shape in {"bullet", "ordered"})


def said_runs(text: str, *, live: Collection[str] = ()) -> tuple[Run, ...]:
    """Plain text as runs: nothing in it is markdown, the same ids may ring."""
    return tidy(_with_mentions(mrkdwn.printable(text), PLAIN, frozenset(live)))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING})
    return parser.enable(["table", "strikethrough"])


def _paragraphs(text: str) -> tuple[Piece, ...]:
    parts = (part.strip("\n") for part in text.split("\n\n"))
    return tuple(
        Piece(shape="section", runs=(Text(mrkdwn.neutralise(part)),)) for part in parts if part
    )


@dataclass(slots=True)
class _Frame:
    """A list that is open: its kind, how deep, and the number of its next item."""

    shape: Shape
    depth: int
    number: int
    item_is_fresh: bool = False


@dataclass(slots=True)
class _Reader:
    """Walks the flat token list of markdown-it once."""

    tokens: Sequence[Token]
    live: frozenset[str]
    frames: list[_Frame] = field(default_factory=list[_Frame])
    after_heading: bool = False

    def pieces(self) -> Iterator[Piece]:
        at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.type in {"blockquote_open", "table_open"}:
                end = _closing(self.tokens, at)
                inside = self.tokens[at + 1 : end]
                yield from self._quote(inside) if token.tag == "blockquote" else _table(inside)
                at = end
            else:
                yield from self._step(at, token)
            at += 1

    def _step(self, at: int, token: Token) -> Iterator[Piece]:
        match token.type:
            case "inline":
                yield self._paragraph(at, token)
            case "fence" | "code_block":
                yield _code(token.content)
            case "hr":
                yield Piece(shape="section", runs=(Text("―――"),))
            case "bullet_list_open" | "ordered_list_open":
                self._open_list(token)
            case "bullet_list_close" | "ordered_list_close":
                self.frames.pop()
            case "list_item_open":
                yield from self._open_item(at)
            case "list_item_close":
                self.frames[-1].number += 1
            case _:
                pass

    def _paragraph(self, at: int, token: Token) -> Piece:
        is_heading = at > 0 and self.tokens[at - 1].type == "heading_open"
        walk = _Inline(self.live, BOLD if is_heading else PLAIN)
        piece = self._spoken(tidy(walk.runs(token.children or ())))
        follows_heading, self.after_heading = self.after_heading, is_heading
        return replace(piece, is_tight=piece.is_tight or follows_heading)

    def _open_list(self, token: Token) -> None:
        shape: Shape = "bullet" if token.type.startswith("bullet") else "ordered"
        start = int(token.attrs.get("start", 1)) if shape == "ordered" else 1
        self.frames.append(_Frame(shape=shape, depth=len(self.frames), number=start))

    def _open_item(self, at: int) -> Iterator[Piece]:
        self.frames[-1].item_is_fresh = True
        if self.tokens[at + 1].type not in {"paragraph_open", "heading_open"}:
            # An item that begins with a list, a quotation or code still shows its mark.
            yield self._spoken(())

    def _spoken(self, runs: tuple[Run, ...]) -> Piece:
        """A paragraph: the first of a list item carries the item's mark, others follow below."""
        if not self.frames:
            return Piece(shape="section", runs=runs)
        frame = self.frames[-1]
        if frame.item_is_fresh:
            frame.item_is_fresh = False
            return Piece(shape=frame.shape, runs=runs, depth=frame.depth, number=frame.number)
        return Piece(shape="section", runs=runs, is_tight=True)

    def _quote(self, tokens: Sequence[Token]) -> Iterator[Piece]:
        lines: list[Run] = []
        for piece in _Reader(tokens, self.live).pieces():
            if lines:
                lines.append(Text("\n"))
            lines.extend(_flattened(piece))
        if lines:
            yield Piece(shape="quote", runs=tidy(lines))


@dataclass(slots=True)
class _Inline:
    """Walks the children of one inline token."""

    live: frozenset[str]
    styles: Styles

    def runs(self, children: Sequence[Token]) -> Iterator[Run]:
        at = 0
        stars = _literal_stars(children)
        while at < len(children):
            token = children[at]
            kind, _, edge = token.type.rpartition("_")
            match token.type:
                case _ if at in stars:
                    yield Text(token.markup, self.styles)
                case "text" | "text_special":
                    yield from self._text(token.content)
                case "code_inline":
                    yield Text(mrkdwn.neutralise(token.content), self.styles | CODE)
                case "softbreak" | "hardbreak":
                    yield Text("\n", self.styles)
                case "image":
                    yield Text(_picture(token), self.styles)
                case "link_open":
                    end = _closing(children, at)
                    yield from self._link(str(token.attrs.get("href", "")), children[at + 1 : end])
                    at = end
                case _ if kind in _STYLES:
                    style: Styles = frozenset({_STYLES[kind]})
                    self.styles = self.styles | style if edge == "open" else self.styles - style
                case _:
                    yield from self._text(token.content)
            at += 1

    def _text(self, text: str) -> Iterator[Run]:
        end = 0
        for start, stop in bare_urls(text):
            yield from _with_mentions(text[end:start], self.styles, self.live)
            url = text[start:stop]
            yield self._checked(url, url)
            end = stop
        yield from _with_mentions(text[end:], self.styles, self.live)

    def _link(self, url: str, children: Sequence[Token]) -> Iterator[Run]:
        label = _words(children)
        host = host_of(url)
        if host is None:
            yield Text(mrkdwn.neutralise(f"{label} ({url})" if label != url else url), self.styles)
        elif not label or label == url:
            yield self._checked(url, url)
        elif len(label) > _MOST_LABEL or hides_host(label, host):
            yield Text(mrkdwn.neutralise(f"{label} ("), self.styles)
            yield Link(url, host, self.styles)
            yield Text(")", self.styles)
        else:
            yield Link(url, mrkdwn.neutralise(label), self.styles)

    def _checked(self, url: str, label: str) -> Run:
        if host_of(url) is None:
            return Text(mrkdwn.neutralise(label), self.styles)
        return Link(url, label, self.styles)


def _literal_stars(children: Sequence[Token]) -> frozenset[int]:
    """The stars of `2*3*4`: emphasis to CommonMark, a product to whoever wrote it."""
    found: set[int] = set()
    opened: list[int] = []
    for end, token in enumerate(children):
        if token.nesting > 0:
            opened.append(end)
        elif token.nesting < 0 and opened:
            at = opened.pop()
            if at == 0 or children[at].type not in {"em_open", "strong_open"}:
                continue
            before, after = children[at - 1].content, children[end + 1 : end + 2]
            if before[-1:].isalnum() and after and after[0].content[:1].isalnum():
                found |= {at, end}
    return frozenset(found)


def _with_mentions(text: str, styles: Styles, live: frozenset[str]) -> Iterator[Run]:
    end = 0
    for found in _MENTION.finditer(text):
        target = found["user"] or found["group"] or found["bare"]
        yield Text(mrkdwn.neutralise(text[end : found.start()]), styles)
        yield Mention(target) if target in live else Text(f"@{target}", styles)
        end = found.end()
    yield Text(mrkdwn.neutralise(text[end:]), styles)


def _words(children: Iterable[Token]) -> str:
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else child.content for child in children
    )


def _picture(token: Token) -> str:
    """A picture is never fetched for anybody: only its words and its host are shown."""
    host = host_of(str(token.attrs.get("src", "")))
    return mrkdwn.neutralise(f"[image: {token.content or 'untitled'}{f', {host}' if host else ''}]")


def _code(text: str) -> Piece:
    shown = mrkdwn.neutralise(text.removesuffix("\n"))
    return Piece(shape="preformatted", runs=(Text(shown or " "),), is_tight=True)


def _flattened(piece: Piece) -> Iterator[Run]:
    """A piece inside a quotation, where Slack knows only running text."""
    match piece.shape:
        case "bullet":
            yield Text(f"{'    ' * piece.depth}• ")
        case "ordered":
            yield Text(f"{'    ' * piece.depth}{piece.number}. ")
        case _:
            pass
    for run in piece.runs:
        is_code = piece.shape == "preformatted" and isinstance(run, Text)
        yield Text(run.text, CODE) if is_code and isinstance(run, Text) else run


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """The index of the token that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += tokens[at].nesting
        if depth == 0:
            return at
    return len(tokens)


def _table(tokens: Sequence[Token]) -> Iterator[Piece]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            cells = _Inline(frozenset(), PLAIN).runs(token.children or ())
            rows[-1].append("".join(map(_cell, cells)).replace("\n", " "))
    columns = max(map(len, rows), default=0)
    # Bounded, or one wide cell would pad every row of a long table.
    widths = [
        min(_MOST_COLUMN, max(_width(row[at]) for row in rows if at < len(row)))
        for at in range(columns)
    ]
    lines = [
        "  ".join(cell + " " * (widths[at] - _width(cell)) for at, cell in enumerate(row)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    yield _code("\n".join(lines))


def _cell(run: Run) -> str:
    match run:
        case Text():
            return run.text
        case Link():
            return run.url if run.label == run.url else f"{run.label} ({run.url})"
        case Mention():
            return f"@{run.id}"


def _width(text: str) -> int:
    """How many columns a fixed-width font takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
