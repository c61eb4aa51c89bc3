"""Cutting pieces into messages that Slack takes, after rendering and without losing text.

Slack refuses a message whose blocks are over about 13,200 characters (`msg_blocks_too_long`;
undocumented, slackapi/bolt-js#2509 and #2867 measured it on blocks like these). We count the bytes
of the JSON we send, which is more than Slack counts, and stay under 12,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from openloop.integrations.slack import richtext
from openloop.integrations.slack.richtext import Link, Mention, Piece, Text, cut_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from openloop.integrations.slack.richtext import Run

MOST_BYTES = 12_000
MOST_PIECES = 200
# What a message holds beside its pieces, a piece beside its runs, and a line between two pieces.
_FRAME_BYTES = 100
_PIECE_BYTES = 220
_JOINT_BYTES = 40


def parts_of(pieces: Iterable[Piece], *, most: int = MOST_BYTES) -> list[list[Piece]]:
    """The pieces as messages, each under `most` bytes when it is sent."""
    room_of_all = most - _FRAME_BYTES
    parts: list[list[Piece]] = [[]]
    room = room_of_all
    for piece in pieces:
        for cut in _cut(piece, room=room, room_of_all=room_of_all):
            weight = weigh(cut)
            if parts[-1] and (weight > room or len(parts[-1]) >= MOST_PIECES):
                parts.append([])
                room = room_of_all
            parts[-1].append(cut)
            room -= weight
    return [part for part in parts if part]


def weigh(piece: Piece) -> int:
    """An upper bound of the bytes this piece adds to a message."""
    return len(orjson.dumps(richtext.block([piece])["elements"])) + _JOINT_BYTES


def size(blocks: Sequence[richtext.Element]) -> int:
    """The bytes of blocks as they are sent."""
    return len(orjson.dumps(blocks))


def _weigh_run(run: Run) -> int:
    return len(orjson.dumps(richtext.element(run))) + 1


def _cut(piece: Piece, *, room: int, room_of_all: int) -> Iterator[Piece]:
    """The piece, or its parts: a long one first fills what room is left if that is worth it."""
    if weigh(piece) <= room_of_all:
        yield piece
        return
    first = room if room > room_of_all // 4 else room_of_all
    for at, runs in enumerate(_cut_runs(piece.runs, first - _PIECE_BYTES, room_of_all)):
        yield cut_here(piece, runs, goes_on=at > 0)


def _cut_runs(runs: Iterable[Run], first: int, room_of_all: int) -> Iterator[tuple[Run, ...]]:
    room = first
    line: list[Run] = []
    waiting = list(reversed(tuple(runs)))
    while waiting:
        run = waiting.pop()
        weight = _weigh_run(run)
        if weight <= room:
            line.append(run)
            room -= weight
            continue
        match run:
            case Text():
                head, tail = _cut_text(run, room)
                if head is not None:
                    line.append(head)
                waiting.append(tail)
            case Link() | Mention() if line:
                waiting.append(run)
            case Link() | Mention():
                line.append(run)
        if line:
            yield tuple(line)
        line, room = [], room_of_all - _PIECE_BYTES
    if line:
        yield tuple(line)


def _cut_text(run: Text, room: int) -> tuple[Text | None, Text]:
    """Cut where a line ends, else at a blank, else anywhere; None where nothing fits."""
    most = _longest_prefix(run, room)
    if most < min(80, len(run.text)):
        return None, run
    at = run.text.rfind("\n", most // 2, most) + 1
    if at <= 0:
        at = run.text.rfind(" ", most // 2, most) + 1
    if at <= 0:
        at = most
    return Text(run.text[:at], run.styles), Text(run.text[at:], run.styles)


def _longest_prefix(run: Text, room: int) -> int:
    """How many characters of a text fit, by halving: escapes and UTF-8 make the weight uneven."""
    low, high = 0, min(len(run.text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if _weigh_run(Text(run.text[:middle], run.styles)) <= room:
            low = middle
        else:
            high = middle - 1
    return low
