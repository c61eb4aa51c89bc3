"""Headings whose cause stands some lines below them, one for each program that writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import CERTAIN, LIKELY

if TYPE_CHECKING:
    from openloop.domain.build_logs.rule import Below, Rule
    from openloop.domain.build_logs.showing import Part
    from openloop.domain.build_logs.sighting import Sighting
    from openloop.domain.build_logs.step import Step

_LESS: Final = 20
"""A heading below which no cause was found weighs so much less: it says what, and not why."""

_ABOUT: Final = (
    (FailureKind.DEPENDENCY, r"(?:.*\.)?(?:ModuleNotFoundError|ImportError|NoClassDefFound)"),
    (FailureKind.OUT_OF_MEMORY, r"(?:.*\.)?(?:MemoryError|OutOfMemoryError)"),
    (FailureKind.TIMEOUT, r"(?:.*\.)?(?:Timeout\w*(?:Error|Exception|Expired))"),
    (
        FailureKind.NETWORK,
        r"(?:.*\.)?(?:Connect\w*(?:Error|Exception)|gaierror|SSL\w*Error|URLError)",
    ),
    (FailureKind.PERMISSION, r"(?:.*\.)?PermissionError"),
)
_KINDS: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _ABOUT)


@dataclass(slots=True)
class _Open:
    rule: Rule
    below: Below
    line: Sighting
    subject: Part | None
    left: int
    is_searching: bool


class Headings:
    """Which headings are open; what is found below them is noted in the step."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    @property
    def are_open(self) -> bool:
        """Whether the next line is needed, whatever stands in it."""
        return bool(self._open)

    def open(self, rule: Rule, line: Sighting, subject: Part | None, step: Step) -> None:
        """Begin to look for the cause, unless the heading is part of what another one announced.

        That is so where a failing test prints what looks like a heading.
        """
        assert rule.below is not None  # noqa: S101  # that makes it a heading
        outer = self._open.get(line.stream)
        if outer is not None and outer.rule.tool != rule.tool and rule.weight <= outer.rule.weight:
            return
        self.close(line.stream, step)
        self._open[line.stream] = _Open(
            rule=rule,
            below=rule.below,
            line=line,
            subject=subject,
            left=rule.below.lines,
            is_searching=rule.below.subject is None,
        )

    def read(self, line: Sighting, step: Step) -> bool:
        """Look at a line below a heading of the same program; True where it is nothing else."""
        found = self._open.get(line.stream)
        if found is None:
            return False
        below = found.below
        found.left -= 1
        if below.subject is not None and (entry := below.subject.match(line.text)):
            _settle(found, step)
            found.line, found.subject = line, line.part(entry["subject"])
            found.is_searching, found.left = True, below.lines
            return True
        if found.is_searching and (cause := below.cause.match(line.text)):
            _note(found, line, cause, step)
            found.is_searching = False
            if below.subject is None:
                del self._open[line.stream]
            return True
        if found.left <= 0 or (below.until is not None and below.until.match(line.text)):
            self.close(line.stream, step)
        return False

    def close(self, stream: str, step: Step) -> None:
        """Stop looking below the heading of one program."""
        found = self._open.pop(stream, None)
        if found is not None:
            _settle(found, step)

    def close_all(self, step: Step) -> None:
        """Stop looking."""
        for stream in tuple(self._open):
            self.close(stream, step)


def _note(found: _Open, line: Sighting, cause: re.Match[str], step: Step) -> None:
    rule = found.rule
    if "subject" in cause.re.groupindex:  # the line only says where: the heading is the cause
        step.note(found.line, rule.kind, CERTAIN, rule.tool, line.part(cause["subject"]))
        return
    weight = CERTAIN if rule.weight >= LIKELY else rule.weight
    step.note(line, _kind_of(line.text, rule.kind), weight, rule.tool, found.subject)


def _settle(found: _Open, step: Step) -> None:
    is_entry = found.below.subject is None or found.subject is not None
    if found.is_searching and is_entry:
        rule = found.rule
        weight = rule.weight - _LESS if rule.weight >= LIKELY else rule.weight
        step.note(found.line, rule.kind, weight, rule.tool, found.subject)


def _kind_of(text: str, kind: FailureKind) -> FailureKind:
    """What an exception is about, where nothing but a traceback was recognised."""
    if kind is not FailureKind.CRASH:
        return kind
    return next((about for about, pattern in _KINDS if pattern.match(text)), kind)
