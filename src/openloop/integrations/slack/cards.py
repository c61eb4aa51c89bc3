"""Approval cards: every argument shown exactly as it will run, or not approvable here.

Values are typed text, never markup, so what is displayed is what was signed off: no emphasis eats
an underscore, no emoji replaces a word, no fence is closed early. Characters that cannot be seen
(direction overrides, zero-width) are spelled out.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.integrations.slack import mrkdwn, richtext
from openloop.integrations.slack.markdown import said_runs
from openloop.integrations.slack.richtext import BOLD, Mention, Piece, Text
from openloop.integrations.slack.split import MOST_BYTES, size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from openloop.domain.surface import Card
    from openloop.integrations.slack.richtext import Element, Run

REASON_LABEL = "The model says:"

MOST_BLOCKS = 50
_MOST_TITLE = 150
_MOST_INLINE = 300
_MOST_NOTES = 10
_MOST_NOTE = 2000
_MOST_TOLD = 20
# How much is still shown of a card that does not fit as a whole: together under the limit, also
# where every character takes four bytes.
_KEPT_FIELDS, _KEPT_LABEL, _KEPT_VALUE = 8, 40, 100
_KEPT_REASON, _KEPT_NOTES, _KEPT_NOTE = 300, 4, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedCard:
    """A card as blocks, and the same as text."""

    blocks: tuple[Element, ...]
    text: str


def whole_card(
    card: Card,
    *,
    live: Collection[str] = (),
    buttons: Sequence[Element] = (),
    outcome: str = "",
) -> RenderedCard | None:
    """Everything on a card; None where that does not fit into one message."""
    rendered = _assembled(
        title=_visible(card.title),
        pieces=list(_arguments(card)),
        reason=_visible(card.reason.strip()),
        notes=[_visible(note.strip()) for note in card.notes],
        live=live,
        buttons=buttons,
        outcome=outcome,
    )
    fits = size(rendered.blocks) <= MOST_BYTES and len(rendered.blocks) <= MOST_BLOCKS
    return rendered if fits else None


def shortened_card(
    card: Card,
    *,
    live: Collection[str] = (),
    buttons: Sequence[Element] = (),
    outcome: str = "",
) -> RenderedCard:
    """What is shown of a card that does not fit: it says so, and always fits itself."""
    return _assembled(
        title=_cut(_visible(card.title), _MOST_TITLE),
        pieces=list(_excerpt(card)),
        reason=_cut(_visible(card.reason.strip()), _KEPT_REASON),
        notes=[_cut(_visible(note.strip()), _KEPT_NOTE) for note in card.notes[:_KEPT_NOTES]],
        live=live,
        buttons=buttons,
        outcome=_cut(outcome, _KEPT_REASON),
    )


def _assembled(
    *,
    title: str,
    pieces: list[Piece],
    reason: str,
    notes: Sequence[str],
    live: Collection[str],
    buttons: Sequence[Element],
    outcome: str,
) -> RenderedCard:
    notes = [note for note in notes if note]
    blocks: list[Element] = []
    if len(title) <= _MOST_TITLE:
        blocks.append({"type": "header", "text": _plain_text(title or "?")})
    else:
        pieces.insert(0, Piece(shape="section", runs=(Text(title, BOLD),)))
    texts = [mrkdwn.escape(title)] if len(title) <= _MOST_TITLE else []
    endings = [_waiting_for(notes, live), _outcome(outcome)]
    for group in (pieces, _reason(reason)):
        if group:
            blocks.append(richtext.block(group))
            texts.append(richtext.plain(group))
    for at in range(0, len(notes), _MOST_NOTES):
        elements = [_note(note, live) for note in notes[at : at + _MOST_NOTES]]
        blocks.append({"type": "context", "elements": elements})
    texts.extend(richtext.plain([_said(note, live)]) for note in notes)
    for ending in endings:
        if ending is not None:
            blocks.append(richtext.block([ending]))
            texts.append(richtext.plain([ending]))
    return RenderedCard(blocks=(*blocks, *buttons), text="\n".join(texts))


def _arguments(card: Card) -> Iterator[Piece]:
    for field in card.fields:
        value = _visible(field.value)
        label = Text(f"{_visible(field.label)}: ", BOLD)
        if "\n" in value or len(value) > _MOST_INLINE:
            yield Piece(shape="section", runs=(label,), is_tight=True)
            yield _exactly(value)
        else:
            yield Piece(shape="section", runs=(label, Text(value or "(empty)")), is_tight=True)
    if card.body:
        yield _exactly(_visible(card.body))


def _excerpt(card: Card) -> Iterator[Piece]:
    for field in card.fields[:_KEPT_FIELDS]:
        value = _cut(_visible(field.value).replace("\n", " "), _KEPT_VALUE)
        label = Text(f"{_cut(_visible(field.label), _KEPT_LABEL)}: ", BOLD)
        yield Piece(shape="section", runs=(label, Text(value or "(empty)")), is_tight=True)
    length = len(card.body) + sum(len(field.value) for field in card.fields)
    said = (
        f"This is too long to be shown here as a whole ({length:,} characters), so it cannot be "
        "approved here. Open it in the inbox to read and decide it."
    )
    yield Piece(shape="section", runs=(Text(said, BOLD),))


def _exactly(value: str) -> Piece:
    return Piece(shape="preformatted", runs=(Text(value or " "),), is_tight=True)


def _reason(reason: str) -> list[Piece]:
    if not reason:
        return []
    return [
        Piece(shape="section", runs=(Text(REASON_LABEL, BOLD),)),
        Piece(shape="quote", runs=(Text(reason),), is_tight=True),
    ]


def _outcome(outcome: str) -> Piece | None:
    if not outcome:
        return None
    runs = (Text(run.text, BOLD) for run in said_runs(outcome) if isinstance(run, Text))
    return Piece(shape="section", runs=tuple(runs))


def _note(note: str, live: Collection[str]) -> Element:
    """A note of ours: plain text, or markup with nothing in it but the listed mentions."""
    shown = _cut(note, _MOST_NOTE)
    if not _mentions(shown, live):
        return _plain_text(shown)
    return {"type": "mrkdwn", "text": richtext.plain([_said(shown, live)]), "verbatim": True}


def _said(note: str, live: Collection[str]) -> Piece:
    return Piece(shape="section", runs=said_runs(note, live=live))


def _mentions(note: str, live: Collection[str]) -> set[str]:
    return {run.id for run in said_runs(note, live=live) if isinstance(run, Mention)}


def _waiting_for(notes: Sequence[str], live: Collection[str]) -> Piece | None:
    """Who is to be told of the card, unless a note mentions them already."""
    told = {target for note in notes for target in _mentions(note, live)}
    missing = [target for target in dict.fromkeys(live) if target not in told]
    if not missing:
        return None
    runs: list[Run] = [Text("Waiting for ")]
    for at, target in enumerate(missing[:_MOST_TOLD]):
        runs += [Mention(target)] if at == 0 else [Text(", "), Mention(target)]
    return Piece(shape="section", runs=tuple(runs))


def _plain_text(text: str) -> Element:
    return {"type": "plain_text", "text": text, "emoji": False}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(mrkdwn.CUT)] + mrkdwn.CUT


def _visible(text: str) -> str:
    """The text with what cannot be seen spelled out as [U+202E]."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_spelled, text))


def _spelled(char: str) -> str:
    if char in "\n\t" or char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    return f"[U+{ord(char):04X}]"
