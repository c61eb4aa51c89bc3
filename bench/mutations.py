"""Mutated manifests: every line lost, doubled, moved and mistyped, every value replaced by another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORD = re.compile(r"[A-Za-z_@#][\w./@#*:-]*|\d+(?:\.\d+)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SWAPS = {
    "true": "false",
    "false": "true",
    "read": "write",
    "write": "destroy",
    "destroy": "read",
    "private": "internal",
    "internal": "public",
    "guests": "shared",
    "own": "grant",
    "grant": "own",
    "typed": "any",
    "mention": "followup",
    "channel": "workspace",
    "block": "ask",
    "viewer": "owner",
    "operator": "admin",
}
_TEMPTING = (
    "public",
    "grant",
    "any",
    "read",
    "owner",
    "@mallory",
    "@maintainers",
    "#everybody",
    "acme/*",
    "acme/secret",
    "github.issues:write",
    "issues:write",
    "U0MALLORY",
    "999999",
)
"""Values that would be worth something to somebody."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Some lines of a text replaced by others."""

    start: int
    end: int
    lines: tuple[str, ...]


def applied(text: str, *edits: Edit) -> str:
    """The text with edits that do not touch the same lines."""
    lines = text.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        lines[edit.start : edit.end] = edit.lines
    return "".join(lines)


def are_apart(one: Edit, other: Edit) -> bool:
    """True where two edits touch no line in common."""
    return one.end <= other.start or other.end <= one.start


def edits(text: str) -> Iterator[Edit]:
    """Every mutation of one line, in a fixed order; nothing is drawn."""
    lines = text.splitlines(keepends=True)
    words = list(dict.fromkeys(_WORD.findall(text)))
    for index, line in enumerate(lines):
        yield from _moved(lines, index)
        for changed in dict.fromkeys(_written(line, words)):
            yield Edit(index, index + 1, (changed,))


def _moved(lines: Sequence[str], index: int) -> Iterator[Edit]:
    """The line lost, doubled, exchanged with the next, indented otherwise; a block lost."""
    line, after = lines[index], lines[index + 1 :]
    yield Edit(index, index + 1, ())
    yield Edit(index, index + 1, (line, line))
    if after:
        yield Edit(index, index + 2, (after[0], line))
    yield Edit(index, index + 1, (f"  {line}",))
    if line.startswith("  "):
        yield Edit(index, index + 1, (line[2:],))
    depth, below = _depth(line), 0
    while below < len(after) and _depth(after[below]) > depth:
        below += 1
    if below:
        yield Edit(index, index + 1 + below, ())
        yield Edit(index + 1, index + 1 + below, ())


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _written(line: str, words: Sequence[str]) -> Iterator[str]:
    """The line with one word or number replaced, mistyped, lost or doubled."""
    for found in _WORD.finditer(line):
        start, end, word = found.start(), found.end(), found[0]
        others = [*_numbers(word), *_mistyped(word)]
        if word in _SWAPS:
            others.append(_SWAPS[word])
        if ":" in line[:start] or line.lstrip().startswith("-"):
            others += [each for each in (*_TEMPTING, *words) if _sort(each) == _sort(word)]
        for other in dict.fromkeys(others):
            if other != word:
                yield line[:start] + other + line[end:]
    for found in re.finditer(r"[\w\"@#./:*-]+, ", line):
        yield line[: found.start()] + line[found.end() :]
    if "[" in line and "]" in line:
        inside = line[line.index("[") : line.index("]")]
        known = _WORD.findall(inside)
        for word in (*_TEMPTING, *words):
            if known and word not in known and _sort(word) == _sort(known[0]):
                yield line.replace("]", f', "{word}"]', 1)


def _numbers(word: str) -> Iterator[str]:
    if not _NUMBER.fullmatch(word):
        return
    yield f"{word}0"
    yield str(float(word) / 10)
    for other in (int(float(word)) + 1, int(float(word)) - 1, int(float(word)) * 2, 1, 0):
        yield str(other)
    yield f"-{word}"
    yield f'"{word}"'


def _mistyped(word: str) -> Iterator[str]:
    if not _NUMBER.fullmatch(word):
        middle = len(word) // 2
        yield word[:middle] + word[middle + 1 :]
        yield f"{word}x"


def _sort(word: str) -> str:
    """References, permissions, repositories, hosts, numbers, ids, and the rest."""
    for sign in ("@", "#", "/", ":", "."):
        if sign in word:
            return sign
    if _NUMBER.fullmatch(word):
        return "number"
    return "id" if word.isupper() else "word"
