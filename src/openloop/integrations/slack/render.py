"""From ops to what Slack posts: parts of blocks, each with its text for notifications."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openloop.integrations.slack import mrkdwn, richtext
from openloop.integrations.slack.cards import (
    MOST_BLOCKS,
    RenderedCard,
    shortened_card,
    whole_card,
)
from openloop.integrations.slack.markdown import pieces_of
from openloop.integrations.slack.split import MOST_BYTES, parts_of, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Amend, Ask, Asked, Button, Say, Settle, Whisper
    from openloop.integrations.slack.richtext import Element

_MOST_BUTTONS = 25
_MOST_LABEL = 75
_MOST_FOOTER = 2000
# What is set aside for the line that says a text was cut.
_CUT_BYTES = 300
_NOTHING = "(nothing to show)"
_DIVIDER: Element = {"type": "divider"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Slack message: its blocks, and the same as text."""

    blocks: tuple[Element, ...]
    text: str


def render_say(say: Say) -> tuple[Part, ...]:
    """An answer as one or more messages; buttons and footer end the last one."""
    parts = _spoken(say.markdown, say.mention_ids)
    ending = (*_footer(say.footer), *button_blocks(say.buttons))
    if not ending:
        return parts
    last = parts[-1]
    blocks = (*last.blocks, *ending)
    if size(blocks) <= MOST_BYTES and len(blocks) <= MOST_BLOCKS:
        return (*parts[:-1], replace(last, blocks=blocks))
    return (*parts, Part(blocks=ending, text=mrkdwn.escape(say.footer) or _NOTHING))


def render_ask(ask: Ask) -> Part:
    """A card with its buttons; what cannot be shown whole loses those that approve."""
    return _card(ask.asked, live=ask.mention_ids, more=ask.more)


def render_settle(settle: Settle) -> Part:
    """The card as it is now: what came of each call, and the buttons of those that are open."""
    return _card(settle.asked, live=(), more=settle.more)


def _card(asked: Sequence[Asked], *, live: Sequence[str], more: str) -> Part:
    """Every call whole, the first before the last, as long as all of it fits into one message.

    People are mentioned once, with the last call.
    """
    mentioned = [*[()] * (len(asked) - 1), tuple(live)]
    shown = [
        _shortened(each, live=to, after=at)
        for at, (each, to) in enumerate(zip(asked, mentioned, strict=True))
    ]
    for at, (each, to) in enumerate(zip(asked, mentioned, strict=True)):
        buttons = button_blocks(each.buttons, after=at)
        whole = whole_card(each.card, live=to, buttons=buttons, outcome=each.outcome)
        if whole is None:
            continue
        with_it = [*shown[:at], whole, *shown[at + 1 :]]
        if _fits(_joined(with_it, more)):
            shown = with_it
    return _joined(shown, more)


def _shortened(asked: Asked, *, live: Sequence[str], after: int) -> RenderedCard:
    kept = [button for button in asked.buttons if not _approves(button)]
    buttons = button_blocks(kept, after=after)
    return shortened_card(asked.card, live=live, buttons=buttons, outcome=asked.outcome)


def _joined(shown: Sequence[RenderedCard], more: str) -> Part:
    blocks: list[Element] = []
    for each in shown:
        blocks += [_DIVIDER, *each.blocks] if blocks else each.blocks
    text = "\n\n".join(each.text for each in shown)
    if more:
        blocks += _footer(more)
        text = f"{text}\n{mrkdwn.escape(more)}"
    return Part(blocks=tuple(blocks), text=text)


def _fits(part: Part) -> bool:
    return size(part.blocks) <= MOST_BYTES and len(part.blocks) <= MOST_BLOCKS


def render_amend(amend: Amend) -> Part:
    """A new text for one message: what does not fit into it is cut, visibly."""
    return _single(amend.markdown)


def render_whisper(whisper: Whisper) -> Part:
    """A line for one person."""
    return _single(whisper.markdown)


def button_blocks(buttons: Sequence[Button], *, after: int = 0) -> tuple[Element, ...]:
    """Rows of buttons. A repeated action gets a number, since Slack wants ids to differ.

    `after` counts the sets of buttons that stand in the same message before these.
    """
    seen: dict[str, int] = {}
    elements: list[Element] = []
    for button in buttons:
        seen[button.action] = count = seen.get(button.action, after) + 1
        found: Element = {
            "type": "button",
            "action_id": button.action if count == 1 else f"{button.action}#{count}",
            "text": {"type": "plain_text", "text": _label(button.label), "emoji": False},
            "value": button.token,
        }
        if button.style != "default":
            found["style"] = button.style
        elements.append(found)
    rows = range(0, len(elements), _MOST_BUTTONS)
    return tuple(
        {"type": "actions", "elements": elements[row : row + _MOST_BUTTONS]} for row in rows
    )


def _spoken(markdown: str, live: Sequence[str]) -> tuple[Part, ...]:
    parts = parts_of(pieces_of(markdown, live=live))
    if not parts:
        return (_plain_part(_NOTHING),)
    return tuple(Part(blocks=(richtext.block(part),), text=richtext.plain(part)) for part in parts)


def _single(markdown: str) -> Part:
    parts = parts_of(pieces_of(markdown), most=MOST_BYTES - _CUT_BYTES)
    if not parts:
        return _plain_part(_NOTHING)
    note = _footer("Cut: the rest does not fit into one Slack message.") if parts[1:] else ()
    return Part(
        blocks=(richtext.block(parts[0]), *note),
        text=richtext.plain(parts[0]) + (mrkdwn.CUT if note else ""),
    )


def _plain_part(text: str) -> Part:
    piece = richtext.Piece(shape="section", runs=(richtext.Text(text),))
    return Part(blocks=(richtext.block([piece]),), text=text)


def _footer(text: str) -> tuple[Element, ...]:
    shown = mrkdwn.printable(text).strip()
    if not shown:
        return ()
    if len(shown) > _MOST_FOOTER:
        shown = shown[: _MOST_FOOTER - len(mrkdwn.CUT)] + mrkdwn.CUT
    element = {"type": "plain_text", "text": shown, "emoji": False}
    return ({"type": "context", "elements": [element]},)


def _label(text: str) -> str:
    shown = mrkdwn.printable(text).strip() or "?"
    return shown if len(shown) <= _MOST_LABEL else f"{shown[: _MOST_LABEL - 1]}…"


def _approves(button: Button) -> bool:
    """Whether a button says yes: by its name, or because it is the one that stands out."""
    says_yes = button.action.lower().startswith(("approve", "retry"))
    return says_yes or button.style == "primary"
