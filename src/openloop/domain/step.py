"""The journal of a run: each step is written before it starts and after it ended."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openloop.domain.ids import RunId
from openloop.domain.tool import Effect


class StepKind(StrEnum):
    """What a step did: gathered the context, asked a model, or called a tool."""

    CONTEXT = "context"
    MODEL = "model"
    TOOL = "tool"


class StepState(StrEnum):
    """held: waits for people. started: may have happened. finished: is on record, never repeated."""

    HELD = "held"
    STARTED = "started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of the journal. `rule` names what the gate decided by."""

    run_id: RunId
    seq: int
    kind: StepKind
    state: StepState
    epoch: int
    name: str = ""
    effect: Effect | None = None
    rule: str = ""
    input: dict[str, Any] = field(default_factory=dict[str, Any])
    output: dict[str, Any] | None = None
    started_at: datetime
    finished_at: datetime | None = None

    @property
    def key(self) -> str:
        """The idempotency key of what this step does to the world."""
        return f"{self.run_id}:{self.seq}"
