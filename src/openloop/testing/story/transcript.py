"""Telling the story while it happens, from what is in the rigs: nothing is printed from a script."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from openloop.testing.rigs.slack import Message, SlackRig

WIDTH = 100
_INDENT = " " * 21
_MENTION = re.compile(r"<@(\w+)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


class Transcript:
    """Prints what is new in Slack whenever it is asked to."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._slack: SlackRig | None = None
        self._seen: dict[str, Message] = {}
        self._statuses = self._ephemerals = 0

    def watch(self, slack: SlackRig) -> None:
        """Tell of this Slack from here on."""
        self._slack = slack

    def line(self, text: str = "") -> None:
        """A line of our own."""
        self._write(f"{text}\n")

    def title(self, text: str) -> None:
        """What comes next."""
        self.line()
        self.line(text)
        self.line("-" * len(text))

    def act(self, text: str) -> None:
        """Something a person did that is no message."""
        self.line(f"  {_clock(datetime.now(UTC))}  * {text}")

    def tell(self, channel: str) -> None:
        """Print what is new: messages, changed cards, private notices, the status line."""
        slack = self._slack
        assert slack is not None
        happened: list[tuple[float, Callable[[], None]]] = [
            (status.stored_at, partial(self._status, status.status))
            for status in slack.statuses[self._statuses :]
            if status.status
        ]
        self._statuses = len(slack.statuses)
        for message in slack.messages(channel):
            before = self._seen.get(message.ts)
            if before is None:
                happened.append((message.stored_at, partial(self._message, message)))
            elif before.blocks != message.blocks:
                self._settled(message)
            self._seen[message.ts] = message
        for _, tell in sorted(happened, key=lambda each: each[0]):
            tell()
        for shown in slack.ephemerals[self._ephemerals :]:
            who = slack.people.get(shown.user).name
            self._said(shown.ts, slack.bot.name, f"(only {who} sees this) {shown.text}")
        self._ephemerals = len(slack.ephemerals)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table whose last column takes what is left of the line."""
        everything = [head, *rows]
        widths = [max(len(row[at]) for row in everything) for at in range(len(head) - 1)]
        for row in everything:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            line = f"  {'  '.join([*cells, row[-1]])}".rstrip()
            self.line(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")

    def _status(self, text: str) -> None:
        slack = self._slack
        assert slack is not None
        self.line(f"  {'':8}  {slack.bot.name} {text}")

    def _message(self, message: Message) -> None:
        buttons = [f"[{button.label}]" for button in message.buttons]
        is_card = "[Approve]" in buttons
        self._said(message.ts, message.author.name, message.text, is_card=is_card)
        for line in [*([] if is_card else _footers(message)), " ".join(buttons)]:
            if line:
                self.line(f"{_INDENT}{line}")

    def _settled(self, message: Message) -> None:
        last = self._plain(message.text).strip().splitlines()[-1]
        self.line(f"{_INDENT}the card now says: {last}")

    def _said(self, ts: str, name: str, text: str, *, is_card: bool = False) -> None:
        at = datetime.fromtimestamp(float(ts), UTC)
        bar = "| " if is_card else ""
        head = f"  {_clock(at)}  {name:<9}{bar}"
        for number, line in enumerate(self._lines(text, WIDTH - len(_INDENT))):
            self.line(f"{head if number == 0 else _INDENT + bar}{line}".rstrip())

    def _lines(self, text: str, width: int) -> list[str]:
        wrapped: list[str] = []
        for line in self._plain(text).splitlines():
            if line != "```":
                wrapped += textwrap.wrap(line, width, break_on_hyphens=False) or [""]
        return wrapped or [""]

    def _plain(self, text: str) -> str:
        slack = self._slack
        assert slack is not None
        people = slack.people
        named = _MENTION.sub(lambda found: f"@{people.get(found[1]).name}", text)
        for entity, plain in _ENTITIES:
            named = named.replace(entity, plain)
        return named


def _footers(message: Message) -> list[str]:
    """The small print below a message."""
    small = [block for block in message.blocks if block["type"] == "context"]
    return [element["text"] for block in small for element in block["elements"]]


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
