"""Reads a build log once and notes what may be the cause; `ranking` decides between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.headings import Headings
from openloop.domain.build_logs.index import BY_WORD
from openloop.domain.build_logs.ranking import rank
from openloop.domain.build_logs.reading import Reader
from openloop.domain.build_logs.rule import LIKELY, VAGUE, Rule
from openloop.domain.build_logs.sighting import sight
from openloop.domain.build_logs.step import EXIT_KINDS, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openloop.domain.build_logs.analysis import Analysis
    from openloop.domain.build_logs.showing import Part
    from openloop.domain.build_logs.sighting import Sighting
    from openloop.domain.redaction import Redactor

_ALWAYS_READ: Final = 20_000
_BYTES_PER_LINE: Final = 48
"""A log that suspects more lines than that was made for it: of the rest only the steps are read."""
_STEPS_KEPT: Final = 50
_SAY_IT_ALONE: Final = (124, 137)
"""Statuses of programs that were ended from outside, often without another word."""

_GROUP, _END_OF_GROUP, _ERROR = "##[group]", "##[endgroup]", "##[error]"
_EXIT = re.compile(r"(?:Error: )?Process completed with exit code (?P<code>\d{1,3})")
_SUMMARY = re.compile(r"(?:Error: )?(?:Process completed|The process '.*failed with exit code)")
_ACTION = re.compile(r"(?:\./|[\w.-]{1,100}/)[\w./-]{1,200}(?:@\S+)?$")
_QUOTED = re.compile(r"##\[(?:warning|notice|debug|command)\]|\[command\]|\+{1,3} |::\w+")
"""Commands as they are echoed, and what the runner itself calls less than an error."""
_GO_TEST = re.compile(r"=== (?:RUN|CONT|NAME) +(?P<subject>\S+)")
_ENDED_WELL = re.compile(r"Job succeeded|Finished: SUCCESS|The command .*exited with 0\.")


def analyse(chunks: Iterable[bytes], redactor: Redactor | None = None) -> Analysis:
    """Find the lines that say why a job failed; none where it did not, or where they are not here.

    The log comes in pieces of any size, and bytes that are no UTF-8 do not matter. Time grows with
    the log, memory does not. What the redactor knows is not shown, and tokens never are.
    """
    analyser, reader = _Analyser(), Reader(chunks)
    lines_left = _ALWAYS_READ
    for picked in reader.lines(lambda: analyser.wants_next):
        lines_left -= 1
        has_room = lines_left + reader.bytes_read // _BYTES_PER_LINE > 0
        if has_room or "##[" in (picked.words or ()):
            analyser.read(sight(picked))
    return rank(
        analyser.steps,
        line_count=reader.line_count,
        has_steps=analyser.has_steps,
        ended_well=analyser.ended_well,
        redactor=redactor,
    )


class _Analyser:
    def __init__(self) -> None:
        self.steps = [Step(name=None)]
        self.has_steps = False
        self.ended_well = 0
        self._headings = Headings()
        self._group: tuple[int, Part] | None = None
        self._go_test: Part | None = None

    @property
    def wants_next(self) -> bool:
        return self._headings.are_open

    def read(self, line: Sighting) -> None:
        if self._is_of_runner(line) or _QUOTED.match(line.text):
            return
        if line.text.startswith(_ERROR):
            self._read_error(line)
        elif not self._headings.read(line, self.steps[-1]):
            self._match(line)

    def _is_of_runner(self, line: Sighting) -> bool:
        """Groups, which begin steps: GitHub's runner prints one before each, with what it runs.

        A program may print groups too. The runner's own says which action it is, or which shell.
        """
        text = line.text
        if text.startswith(_GROUP):
            self.has_steps = True
            _, is_run, name = text.partition(f"{_GROUP}Run ")
            self._group = (line.number, line.part(name)) if is_run else None
            if is_run and _ACTION.match(name):
                self._begin_step(line.number, line.part(name))
            return True
        if text.startswith(_END_OF_GROUP):
            self.has_steps = True
            step = self.steps[-1]
            if self._group == (step.first, step.name):
                step.forget_from(step.first)
            self._group = None
            return True
        if self._group is not None and text.startswith("shell: "):
            self._begin_step(*self._group)
            return True
        return False

    def _begin_step(self, number: int, name: Part) -> None:
        last = self.steps[-1]
        self._headings.close_all(last)
        if last.last_sign:
            last.forget_from(number)
        else:  # it went well: what it printed explains nothing
            self.steps.pop()
        self.steps.append(Step(name=name, first=number))
        del self.steps[:-_STEPS_KEPT]

    def _read_error(self, line: Sighting) -> None:
        """An error that the runner itself shows: the end of a step, or what its action says."""
        step = self.steps[-1]
        self.has_steps = True
        self._headings.close_all(step)
        line.text = line.text.removeprefix(_ERROR)
        if exited := _EXIT.match(line.text):
            step.exit_code = int(exited["code"])
            if step.exit_code in _SAY_IT_ALONE:
                step.note(line, EXIT_KINDS[step.exit_code], VAGUE, "runner", None)
        if not _SUMMARY.match(line.text) and not self._match(line):
            step.note(line, FailureKind.OTHER, LIKELY - 5, "runner", None)
        step.last_sign = line.number

    def _match(self, line: Sighting) -> bool:
        """Find what a line stands for, and note it; False where it may not be a cause."""
        text, lowered = line.text, line.lowered
        best: tuple[Rule, re.Match[str]] | None = None
        for word in line.words:
            keyed, any_of, others = BY_WORD[word]
            possible = [each for key, each in keyed if key in lowered]
            if any_of.match(text):
                possible += others
            for each in possible:
                if isinstance(each, Rule) and best is not None and best[0].weight >= each.weight:
                    continue
                match = each.pattern.match(text)
                if match is None:
                    continue
                if isinstance(each, Rule):
                    best = (each, match)
                else:
                    self._sign(each.tool, match.groupdict().get("failed"), line)
        if best is None:
            self._remember(line)
            return False
        rule, match = best
        subject = match.groupdict().get("subject")
        self._note(rule, line.part(subject) if subject else None, line)
        return True

    def _note(self, rule: Rule, subject: Part | None, line: Sighting) -> None:
        step = self.steps[-1]
        if rule.tool == "go" and subject is None:
            subject = self._go_test
        if rule.below is not None:
            self._headings.open(rule, line, subject, step)
        elif rule.is_said and subject is not None:
            step.hear(line, rule.kind, rule.weight, rule.tool, subject)
        else:
            step.note(line, rule.kind, rule.weight, rule.tool, subject)

    def _sign(self, tool: str, failed: str | None, line: Sighting) -> None:
        step = self.steps[-1]
        if failed:
            step.note_failed(tool, failed)
        if not self.has_steps:
            step.last_sign = line.number

    def _remember(self, line: Sighting) -> None:
        """What is no cause, and yet has to be known later."""
        if run := _GO_TEST.match(line.text):
            self._go_test = line.part(run["subject"])
        elif _ENDED_WELL.match(line.text):
            self.ended_well = line.number
