"""Growing recorded lines into thousands that differ as real ones do: in names, versions, times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import cycle, groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

HERE = Path(__file__).parent
NOUNS = (HERE / "words/nouns.txt").read_text().split()
ADJECTIVES = (HERE / "words/adjectives.txt").read_text().split()

VARIABLE = re.compile(
    rf"(?P<noun>{'|'.join(f'[{noun[0].upper()}{noun[0]}]{noun[1:]}' for noun in NOUNS)})(?![a-z])"
    r"|(?P<time>(?<![\w.])\d+(?:\.\d+)?(?= ?(?:ms|s|kB|MB)\b))"
    r"|(?P<version>(?<=\D)\d+\.\d+\.\d+(?![\d.]))"
    r"|(?P<number>(?<![\w.:])(?!20\d\d\b)\d{4,}(?![\w.]))"
    r"|(?P<hash>\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b)"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log; `origin` is its index in the recording, None where it was made up."""

    text: str
    origin: int | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """How many lines are added before and after one line of a recording."""

    pivot: int
    before: int
    after: int


@cache
def pieces(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a template of what stays in a line, and the kind and text of each part that may differ."""
    template, at = "", 0
    found: list[tuple[str, str]] = []
    for match in VARIABLE.finditer(text):
        template += text[at : match.start()].replace("%", "%%") + "%s"
        found.append((match.lastgroup or "", match.group()))
        at = match.end()
    return template + text[at:].replace("%", "%%"), tuple(found)


def vary(text: str, names: dict[str, str], random: Random) -> str:
    """Return the line with other names, times, versions and numbers; the same name stays the same."""
    template, variable = pieces(text)
    if not variable:
        return text
    return template % tuple([other(kind, found, names, random) for kind, found in variable])


def other(kind: str, found: str, names: dict[str, str], random: Random) -> str:
    """Return something of the same kind and much the same length."""
    match kind:
        case "noun":
            return renamed(found, names, random)
        case "time":
            return ".".join([digits(len(part), random) for part in found.split(".")])
        case "version":
            return f"{digits(1, random)}.{digits(2, random)}.{digits(1, random)}"
        case "hash":
            return f"{random.getrandbits(160):040x}"[: len(found)]
        case _:
            return digits(len(found), random)


def digits(count: int, random: Random) -> str:
    """Return a number of that many digits."""
    return str(int((1 + random.random() * 9) * 10 ** (count - 1)))


def renamed(noun: str, names: dict[str, str], random: Random) -> str:
    """Return the name that stands for this noun in this copy, written as the noun is."""
    name = names.get(noun.lower())
    if name is None:
        name = f"{random.choice(ADJECTIVES)}_{random.choice(NOUNS)}"
        names[noun.lower()] = name
    return name.title().replace("_", "") if noun[0].isupper() else name


def copies(lines: Sequence[str], count: int, random: Random) -> Iterator[Line]:
    """Repeat a run of recorded lines, each time with other names, until there are `count`."""
    names: dict[str, str] = {}
    for made, (index, text) in enumerate(cycle(enumerate(lines))):
        if made == count:
            return
        if index == 0:
            names = {}
        yield Line(vary(text, names, random))


def grow(recorded: Sequence[str], pattern: str, growth: Growth, random: Random) -> list[Line]:
    """Return the recording with the runs of lines that `pattern` finds repeated to the wanted size.

    Where nothing before (or after) the pivot matches, nothing is added there.
    """
    growing = re.compile(pattern)
    marked = [(index, text, bool(growing.search(text))) for index, text in enumerate(recorded)]
    runs = [
        list(run)
        for _, run in groupby(marked, key=lambda entry: (entry[2], entry[0] < growth.pivot))
    ]
    weights = {
        side: sum(len(run) for run in runs if run[0][2] and (run[0][0] < growth.pivot) is side)
        for side in (True, False)
    }
    grown: list[Line] = []
    for run in runs:
        grown += [Line(text, index) for index, text, _ in run]
        first, _, grows = run[0]
        if grows:
            early = first < growth.pivot
            share = (growth.before if early else growth.after) * len(run) // weights[early]
            grown += copies([text for _, text, _ in run], share, random)
    return grown


def can_grow(recorded: Sequence[str], pattern: str) -> bool:
    """Say whether any of these lines may be repeated."""
    growing = re.compile(pattern)
    return any(growing.search(text) for text in recorded)


def interleave(
    first: Sequence[Line], second: Sequence[Line], prefixes: tuple[str, str], random: Random
) -> list[Line]:
    """Mix what two programs printed at the same time, a few lines of one, then of the other."""
    streams = [
        [Line(prefixes[0] + line.text, line.origin) for line in first],
        [Line(prefixes[1] + line.text) for line in second],
    ]
    mixed: list[Line] = []
    at = [0, 0]
    while at[0] < len(streams[0]) or at[1] < len(streams[1]):
        left = [len(stream) - position for stream, position in zip(streams, at, strict=True)]
        chosen = 0 if random.random() * sum(left) < left[0] else 1
        taken = random.randint(1, 4)
        mixed += streams[chosen][at[chosen] : at[chosen] + taken]
        at[chosen] = min(at[chosen] + taken, len(streams[chosen]))
    return mixed
