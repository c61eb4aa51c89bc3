"""What was noticed in one step of a job: lines that may be the cause, and whether it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import LIKELY, POSSIBLE, PROVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.build_logs.showing import Part
    from openloop.domain.build_logs.sighting import Clue, Sighting

EXIT_KINDS: Final = {
    124: FailureKind.TIMEOUT,
    126: FailureKind.PERMISSION,
    127: FailureKind.CONFIGURATION,
    137: FailureKind.OUT_OF_MEMORY,
}
"""What an exit status says by itself."""

_OF_ONE_SORT: Final = 6
_OF_ALL: Final = 120
_VAGUE_KEPT: Final = 40
_BURST: Final = 12
"""Vague lines that follow each other this closely are one event, and the first begins it."""
_FAILED_KEPT: Final = 500
_SAID_KEPT: Final = 200
_SEPARATORS: Final = re.compile(r"::|[.\s>\u203a(]+")


@dataclass(slots=True, kw_only=True)
class Step:
    """A step while it is read. Of what repeats, the first few are kept, of what is vague the last."""

    name: Part | None
    first: int = 1
    last_sign: int = 0
    exit_code: int | None = None
    clues: list[Clue] = field(default_factory=list["Clue"])
    _vague: list[Clue] = field(default_factory=list["Clue"])
    _said: dict[tuple[str, str], Clue] = field(default_factory=dict[tuple[str, str], "Clue"])
    _failed: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _counts: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    _last_vague: int = -_BURST

    @property
    def all_clues(self) -> Sequence[Clue]:
        """Whatever was kept."""
        return (*self.clues, *self._vague, *self._said.values())

    def note(
        self, line: Sighting, kind: FailureKind, weight: int, tool: str, subject: Part | None
    ) -> None:
        """Keep a line that may be the cause, unless there are enough of its sort."""
        if weight < POSSIBLE:
            is_first = line.number - self._last_vague >= _BURST
            self._last_vague = line.number
            if is_first:
                clue = line.clue(kind=kind, weight=weight, tool=tool, subject=subject)
                self._vague.append(clue)
                del self._vague[:-_VAGUE_KEPT]
        elif self._has_room_for(tool, weight):
            clue = line.clue(kind=kind, weight=weight, tool=tool, subject=subject)
            self.clues.append(clue)

    def hear(
        self, line: Sighting, kind: FailureKind, weight: int, tool: str, subject: Part
    ) -> None:
        """Keep the first thing that a test says until it is known whether the test failed."""
        key = (tool, short(subject.text))
        if key in self._said:
            return
        self._said[key] = line.clue(kind=kind, weight=weight, tool=tool, subject=subject)
        if len(self._said) > _SAID_KEPT:
            del self._said[next(iter(self._said))]

    def note_failed(self, tool: str, subject: str) -> None:
        """Remember that a test failed; what it said before is the cause."""
        name = short(subject)
        said = self._said.pop((tool, name), None)
        if said is not None and self._has_room_for(tool, PROVED):
            self.clues.append(replace(said, kind=FailureKind.TEST, weight=PROVED))
        known = self._failed.setdefault(tool, set())
        if len(known) < _FAILED_KEPT:
            known.add(name)

    def has_passed(self, tool: str, subject: Part | None) -> bool:
        """Whether other tests of this tool are known to have failed, and not this one."""
        failed = self._failed.get(tool, set())
        if subject is None or not 0 < len(failed) < _FAILED_KEPT:
            return False
        return short(subject.text) not in failed

    def forget_from(self, number: int) -> None:
        """The lines from here on were the text of a command, not what it printed."""
        self.clues = [clue for clue in self.clues if clue.number < number]
        self._vague = [clue for clue in self._vague if clue.number < number]
        self._said = {key: clue for key, clue in self._said.items() if clue.number < number}

    def keep_strong_from(self, number: int) -> None:
        """Only what a tool said in its own words near the end can still be the cause."""
        self.clues = [
            clue for clue in self.clues if clue.number >= number and clue.weight >= LIKELY
        ]
        self._vague, self._said = [], {}

    def _has_room_for(self, tool: str, weight: int) -> bool:
        sort = (tool, weight)
        self._counts[sort] = self._counts.get(sort, 0) + 1
        return self._counts[sort] <= _OF_ONE_SORT and len(self.clues) < _OF_ALL


def short(subject: str) -> str:
    """A test's own name, with which every form of its id ends."""
    return next((part for part in reversed(_SEPARATORS.split(subject)) if part), subject)
