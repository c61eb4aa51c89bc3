"""What a message is made of before it is cut into parts: pieces of typed text.

Slack's `rich_text` elements are typed, so nothing in them is parsed: a text that looks like a
mention, a link or a code fence stays a text. That is why OpenLoop writes these and not mrkdwn.
https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from openloop.integrations.slack import mrkdwn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Element: TypeAlias = dict[str, object]
Style = Literal["bold", "italic", "strike", "code"]
Styles: TypeAlias = frozenset[Style]
PLAIN: Styles = frozenset()
BOLD: Styles = frozenset({"bold"})
CODE: Styles = frozenset({"code"})


@dataclass(frozen=True, slots=True)
class Text:
    """Words in one style."""

    text: str
    styles: Styles = PLAIN


@dataclass(frozen=True, slots=True)
class Link:
    """An address that passed the link policy."""

    url: str
    label: str
    styles: Styles = PLAIN


@dataclass(frozen=True, slots=True)
class Mention:
    """A live mention: only made of an id that the caller listed."""

    id: str


Run: TypeAlias = Text | Link | Mention
Shape = Literal["section", "bullet", "ordered", "quote", "preformatted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A paragraph, list item, quotation or code block. `goes_on` marks the rest of a cut one."""

    shape: Shape
    runs: tuple[Run, ...]
    depth: int = 0
    number: int = 1
    is_tight: bool = False
    goes_on: bool = False


def element(run: Run) -> Element:
    """One run as Slack takes it."""
    match run:
        case Text():
            found: Element = {"type": "text", "text": run.text}
        case Link():
            found = {"type": "link", "url": run.url}
            if run.label != run.url:
                found["text"] = run.label
        case Mention(id=target) if target.startswith("S"):
            return {"type": "usergroup", "usergroup_id": target}
        case Mention():
            return {"type": "user", "user_id": run.id}
    if run.styles:
        found["style"] = dict.fromkeys(sorted(run.styles), True)
    return found


def block(pieces: Sequence[Piece]) -> Element:
    """One `rich_text` block of these pieces."""
    return {"type": "rich_text", "elements": list(_elements(pieces))}


def plain(pieces: Sequence[Piece]) -> str:
    """The same as escaped text, for notifications, screen readers and our own reading later."""
    lines: list[str] = []
    for before, piece in zip((None, *pieces), pieces, strict=False):
        if before is not None:
            lines.append("\n\n" if _stands_apart(before, piece) else "\n")
        lines.append(_plain_piece(piece))
    return "".join(lines)


def tidy(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Neighbouring texts of one style joined, empty ones gone."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if isinstance(run, Text):
            if not run.text:
                continue
            if isinstance(last, Text) and last.styles == run.styles:
                joined[-1] = Text(last.text + run.text, run.styles)
                continue
        joined.append(run)
    return tuple(joined)


def _elements(pieces: Sequence[Piece]) -> Iterable[Element]:
    for (shape, depth), group in groupby(pieces, key=_neighbourhood):
        items = list(group)
        match shape:
            case "section":
                is_last = items[-1] is pieces[-1]
                yield _section(_paragraphs(items, ends_line=not is_last))
            case "bullet" | "ordered":
                yield from _lists(shape, depth, items)
            case "quote":
                for item in items:
                    yield {"type": "rich_text_quote", "elements": _runs(item.runs)}
            case "preformatted":
                for item in items:
                    yield {"type": "rich_text_preformatted", "elements": _runs(item.runs)}


def _neighbourhood(piece: Piece) -> tuple[Shape, int]:
    return piece.shape, piece.depth if piece.shape in {"bullet", "ordered"} else 0


def _section(runs: Iterable[Run]) -> Element:
    return {"type": "rich_text_section", "elements": _runs(tidy(runs))}


def _runs(runs: Iterable[Run]) -> list[Element]:
    # Slack refuses an empty text, and what it says to no elements at all is not documented.
    return [element(run) for run in runs] or [element(Text(" "))]


def _paragraphs(items: Sequence[Piece], *, ends_line: bool) -> Iterable[Run]:
    for before, item in zip((None, *items), items, strict=False):
        if before is not None:
            yield Text("\n\n" if _stands_apart(before, item) else "\n")
        yield from item.runs
    if ends_line:
        yield Text("\n")


def _lists(shape: Shape, depth: int, items: Sequence[Piece]) -> Iterable[Element]:
    """Items that count on from each other share a list; others start one of their own."""
    run: list[Piece] = []
    for item in items:
        if run and shape == "ordered" and item.number != run[-1].number + 1:
            yield _list(shape, depth, run)
            run = []
        run.append(item)
    yield _list(shape, depth, run)


def _list(shape: Shape, depth: int, items: Sequence[Piece]) -> Element:
    found: Element = {
        "type": "rich_text_list",
        "style": shape,
        "indent": min(depth, 8),
        "elements": [_section(item.runs) for item in items],
    }
    if shape == "ordered" and items[0].number > 1:
        found["offset"] = items[0].number - 1
    return found


def _stands_apart(before: Piece, piece: Piece) -> bool:
    if piece.is_tight or piece.goes_on:
        return False
    both_items = {before.shape, piece.shape} <= {"bullet", "ordered"}
    return not both_items


def _plain_piece(piece: Piece) -> str:
    text = _unfenced("".join(_plain_run(run) for run in piece.runs))
    match piece.shape:
        case "section":
            return text
        case "bullet":
            return f"{'    ' * piece.depth}• {text}"
        case "ordered":
            return f"{'    ' * piece.depth}{piece.number}. {text}"
        case "quote":
            return "\n".join(f"&gt; {line}" for line in text.split("\n"))
        case "preformatted":
            return f"```\n{text}\n```"


def _plain_run(run: Run) -> str:
    match run:
        case Text():
            return mrkdwn.escape(run.text)
        case Link():
            shown = run.url if run.label == run.url else f"{run.label} ({run.url})"
            return mrkdwn.escape(shown)
        case Mention(id=target) if target.startswith("S"):
            return f"<!subteam^{target}>"
        case Mention():
            return f"<@{run.id}>"


def _unfenced(text: str) -> str:
    """Three backticks in a text open no code block, and end none."""
    return text.replace("```", f"`{mrkdwn.JOINER}`{mrkdwn.JOINER}`")


def cut_here(piece: Piece, runs: tuple[Run, ...], *, goes_on: bool) -> Piece:
    """A part of a piece; the rest of a list item goes on without its mark."""
    is_item = piece.shape in {"bullet", "ordered"}
    shape: Shape = "section" if goes_on and is_item else piece.shape
    return replace(piece, shape=shape, runs=runs, goes_on=goes_on)
