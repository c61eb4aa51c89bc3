"""What somebody typed themselves, of a text in Markdown: no code, no quotation, no label of a link.

A sink value counts only where a requester typed it. Where it is not certain whether a part of a
text was typed or pasted, it does not count: nothing behind HTML does, which quotes and hides like
Markdown, nor behind a block of code in a list, since nothing shows where that ends. Every function
takes time in proportion to the text.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from openloop.domain.sinks import GLUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MARKERS = " \t-*+.)0123456789"
_ITEM = r"(?:[-*+]|\d{1,9}[.)])"
_LIST = re.compile(rf"[ \t>]*{_ITEM}(?:[ \t]|$)")
_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})")
_FENCE_WITHIN = re.compile(rf"[ \t]*(?:{_ITEM}[ \t]+)*(?:`{{3}}|~{{3}})")
_INDENTED = re.compile(rf" {{4}}| {{0,3}}\t|(?:[ \t]{{0,4}}{_ITEM})+(?: {{5}}| {{0,4}}\t)")
_LABELLED = re.compile(r"!?\[[^\[\]]*+\]\(\s*+<?+([^()\s<>]*+)[^()]*+\)")
_BRACKET = re.compile(r"\\.|[\[\]]", re.DOTALL)
_COMMENT = re.compile(r" {0,3}<!--(?!-?>)")
_HTML = re.compile(r"<(?=[A-Za-z/!?])(?![A-Za-z][\w+.-]*:[^\s<>]*>)(?![^\s<>@]+@[^\s<>@]+>)")
_ESCAPED_CODE = "\\`"
_HIDES_ALL = "<!"
"""A line that ends what counts, like HTML, from its paragraph on."""


def typed_in_markdown(text: str) -> str:
    """The text as it counts; addresses of links stay, on their own."""
    lines = text.replace(GLUE, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept: list[str] = []
    for is_empty, group in groupby(_unfenced(lines), key=lambda line: not line.strip()):
        paragraph = list(group)
        if is_empty:
            kept += paragraph
        elif _has_html(paragraph):
            break
        else:
            kept += _spoken(paragraph)
    return "\n".join(kept)


def _spoken(paragraph: Sequence[str]) -> list[str]:
    """What counts of some lines without an empty one between them; labels end with these.

    Where code goes on to another line, it is not certain which of them are of one block: none counts.
    """
    if any(_ESCAPED_CODE in line or "`" in without_code(line) for line in paragraph):
        return []
    lines = [without_code(line) for line in _unquoted(paragraph) if not _INDENTED.match(line)]
    return _without_labels("\n".join(lines)).split("\n") if lines else []


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
    """The lines outside of blocks of code and of comments; what nobody closed goes to the end."""
    fence = indent = ""
    in_comment = in_list = False
    for line in lines:
        mark = _FENCE.match(line)
        if in_comment or (not fence and _COMMENT.match(line)):
            before, end, behind = line.partition("-->")
            if "--!>" in before or behind.strip():
                yield _HIDES_ALL
                return
            in_comment = not end
            yield ""
        elif fence:
            if in_list and line.strip() and not line.startswith(indent):
                yield _HIDES_ALL  # the block may have ended with its item
                return
            if mark is not None and mark[2].startswith(fence) and not line.strip(f" \t{fence[0]}"):
                fence = ""
        elif mark is not None:
            indent, fence = mark[1], mark[2]
            yield ""
        elif _FENCE_WITHIN.match(line):
            yield _HIDES_ALL
            return
        else:
            in_list = in_list or _LIST.match(line) is not None
            yield line


def _has_html(paragraph: Sequence[str]) -> bool:
    """True where a tag may be live, with code as it ends in these lines, or in one of them alone."""
    texts = ("\n".join(paragraph), *paragraph)
    return any(
        _HTML.search(without_code(each))
        for text in texts
        for each in dict.fromkeys((text, text.replace(_ESCAPED_CODE, "")))
    )


def _without_labels(text: str) -> str:
    """The text with all in brackets glued up, and what a definition of a link goes on to say."""
    text = _LABELLED.sub(lambda found: f"{GLUE} {found[1]} {GLUE}", text)
    opened: list[int] = []
    labels: list[tuple[int, int]] = []
    for found in _BRACKET.finditer(text):
        if found[0] == "[":
            opened.append(found.start())
        elif found[0] == "]":
            start = opened.pop() if opened else 0
            if not opened:
                if not start:
                    labels.clear()
                labels.append((start, found.end()))
    if opened:
        labels.append((opened[0], len(text)))
    parts: list[str] = []
    at = 0
    for start, end in labels:
        parts += (text[at:start], GLUE)
        at = len(text) if text.startswith(":", end) else end
        if at == len(text):
            break
    return "".join((*parts, text[at:]))


def _unquoted(lines: Iterable[str]) -> Iterator[str]:
    """The lines outside of quotations; one goes on until a line is empty, as Markdown has it."""
    quoted = False
    for line in lines:
        quoted = line.lstrip(_MARKERS).startswith(">") or (quoted and bool(line.strip()))
        if not quoted:
            yield line
