"""What the analysis of a build log says: a few excerpts with their line numbers, likeliest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_BYTES = 8 * 1024
"""All excerpts of an analysis together, as `Excerpt.text` writes them."""


class FailureKind(StrEnum):
    """What went wrong, as far as the log says."""

    TEST = "test"
    COMPILE = "compile"
    LINT = "lint"
    DEPENDENCY = "dependency"
    DOCKER = "docker"
    NETWORK = "network"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    PERMISSION = "permission"
    CONFIGURATION = "configuration"
    GIT = "git"
    CRASH = "crash"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as a person would read it: no timestamp, no colours; the first line has number 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Lines around one that may be the cause.

    `cause` is the number of that line. `subject` is what it is about where the log says so: the id
    of a test, or `file:line`. `step` is the command of the step, where the log has steps. The lines
    ascend and may leave some out.
    """

    kind: FailureKind
    cause: int
    subject: str | None
    step: str | None
    lines: Sequence[LogLine]

    @property
    def causal_text(self) -> str:
        """The causal line itself."""
        return next(line.text for line in self.lines if line.number == self.cause)

    @property
    def text(self) -> str:
        """The lines with their numbers; the causal one is marked, and gaps are shown."""
        width = len(str(self.lines[-1].number))
        written: list[str] = []
        before = self.lines[0].number - 1
        for line in self.lines:
            if line.number != before + 1:
                written.append("...")
            mark = ">" if line.number == self.cause else " "
            written.append(f"{mark}{line.number:>{width}} {line.text}".rstrip())
            before = line.number
        return "\n".join(written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What is known about a log of so many lines. Without excerpts, no cause was found in it."""

    excerpts: Sequence[Excerpt]
    line_count: int

    @property
    def cause(self) -> Excerpt | None:
        """The likeliest one."""
        return self.excerpts[0] if self.excerpts else None
