"""Approval cards as comments: every argument shown exactly as it will run, or not decided here.

Values stand in code, where nothing is markup. What decides is a comment of one line that names the
approval by a token; the token is no secret, and whose comment it is decides whether it counts. Where
GitHub cannot tell people from ourselves (a personal token), a card says where to decide instead.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from openloop.integrations.github import speech
from openloop.integrations.github.mentions import command_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.surface import Ask, Asked, Button, Card, Settle

REASON_LABEL = "The model says:"
MOST_CARD = 50_000
MOST_INLINE = 200
_KEPT = 300
_CUT = "… [cut]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """Whether comments decide on this installation, or the buttons of the card's own check.

    `public_url` is where browsers log in to this installation; empty where none can.
    """

    by_comment: bool
    by_check: bool = False
    public_url: str = ""


def ask(op: Ask, votes: Votes, *, live: Sequence[str] = ()) -> str:
    """A card with how to decide it; `live` are the logins of those who are asked."""
    return _cards(op.asked, votes, more=op.more, live=live)


def settled(op: Settle, votes: Votes) -> str:
    """The card as it is now: what came of each call, and the commands of those that are open."""
    return _cards(op.asked, votes, more=op.more, live=())


def decidable(op: Ask | Settle, votes: Votes) -> tuple[Asked, ...]:
    """The calls of a card, each with the buttons that it has here: what nobody can read as a whole
    may be rejected, and nothing else.
    """
    return tuple(
        each if whole else replace(each, buttons=_without_approval(each.buttons))
        for each, (_, whole) in zip(op.asked, _fitted(op.asked, votes), strict=True)
    )


def commands(buttons: Sequence[Button], votes: Votes) -> str:
    """How to press buttons that a message has."""
    if not buttons or not votes.by_comment:
        return ""
    lines = (f"{speech.plain(each.label)}: `{command(each)}`" for each in buttons)
    return "Comment one of these lines:\n\n" + "\n".join(f"- {line}" for line in lines)


def command(button: Button) -> str:
    """The comment that presses a button."""
    return f"/{command_for(button.action)} {button.token}"


def _cards(asked: Sequence[Asked], votes: Votes, *, more: str, live: Sequence[str]) -> str:
    shown = [text for text, _ in _fitted(asked, votes)]
    parts = ["\n\n---\n\n".join(shown), *([speech.plain(more)] if more else [])]
    if live:
        parts.append(f"Waiting for {', '.join(f'@{login}' for login in live)}")
    return "\n\n".join(parts)


def _fitted(asked: Sequence[Asked], votes: Votes) -> list[tuple[str, bool]]:
    """Every call whole as long as all of them fit; what does not is shortened, and says so."""
    shown = [(_shortened(each, votes), False) for each in asked]
    for at, each in enumerate(asked):
        with_it = [*shown[:at], (_whole(each, votes), True), *shown[at + 1 :]]
        if sum(len(text) for text, _ in with_it) <= MOST_CARD:
            shown = with_it
    return shown


def _without_approval(buttons: Sequence[Button]) -> tuple[Button, ...]:
    return tuple(button for button in buttons if button.action == "deny")


def _whole(asked: Asked, votes: Votes) -> str:
    card = asked.card
    parts = [f"### {speech.plain(_visible(card.title))}", *_arguments(card)]
    if card.reason.strip():
        parts += [f"**{REASON_LABEL}**", _quoted(_visible(card.reason.strip()))]
    return "\n\n".join([*parts, *_ending(asked, votes, asked.buttons)])


def _shortened(asked: Asked, votes: Votes) -> str:
    card = asked.card
    length = len(card.body) + sum(len(field.value) for field in card.fields)
    said = (
        f"**This is too long to be shown here as a whole ({length:,} characters), so it cannot be "
        "approved here.** Open it in the inbox to read and decide it."
    )
    parts = [f"### {speech.plain(_cut(_visible(card.title)))}", said]
    kept = _without_approval(asked.buttons)
    return "\n\n".join([*parts, *_ending(asked, votes, kept)])


def _arguments(card: Card) -> Iterator[str]:
    for field in card.fields:
        label, value = speech.plain(_visible(field.label)), _visible(field.value)
        if (
            "\n" in value
            or "`" in value
            or value != value.strip()
            or not 0 < len(value) <= MOST_INLINE
        ):
            yield f"**{label}:**\n\n{speech.code(value)}"
        else:
            yield f"**{label}:** `{value}`"
    if card.body:
        yield speech.code(_visible(card.body))


def _ending(asked: Asked, votes: Votes, buttons: Sequence[Button]) -> Iterator[str]:
    notes = [speech.plain(_visible(note)) for note in asked.card.notes if note.strip()]
    if notes:
        yield "\n".join(f"- {_cut(note, most=2000)}" for note in notes)
    if asked.outcome:
        yield f"**{speech.plain(_cut(_visible(asked.outcome)))}**"
    if not asked.buttons or votes.by_check:
        return
    if votes.by_comment:
        if buttons:
            lines = "\n".join(f"```\n{command(button)}\n```" for button in buttons)
            yield f"To decide, comment one of these lines and nothing else:\n\n{lines}"
    else:
        yield _elsewhere(asked.approval, votes)


def _elsewhere(approval: str, votes: Votes) -> str:
    """Where a call is decided that nobody can decide here. Anybody may read this, so that it says
    no more than which approval it is about; who follows the link has to log in.
    """
    said = "GitHub cannot decide this: this installation writes under a person's token."
    if votes.public_url:
        said += f" [Read it]({_address(approval, votes.public_url)}) after a login."
    return (
        f"{said} Decide it where you are signed in: `openloop approvals approve {approval}`, "
        "or `reject`."
    )


def _address(approval: str, public_url: str) -> str:
    """A login that leads on to an approval: a cookie alone does not come along from GitHub's pages."""
    path = f"{urlsplit(public_url).path}/api/v1/approvals/{approval}"
    return f"{public_url}/login?{urlencode({'return_to': path})}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {speech.plain(line)}" for line in text.splitlines())


def _cut(text: str, *, most: int = _KEPT) -> str:
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def _visible(text: str) -> str:
    """The text with what cannot be seen spelled out as [U+202E]."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_spelled, text))


def _spelled(char: str) -> str:
    if char in "\n\t" or char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    return f"[U+{ord(char):04X}]"
