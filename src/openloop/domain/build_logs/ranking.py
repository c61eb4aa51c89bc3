"""Which of the lines that may be the cause is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from openloop.domain.build_logs.analysis import Analysis, Excerpt, FailureKind
from openloop.domain.build_logs.excerpts import excerpt_of
from openloop.domain.build_logs.rule import CERTAIN, POSSIBLE, PROVED
from openloop.domain.build_logs.step import EXIT_KINDS, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.build_logs.sighting import Clue
    from openloop.domain.build_logs.step import Step
    from openloop.domain.redaction import Redactor

_MOST_EXCERPTS: Final = 4
_FIRST_BYTES: Final = 3500
_OTHER_BYTES: Final = 1500
_NEAR: Final = 60
_FAR: Final = 400
_UNSAID: Final = 10
"""The score of a test that passed."""


def rank(
    steps: Sequence[Step],
    *,
    line_count: int,
    has_steps: bool,
    ended_well: int,
    redactor: Redactor | None,
) -> Analysis:
    """Choose excerpts, the likeliest first; none where nothing says that the job failed."""
    failed = [step for step in steps if step.last_sign > ended_well]
    if not failed and not has_steps and not ended_well:
        failed = [_cut_short(step, line_count) for step in steps]
    scored = [
        (score, -clue.number, step, clue)
        for step in failed
        for score, clue in _scored(step, is_exit=_is_exit(step, failed))
    ]
    scored.sort(key=lambda each: each[:2], reverse=True)
    excerpts: list[Excerpt] = []
    least = max(_UNSAID + 1, scored[0][0] * 6 // 10) if scored else 0
    for score, _, step, clue in scored:
        if len(excerpts) == _MOST_EXCERPTS or score < least:
            break
        if any(_tells(excerpt, clue) for excerpt in excerpts):
            continue
        room = _OTHER_BYTES if excerpts else _FIRST_BYTES
        excerpts.append(excerpt_of(clue, step, room=room, redactor=redactor))
    return Analysis(excerpts=tuple(excerpts), line_count=line_count)


def _is_exit(step: Step, failed: Sequence[Step]) -> bool:
    return step.exit_code is not None or all(each.exit_code is None for each in failed)


def _cut_short(step: Step, line_count: int) -> Step:
    """A log of one program may end with its error and nothing after it: that is a sign as well."""
    step.keep_strong_from(line_count - _NEAR)
    step.last_sign = line_count
    return step


def _scored(step: Step, *, is_exit: bool) -> Iterator[tuple[int, Clue]]:
    for clue in step.all_clues:
        if clue.number > step.last_sign:
            continue
        yield _score(clue, step) - (0 if is_exit else 30), clue


def _score(clue: Clue, step: Step) -> int:
    score = clue.weight
    if clue.weight < CERTAIN and step.has_passed(clue.tool, clue.subject):
        return _UNSAID
    if clue.kind is not FailureKind.TEST and clue.tool != "go" and _has_failing_test(step):
        score -= 10
    if step.exit_code is not None and EXIT_KINDS.get(step.exit_code) is clue.kind:
        score += 40
    distance = step.last_sign - clue.number
    if clue.weight <= POSSIBLE:
        score += 15 if distance <= _NEAR else -20 if distance > _FAR else 0
    elif clue.weight < CERTAIN and distance > _FAR:
        score -= 12
    return score


def _has_failing_test(step: Step) -> bool:
    """Then everything before ran: what else went wrong was printed by a test."""
    return any(
        clue.kind is FailureKind.TEST and clue.weight >= PROVED and clue.number <= step.last_sign
        for clue in step.clues
    )


def _tells(excerpt: Excerpt, clue: Clue) -> bool:
    return any(line.number == clue.number for line in excerpt.lines) or (
        clue.subject is not None
        and excerpt.subject is not None
        and short(clue.subject.text) == short(excerpt.subject)
    )
