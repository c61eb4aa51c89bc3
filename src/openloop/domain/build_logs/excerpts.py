"""Cutting out of a log what a person would read around one of its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.build_logs.analysis import Excerpt, LogLine
from openloop.domain.build_logs.lines import clean
from openloop.domain.build_logs.showing import shown, shown_part
from openloop.domain.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.build_logs.sighting import Clue
    from openloop.domain.build_logs.step import Step


def excerpt_of(clue: Clue, step: Step, *, room: int, redactor: Redactor | None) -> Excerpt:
    """The line and what stands around it in its step, in at most `room` bytes.

    Of what programs wrote between each other, only this one's lines are taken.
    """
    redactor = redactor or Redactor()
    lines = {clue.number: shown(clue.raw, redactor)}
    left = room - _cost(lines[clue.number])
    for number, raw in _around(clue, step):
        text = shown(raw, redactor)
        left -= _cost(text)
        if left < 0:
            break
        lines[number] = text
    return Excerpt(
        kind=clue.kind,
        cause=clue.number,
        subject=shown_part(clue.subject, redactor),
        step=shown_part(step.name, redactor),
        lines=tuple(LogLine(number, text) for number, text in sorted(lines.items())),
    )


def _around(clue: Clue, step: Step) -> Iterator[tuple[int, bytes]]:
    """The nearest lines first, and what follows before what precedes."""
    stream = clean(clue.raw).stream
    before = _numbered(clue.before, first=clue.number - clue.before.count(b"\n"))
    behind = _numbered(clue.behind.rpartition(b"\n")[0], first=clue.number + 1)
    earlier = [each for each in reversed([*before]) if clean(each[1]).stream == stream]
    later = [each for each in behind if clean(each[1]).stream == stream]
    nearest = (*later[:12], *earlier[:8], *later[12:30], *earlier[8:16])
    return (each for each in nearest if step.first <= each[0] <= step.last_sign)


def _numbered(raw: bytes, *, first: int) -> Iterator[tuple[int, bytes]]:
    return enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else [], first)


def _cost(text: str) -> int:
    return len(text.encode()) + 10
