"""Runs: the work an agent does for one request, and the states it passes through."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from openloop.domain.audit import Who
from openloop.domain.ids import AgentId, ConversationId, RevisionId, RunId
from openloop.domain.surface import Actor


class RunState(StrEnum):
    """queued -> working <-> waiting -> done | failed | cancelled; declined was never started."""

    QUEUED = "queued"
    WORKING = "working"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DECLINED = "declined"

    @property
    def is_over(self) -> bool:
        """True once nothing more can happen to the run."""
        return self not in (RunState.QUEUED, RunState.WORKING, RunState.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as its row says. Costs are US dollars."""

    id: RunId
    conversation_id: ConversationId
    agent_id: AgentId
    revision_id: RevisionId
    state: RunState
    requested_by: Actor
    request: str
    request_link: str
    outcome: str
    error_code: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancel_asked_by: Who | None = None
