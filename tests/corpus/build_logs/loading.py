"""The corpus as full-size logs: each recording buried, the same way every time, in ordinary output."""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import TypeAdapter

from tests.corpus.build_logs.burying import Growth, Line, can_grow, grow, interleave
from tests.corpus.build_logs.runner import closing, opening, stamped, step

Half = Literal["develop", "held_out"]
HERE = Path(__file__).parent
WITHIN = 0.6  # the part of the growth that the failing step itself takes, where it can grow
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary:
    """Recorded output of a step that succeeds, and which of its lines may be repeated, varied."""

    log: str
    run: str
    grow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one log is built: the side entry in `cases.toml`, whose README explains the fields."""

    name: str
    kind: str
    log: str
    run: str
    lines: int
    depth: float = 0.5
    cause: tuple[tuple[str, int], ...] = ()
    grow: str = r"(?!)"
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    beside: str = ""
    prefixes: tuple[str, str] = ("", "")
    exit: int = 1
    cut: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """One `cases.toml`."""

    ordinary: dict[str, Ordinary]
    case: tuple[Recipe, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One full log; `expected` are 1-based line numbers, each alone a right answer; none: no cause."""

    half: Half
    name: str
    kind: str
    text: str
    size: int
    expected: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """How many ordinary lines go into the recorded step, beside it, and before and after it."""

    within: Growth
    beside: int
    before: int
    after: int


def load(half: Half = "develop", names: Sequence[str] = ()) -> Iterator[Log]:
    """Build the logs of one half, one after the other (all when no name is given)."""
    for recipe in cases(half).case:
        if not names or recipe.name in names:
            yield build(half, recipe)


@cache
def cases(half: Half) -> Cases:
    """Read the side entries of one half."""
    return TypeAdapter(Cases).validate_python(
        tomllib.loads((HERE / half / "cases.toml").read_text())
    )


@cache
def recorded(half: Half, name: str) -> tuple[str, ...]:
    """Return a recording's lines, whether a tool printed them or they were written by hand."""
    folder = "recordings" if (HERE / half / "recordings" / f"{name}.txt").exists() else "shapes"
    return tuple((HERE / half / folder / f"{name}.txt").read_text().removesuffix("\n").split("\n"))


def plain(text: str) -> str:
    """Return the line as a person sees it: without colours."""
    return ANSI.sub("", text).rstrip()


def causes(half: Half, recipe: Recipe) -> tuple[int, ...]:
    """Return the marked lines' indexes in the recording.

    Raises:
        LookupError: a marked text does not occur that often.
    """
    found: list[int] = []
    lines = [plain(text) for text in recorded(half, recipe.log)]
    for text, occurrence in recipe.cause:
        places = [index for index, line in enumerate(lines) if line.startswith(text.rstrip())]
        if len(places) < occurrence:
            raise LookupError(
                f"{recipe.name}: {text!r} occurs {len(places)} times in the recording"
            )
        found.append(places[occurrence - 1])
    return tuple(found)


def build(half: Half, recipe: Recipe) -> Log:
    """Build one log, from nothing but its side entry and the recordings."""
    random = Random(zlib.crc32(f"{half}/{recipe.name}".encode()))
    marked = causes(half, recipe)
    lines = job(half, recipe, marked, random)
    if recipe.cut:
        lines, marked = lines[: first_with(lines, recipe.cut)], ()
    return Log(
        half=half,
        name=recipe.name,
        kind=recipe.kind,
        text="\ufeff" + "\n".join(stamped(lines, random)) + "\n",
        size=len(lines),
        expected=tuple(number for number, line in enumerate(lines, 1) if line.origin in marked),
    )


def job(half: Half, recipe: Recipe, marked: Sequence[int], random: Random) -> list[Line]:
    """Return the opening, steps that succeed, the recorded step, later steps and the closing."""
    source = recorded(half, recipe.log)
    added = additions(recipe, source, min(marked, default=len(source) // 2))
    lines = grow(source, recipe.grow, added.within, random)
    if recipe.beside:
        other = ordinary(half, recipe.beside, added.beside, random)
        lines = interleave(lines, other, recipe.prefixes, random)
    if recipe.exit > 0:
        lines.append(Line(f"##[error]Process completed with exit code {recipe.exit}."))
    return [
        *opening(),
        *steps(half, recipe.before, added.before, random),
        *step(recipe.run),
        *lines,
        *steps(half, recipe.after, added.after, random),
        *closing(),
    ]


def additions(recipe: Recipe, source: Sequence[str], pivot: int) -> Additions:
    """Share out the lines that are missing before and after the cause (at `pivot`)."""
    above = int(recipe.lines * recipe.depth)
    before = max(above - pivot, 0)
    after = max(recipe.lines - above - (len(source) - pivot), 0)
    early = WITHIN if recipe.before or recipe.beside else 1
    late = WITHIN if recipe.after or recipe.beside else 1
    within = Growth(
        pivot,
        int(before * early) if can_grow(source[:pivot], recipe.grow) else 0,
        int(after * late) if can_grow(source[pivot:], recipe.grow) else 0,
    )
    before, after = before - within.before, after - within.after
    rest = before + after
    beside = int(rest * WITHIN) if recipe.beside else 0
    rest -= beside
    first = rest * before // max(before + after, 1) if recipe.before else 0
    if not recipe.after:
        first = rest
    return Additions(within=within, beside=beside, before=first, after=rest - first)


def steps(half: Half, names: Sequence[str], lines: int, random: Random) -> Iterator[Line]:
    """Yield the named ordinary steps, which share the lines."""
    for name in names:
        yield from step(cases(half).ordinary[name].run)
        yield from ordinary(half, name, lines // len(names), random)


def ordinary(half: Half, name: str, lines: int, random: Random) -> list[Line]:
    """Return an ordinary recording grown to about this many lines."""
    kind = cases(half).ordinary[name]
    source = recorded(half, kind.log)
    growth = Growth(0, 0, max(lines - len(source), 0))
    return [Line(line.text) for line in grow(source, kind.grow, growth, random)]


def first_with(lines: Sequence[Line], text: str) -> int:
    """Return the index of the first recorded line that holds the text."""
    return next(
        index
        for index, line in enumerate(lines)
        if line.origin is not None and text in plain(line.text)
    )
