"""Approvals: a held call, who may decide it, and what a decision makes of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from openloop.domain.errors import AlreadyDecided, Expired, NotAnApprover, OwnRequest
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId
from openloop.domain.surface import Actor, Card


class ApprovalState(StrEnum):
    """pending -> approved | denied | expired | withdrawn; approved -> stale | executing;
    executing -> executed | failed | unknown; unknown -> approved (retry) | executed (it happened).
    """

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    STALE = "stale"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    UNKNOWN = "unknown"


Decision = Literal["approve", "deny", "retry", "happened"]

AFTER: dict[tuple[ApprovalState, Decision], ApprovalState] = {
    (ApprovalState.PENDING, "approve"): ApprovalState.APPROVED,
    (ApprovalState.PENDING, "deny"): ApprovalState.DENIED,
    (ApprovalState.UNKNOWN, "retry"): ApprovalState.APPROVED,
    (ApprovalState.UNKNOWN, "happened"): ApprovalState.EXECUTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """Somebody who clicks: a principal, and the ids that say whether they asked for this."""

    principal_id: PrincipalId
    name: str
    is_approver: bool
    is_requester: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A held tool call. `arguments` are the canonical bytes that were shown and that will run."""

    id: ApprovalId
    run_id: RunId
    step_seq: int
    conversation_id: ConversationId
    tool: str
    permission: str
    arguments: bytes
    preconditions: dict[str, object]
    hash: str
    card: Card
    requested_by: Actor
    approvers: tuple[str, ...]
    solo_mode: bool
    rule: str
    state: ApprovalState
    asked_at: datetime
    expires_at: datetime
    decided_by: PrincipalId | None = None
    decided_at: datetime | None = None
    reason: str = ""
    result: dict[str, object] | None = None

    def decide(self, decision: Decision, *, by: Voter, at: datetime) -> ApprovalState:
        """The state after this person's decision.

        Order of the checks: who, then whether it is still open; a stranger learns nothing about
        the state of an approval.

        Raises:
            NotAnApprover, OwnRequest, AlreadyDecided, Expired
        """
        if not by.is_approver:
            message = f"Only {', '.join(self.approvers)} may decide this"
            raise NotAnApprover(message)
        if by.is_requester and not self.solo_mode:
            message = "You asked for this, so somebody else has to decide it"
            raise OwnRequest(message)
        after = AFTER.get((self.state, decision))
        if after is None:
            message = f"This is not open any more: it is {self.state}"
            raise AlreadyDecided(message)
        if self.state is ApprovalState.PENDING and at >= self.expires_at:
            message = "This was not decided in time and has expired"
            raise Expired(message)
        return after
