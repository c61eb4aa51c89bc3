"""How long a parser of CommonMark needs for a text: that decides whether it is parsed at all.

A parser's time is not bounded by a length. Each sign that could begin something is tried by every
rule; each open bracket makes it look through all that follows for its end, each list or quotation
through every line behind it, as deep as they nest, and so may each definition of a link.
"""

from __future__ import annotations

import re

_BREAK = re.compile(r"\r\n?")
_FENCED = re.compile(
    r"^ {0,3}(?P<fence>`{3,})[^`\n]*\n(?:.*?^ {0,3}(?P=fence)`*[ \t]*$|.*\Z)",
    re.MULTILINE | re.DOTALL,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_BRACKET = re.compile(r"[\[\]]")
_SIGNS = re.compile(r"[!#$%&*+\-:<=>@\[\\\]^_`{}~]")
_OPENS = r"(?:>|(?:[-+*]|[0-9]{1,9}[.)])(?=[ \t\n]))"
_INSIDE = re.compile(rf"^(?:[ \t]*{_OPENS})+", re.MULTILINE)
_OPEN = re.compile(_OPENS)
_LONG_RUN = re.compile(r"[^\x00-\x20]{200,}")
_CHARACTERS_READ = 8
"""In a microsecond, of what may be the address of a link."""
_PER_SIGN, _PER_LINE, _PER_LOOK = 5, 12, 2
_MOST, _MOST_PER_CHARACTER = 45_000, 3


def takes_long(text: str, *, nesting: int) -> bool:
    """Whether a parser that nests so deep would need much longer than for a text that people write."""
    return effort(text, nesting=nesting) > max(_MOST, _MOST_PER_CHARACTER * len(text))


def effort(text: str, *, nesting: int) -> int:
    """About how many microseconds it takes; the figures were fitted to markdown-it."""
    text = _FENCED.sub("", _BREAK.sub("\n", text))
    deepest = max((len(_OPEN.findall(found[0])) for found in _INSIDE.finditer(text)), default=0)
    all_lines = text.count("\n")
    total = all_lines * (_PER_LOOK * min(deepest, nesting) + text.count("]:"))
    for run in _LONG_RUN.findall(text):
        total += run.count("](") * len(run) // _CHARACTERS_READ
    for block in _BLANK_LINE.split(text):
        opened = most = 0
        for found in _BRACKET.finditer(block) if "[" in block else ():
            opened = opened + 1 if found[0] == "[" else max(0, opened - 1)
            most = max(most, opened)
        signs, lines = len(_SIGNS.findall(block)), block.count("\n")
        looks = (signs + lines) * min(most, nesting)
        total += _PER_SIGN * signs + _PER_LINE * lines + _PER_LOOK * looks
    return total
