"""The form of a rule: how one tool writes that something failed, and where it says why."""

import re
from dataclasses import dataclass
from typing import Final

from openloop.domain.build_logs.analysis import FailureKind

CERTAIN: Final = 100
"""The tool's own words for a cause, with the place or the test."""
PROVED: Final = 95
"""What a test said of which another line says that it failed."""
LIKELY: Final = 80
"""The tool's own words for a cause."""
POSSIBLE: Final = 60
"""Often the cause, and as often what a passing test prints."""
VAGUE: Final = 40
"""Says that something is wrong, in words that any program may use."""


PLACE: Final = ".x:1"
"""The key of lines that hold a file and a line, like `letters.py:1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """What a heading announces: its cause is the first such line below it.

    `lines` is how far that may be. With `subject` the heading opens a list whose every entry starts
    with such a line and has its own cause; `until` ends it.
    """

    cause: re.Pattern[str]
    lines: int = 40
    subject: re.Pattern[str] | None = None
    until: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line of `tool` that may be a cause, or the heading above it.

    `key` stands in every such line, in small letters: it is looked for before the pattern, which is
    matched from the beginning of the line. The group `subject` names what failed. No pattern may
    take more than linear time: classes are bounded or possessive, and a line holds one `.*`.
    What `is_said` by a test counts little until a sign says that this test failed.
    """

    tool: str
    kind: FailureKind
    weight: int
    key: str
    pattern: re.Pattern[str]
    below: Below | None = None
    is_said: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A line after which it is certain that something failed, though it never says why.

    The group `failed` names a test of `tool`: then another one's output is no cause.
    """

    tool: str
    key: str
    pattern: re.Pattern[str]


def rule(
    tool: str, kind: FailureKind, weight: int, key: str, pattern: str, below: Below | None = None
) -> Rule:
    """A rule in one line."""
    return Rule(
        tool=tool, kind=kind, weight=weight, key=key, pattern=re.compile(pattern), below=below
    )


def sign(tool: str, key: str, pattern: str) -> Sign:
    """A sign in one line."""
    return Sign(tool=tool, key=key, pattern=re.compile(pattern))
