"""Going through a log of any size: only lines that may matter are taken out of it."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from openloop.domain.build_logs.index import PLACE_PATTERN, WORDS
from openloop.domain.build_logs.rule import PLACE

_BLOCK: Final = 256 * 1024
_BEFORE: Final = 3 * 1024
_BEHIND: Final = 6 * 1024
_LONGEST: Final = 64 * 1024
"""Bytes of a line that are kept at all; what a longer one holds behind them is dropped."""

_CLOCK: Final = re.compile(rb"\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z ")

_SOUGHT: Final = tuple((word, word.encode()) for word in WORDS)


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a log, whole lines from `first` to `last`, with what stands around them."""

    text: bytes
    first: int
    last: int

    def around(self, start: int, end: int) -> tuple[bytes, bytes]:
        """Some kilobytes before a line and behind it, as far as they are here."""
        begin = max(0, start - _BEFORE)
        if begin:
            begin = self.text.find(b"\n", begin, start) + 1 or start
        return self.text[begin:start], self.text[end + 1 : end + 1 + _BEHIND]


class Picked(NamedTuple):
    """One line: where it is in its window, and the words that were found in it.

    Without `words` nobody has looked for any.
    """

    number: int
    start: int
    end: int
    window: Window
    words: Sequence[str] | None


class Reader:
    """Lines of a log in order, numbered from 1; the counts are right when all have been read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.line_count = 0
        self.bytes_read = 0

    def lines(self, wants_next: Callable[[], bool]) -> Iterator[Picked]:
        """Each line that holds one of the words, or that is wanted."""
        before = 0
        for window in _windows(self._chunks):
            number, counted = before + 1, window.first
            self.bytes_read += window.last - window.first
            for start, end, words in _picked(window, wants_next):
                number += window.text.count(b"\n", counted, start)
                counted = start
                yield Picked(number, start, end, window, words)
            before += window.text.count(b"\n", window.first, window.last)
        self.line_count = before


def _picked(
    window: Window, wants_next: Callable[[], bool]
) -> Iterator[tuple[int, int, Sequence[str] | None]]:
    text, last = window.text, window.last
    words = _words(window)
    starts = sorted(words)
    index, position = 0, window.first
    while True:
        if not wants_next():
            index = bisect_left(starts, position, index)
            if index == len(starts):
                return
            position = starts[index]
        if position >= last:
            return
        end = text.find(b"\n", position)
        yield position, end, words.get(position)
        position = end + 1


def _words(window: Window) -> dict[int, list[str]]:
    """The lines with words in them, by where they start."""
    lowered, first, last = window.text.lower(), window.first, window.last
    found: dict[int, list[str]] = {}
    place = PLACE_PATTERN.search(lowered, first, last)
    while place is not None:
        start = lowered.rfind(b"\n", first, place.start()) + 1 or first
        found.setdefault(start, []).append(PLACE)
        place = PLACE_PATTERN.search(lowered, lowered.find(b"\n", place.start()), last)
    for word, sought in _SOUGHT:
        position = lowered.find(sought, first, last)
        while position >= 0:
            start = lowered.rfind(b"\n", first, position) + 1 or first
            found.setdefault(start, []).append(word)
            position = lowered.find(sought, lowered.find(b"\n", position), last)
    return found


def _windows(chunks: Iterable[bytes]) -> Iterator[Window]:
    """Blocks of whole lines, each with the end of the one before and the beginning of the next."""
    before, block = b"", b""
    for following in _blocks(chunks):
        if block:
            yield _window(before, block, following)
            before = _last_lines(before + block)
        block = following
    if block:
        yield _window(before, block, b"")


def _last_lines(text: bytes) -> bytes:
    """Some kilobytes of the end, whole lines: the rest of one could be half of a secret."""
    begin = len(text) - _BEFORE
    return text[text.find(b"\n", begin) + 1 :] if begin > 0 else text


def _window(before: bytes, block: bytes, following: bytes) -> Window:
    first = len(before)
    text = b"".join((before, block, following[: _BEHIND + 1]))
    return Window(text=text, first=first, last=first + len(block))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, every one with its end; what is beyond _LONGEST of a line is left out."""
    rest = bytearray()
    is_too_long = False
    for piece in _pieces(chunks):
        if is_too_long:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, is_too_long = piece[end:], False
        rest += piece
        if len(rest) < _BLOCK:
            continue
        end = rest.rfind(b"\n") + 1
        if end:
            yield _without_clock(bytes(rest[:end]))
            del rest[:end]
        if len(rest) > _LONGEST:
            del rest[_LONGEST:]
            is_too_long = True
    if rest:
        yield _without_clock(bytes(rest) if rest.endswith(b"\n") else bytes(rest) + b"\n")


def _without_clock(block: bytes) -> bytes:
    """What GitHub's runner writes before each line is a third of a log, and holds nothing."""
    return _CLOCK.sub(b"\n", b"\n" + block)[1:]


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for begin in range(0, len(chunk), _BLOCK):
            yield chunk[begin : begin + _BLOCK]
