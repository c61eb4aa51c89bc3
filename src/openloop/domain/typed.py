"""What somebody typed themselves, of a text in Markdown: no code, no quotation, no label of a link.

A sink value counts only where a requester typed it. Where it is not certain whether a part of a
text was typed or pasted, it does not count. Every function takes time in proportion to the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.domain.sinks import GLUE

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKERS = " \t-*+.)0123456789"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_INDENTED = re.compile(r" {4}| {0,3}\t")
_LABELLED = re.compile(r"!?\[[^\[\]]*+\]\(\s*+<?+([^()\s<>]*+)[^()]*+\)")


def typed_in_markdown(text: str) -> str:
    """The text as it counts; addresses of links stay, on their own."""
    lines = text.replace(GLUE, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    spoken = without_code("\n".join(_unquoted(_unfenced(lines))))
    return _LABELLED.sub(lambda found: f"{GLUE} {found[1]} {GLUE}", spoken)


def without_code(text: str) -> str:
    """The text with inline code glued up: a run of backticks, closed by the next of its length."""
    runs = list(re.finditer(r"`+", text))
    later: dict[int, list[int]] = {}
    for index in range(len(runs) - 1, -1, -1):
        later.setdefault(len(runs[index][0]), []).append(index)
    parts: list[str] = []
    at = index = 0
    while index < len(runs):
        same = later[len(runs[index][0])]
        while same and same[-1] <= index:
            same.pop()
        if same:
            parts += (text[at : runs[index].start()], GLUE)
            index = same[-1]
            at = runs[index].end()
        index += 1
    return "".join((*parts, text[at:]))


def _unfenced(lines: list[str]) -> Iterator[str]:
    """The lines outside of code blocks; a fence that nobody closed goes to the end."""
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            if mark is not None and mark[1].startswith(fence) and not line.strip(" `~"):
                fence = ""
        elif mark is not None:
            fence = mark[1]
            yield ""
        elif not _INDENTED.match(line):
            yield line


def _unquoted(lines: Iterator[str]) -> Iterator[str]:
    """The lines outside of quotations; one goes on until a line is empty, as Markdown has it."""
    quoted = False
    for line in lines:
        quoted = line.lstrip(_MARKERS).startswith(">") or (quoted and bool(line.strip()))
        if not quoted:
            yield line
