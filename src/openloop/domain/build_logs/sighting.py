"""A line that is looked at, where it stands, and the clue that may be made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.build_logs.index import words_in
from openloop.domain.build_logs.lines import LONGEST_READ, clean
from openloop.domain.build_logs.showing import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.build_logs.analysis import FailureKind
    from openloop.domain.build_logs.reading import Picked, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """A line that may be the cause, with the raw lines before it and behind it."""

    number: int
    kind: FailureKind
    weight: int
    tool: str
    subject: Part | None
    before: bytes
    raw: bytes
    behind: bytes


@dataclass(slots=True, kw_only=True)
class Sighting:
    """One line; `lowered` is the whole text in small letters, of which `text` may be a part."""

    number: int
    stream: str
    text: str
    lowered: str
    words: Sequence[str]
    raw: bytes
    start: int
    end: int
    window: Window

    def part(self, text: str) -> Part:
        """Something that stands in this line."""
        return Part(text, self.raw)

    def clue(self, *, kind: FailureKind, weight: int, tool: str, subject: Part | None) -> Clue:
        """Keep what is needed of it; that is some kilobytes."""
        before, behind = self.window.around(self.start, self.end)
        return Clue(
            number=self.number,
            kind=kind,
            weight=weight,
            tool=tool,
            subject=subject,
            before=before,
            raw=self.raw,
            behind=behind,
        )


def sight(picked: Picked) -> Sighting:
    """Clean a line of the log; what is kept of it raw tells by its length that there is more."""
    raw = picked.window.text[picked.start : min(picked.end, picked.start + LONGEST_READ + 1)]
    stream, text = clean(raw)
    words = picked.words
    if words is None or b"\x1b" in raw:  # colours may stand between the letters of a word
        words = words_in(text)
    return Sighting(
        number=picked.number,
        stream=stream,
        text=text,
        lowered=text.lower(),
        words=words,
        raw=raw,
        start=picked.start,
        end=picked.end,
        window=picked.window,
    )
