"""Whoever can push decides what a log holds: no log takes more than its share of time or memory."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from openloop.domain.build_logs.analyser import analyse
from openloop.domain.build_logs.analysis import MOST_BYTES
from openloop.domain.build_logs.index import BY_WORD, WORDS
from openloop.domain.build_logs.lines import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 400_000
MOST_SECONDS = 3.0  # of the processor, for SIZE; what is not linear takes minutes
LONGEST_LINE = 1000
MOST_MATCH_SECONDS = 0.02

LOGS = {
    "one line": b"error " * (SIZE // 6),
    "one line of nothing": b"a" * SIZE,
    "only ends of lines": b"\n" * SIZE,
    "progress bars": b"error: 1%\r" * (SIZE // 10),
    "zeros": b"\0error\0: x\n" * (SIZE // 11),
    "no UTF-8": b"\xff\xfe\xed\xa0\x80error: \xc3\n" * (SIZE // 15),
    "escapes": b"\x1b[" * (SIZE // 2),
    "links that never end": b"\x1b]" * 2000 + b"error: x\n" + b"\x1b]8;;" * (SIZE // 5),
    "errors": b"error: x\n" * (SIZE // 9),
    "tracebacks": b"Traceback (most recent call last):\n" * (SIZE // 35),
    "tests": b"= FAILURES =\n_ a _\nE   x\n" * (SIZE // 25),
    "steps": b"##[group]Run x\nshell: sh\nerror: x\n##[error]Process completed with exit code 1.\n"
    * (SIZE // 80),
    "streams": b"".join(b"p%d:test: Traceback (most recent call last):\n" % n for n in range(8000)),
    "every word": (" ".join(WORDS).encode() * 3 + b"\n") * (SIZE // 3000),
    "dots and arrows": b"    1/1 Test #1: a " + b"." * (SIZE // 2) + b"***Failed\n",
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_was_made_to_be_slow_is_not(name: str) -> None:
    began = time.process_time()
    analysis = analyse([LOGS[name]])

    assert time.process_time() - began < MOST_SECONDS
    assert sum(len(each.text.encode()) for each in analysis.excerpts) <= MOST_BYTES


def test_noise_finds_nothing_and_breaks_nothing() -> None:
    noise = random.Random(7)
    words = [word.encode() for word in WORDS] + [
        b"\n",
        b" ",
        b": ",
        b"##[error]",
        b"\r",
        b"\x1b[31m",
    ]
    for _ in range(40):
        pieces = [
            noise.choice(words) if noise.random() < 0.7 else noise.randbytes(9) for _ in range(900)
        ]
        analyse(pieces)


def test_memory_does_not_grow_with_the_log() -> None:
    def log() -> Iterator[bytes]:
        for n in range(200):
            yield b"src/f%d.c:1:1: error: x\n" % n + b"ordinary line of output\n" * 2000

    tracemalloc.start()
    try:
        analyse(log())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 6_000_000  # of 9.6 MB


def test_no_rule_is_slow_on_a_line_made_for_it() -> None:
    for each in {
        each for found in BY_WORD.values() for each in (*found.others, *(r for _, r in found.keyed))
    }:
        for line in lines_for(each.pattern.pattern, each.key):
            began = time.perf_counter()
            each.pattern.match(line)
            took = time.perf_counter() - began
            if took > MOST_MATCH_SECONDS:  # perhaps somebody else had the processor
                began = time.perf_counter()
                each.pattern.match(line)
                took = time.perf_counter() - began
            assert took < MOST_MATCH_SECONDS, (each.pattern.pattern, line[:80])


def lines_for(pattern: str, key: str) -> Iterator[str]:
    """Lines of what a pattern is made of, repeated until they are as long as any that is matched."""
    literal = re.sub(r"\\[a-zA-Z]|\(\?(?:P<\w+>|[:=!])|[\[\](){}|*+?^$\\]", " ", pattern)
    atoms = [*[atom for atom in literal.split() if len(atom) > 1][:6], " ", ":", "1", "a", "/", "="]
    for one in atoms:
        yield (key + one * LONGEST_LINE)[:LONGEST_LINE]
        for other in atoms:
            yield ((one + other) * LONGEST_LINE)[: LONGEST_LINE - len(key)] + key


@pytest.mark.parametrize("raw", [b"x" * 10_000_000, b"\x1b" * 10_000_000, b"\r" * 10_000_000])
def test_a_line_of_ten_megabytes_is_looked_at_in_part(raw: bytes) -> None:
    assert len(clean(raw).text) <= LONGEST_LINE
