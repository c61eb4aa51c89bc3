"""Approvals: a held call, who may decide it, and what a decision makes of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from openloop.domain.errors import AlreadyDecided, Expired, NotAnApprover, OwnEdit, OwnRequest
from openloop.domain.ids import ApprovalId, ConversationId, PrincipalId, RunId
from openloop.domain.surface import Actor, Card
from openloop.domain.verdict import Demand


class ApprovalState(StrEnum):
    """pending -> approved | denied | expired | withdrawn | stale; approved -> executing | stale
    | pending (a vote counts no more); executing -> executed | failed | unknown | approved (nothing
    was sent); unknown -> approved (retry) | executed (it happened).
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
GLASS_HOURS = 1
"""How long a broken glass lets a call run without the people who had to agree."""
VoteKind = Literal["approve", "deny", "retry", "happened", "break_glass"]
Parked = Literal["", "batch", "run", "approvers"]

AFTER: dict[tuple[ApprovalState, Decision], ApprovalState] = {
    (ApprovalState.PENDING, "approve"): ApprovalState.APPROVED,
    (ApprovalState.PENDING, "deny"): ApprovalState.DENIED,
    (ApprovalState.UNKNOWN, "retry"): ApprovalState.APPROVED,
    (ApprovalState.UNKNOWN, "happened"): ApprovalState.EXECUTED,
}
"""What a decision that counts leads to, once enough people have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A principal, and what is true of them now.

    `references` are those of the approval's demands (`@maintainers`) that mean this person. To be
    named is not enough: the role `approver` makes a vote of what they say, on every surface.
    """

    principal_id: PrincipalId
    name: str
    references: frozenset[str]
    is_approver: bool
    is_active: bool = True
    is_requester: bool = False
    is_owner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What somebody said about one round of an approval (an edit begins the next), and one attempt."""

    principal_id: PrincipalId
    decision: VoteKind
    round: int
    attempt: int = 1
    via: str
    voted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How far one demand has come."""

    demand: Demand
    given: int

    @property
    def is_met(self) -> bool:
        """True once enough different people have approved."""
        return self.given >= self.demand.quorum


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A held tool call. `arguments` are the canonical bytes that were shown and that will run.

    `round` counts the versions of the bytes, and `attempt` how often people are asked to let them run:
    a lost answer begins the next. A vote is for one of each, and carries over to no other. `parked` says why nobody was
    asked by a card; the call waits in the inbox. `card_id` names the card it shares with others.
    """

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
    demands: tuple[Demand, ...]
    may_edit: bool = True
    solo_mode: bool
    rule: str
    state: ApprovalState
    asked_at: datetime
    expires_at: datetime
    round: int = 1
    attempt: int = 1
    edited_by: PrincipalId | None = None
    escalated: int = 0
    parked: Parked = ""
    card_id: UUID | None = None
    told: tuple[PrincipalId, ...] = ()
    decided_by: PrincipalId | None = None
    decided_at: datetime | None = None
    reason: str = ""
    result: dict[str, object] | None = None

    @property
    def approvers(self) -> tuple[str, ...]:
        """Everybody whom a demand names from the start, as references of the manifest."""
        return tuple(dict.fromkeys(ref for demand in self.demands for ref in demand.approvers))

    @property
    def references(self) -> tuple[str, ...]:
        """The same, with those who may decide only later."""
        later = (ref for d in self.demands for stage in d.escalation for ref in stage.approvers)
        return tuple(dict.fromkeys((*self.approvers, *later)))

    def may_count(self, voter: Voter, demand: Demand, *, at: datetime) -> bool:
        """True where a vote of this person counts for a demand at this time."""
        return (
            voter.is_active
            and voter.is_approver
            and voter.principal_id != self.edited_by
            and (not voter.is_requester or self.solo_mode or not demand.not_requester)
            and not voter.references.isdisjoint(self.approvers_of(demand, at=at))
        )

    def approvers_of(self, demand: Demand, *, at: datetime) -> tuple[str, ...]:
        """Who may decide for a demand at this time: with every escalation that is due."""
        due = (
            stage.approvers
            for stage in demand.escalation
            if at >= self.asked_at + timedelta(hours=stage.after_hours)
        )
        return (*demand.approvers, *(ref for stage in due for ref in stage))

    def escalations(self) -> list[tuple[datetime, tuple[str, ...]]]:
        """When further people may decide, and who; the earliest first, each time once."""
        stages: dict[int, list[str]] = {}
        for stage in (each for demand in self.demands for each in demand.escalation):
            stages.setdefault(stage.after_hours, []).extend(stage.approvers)
        return [
            (self.asked_at + timedelta(hours=hours), tuple(dict.fromkeys(stages[hours])))
            for hours in sorted(stages)
        ]

    def next_look_at(self) -> datetime:
        """When somebody has to look at this again while it is pending."""
        later = [at for at, _ in self.escalations()[self.escalated :]]
        return min((*later, self.expires_at))

    def is_asked_in(self, vote: Vote) -> bool:
        """True where a vote is about these bytes, and this attempt to let them run."""
        return (vote.round, vote.attempt) == (self.round, self.attempt)

    def renewed(self, *, at: datetime) -> "Approval":
        """The same, for somebody who wants it tried again: what was said too long ago is void."""
        if self.state is ApprovalState.UNKNOWN and at >= self.expires_at:
            return replace(self, attempt=self.attempt + 1)
        return self

    def count(self, votes: Iterable[tuple[Vote, Voter]], *, at: datetime) -> tuple[Count, ...]:
        """How many different people let this very attempt run, demand by demand, as things are now."""
        approving = [
            voter
            for vote, voter in votes
            if vote.decision in ("approve", "retry") and self.is_asked_in(vote)
        ]
        return tuple(
            Count(
                demand=demand,
                given=len({v.principal_id for v in approving if self.may_count(v, demand, at=at)}),
            )
            for demand in self.demands
        )

    def is_carried(self, votes: Iterable[tuple[Vote, Voter]], *, at: datetime) -> bool:
        """True where every demand is met, or an owner has just broken the glass for this round."""
        given = list(votes)
        broken = any(
            vote.decision == "break_glass"
            and self.is_asked_in(vote)
            and at < vote.voted_at + timedelta(hours=GLASS_HOURS)
            and voter.is_active
            and voter.is_owner
            for vote, voter in given
        )
        counts = self.count(given, at=at)
        return broken or (bool(counts) and all(count.is_met for count in counts))

    def check_voter(self, by: Voter, *, at: datetime) -> None:
        """Refuse whoever has no say in this.

        Raises:
            NotAnApprover, OwnRequest, OwnEdit
        """
        named = [
            demand
            for demand in self.demands
            if not by.references.isdisjoint(self.approvers_of(demand, at=at))
        ]
        if not (by.is_active and named):
            message = f"Only {', '.join(self.approvers)} may decide this"
            raise NotAnApprover(message)
        if not by.is_approver:
            message = "You are named to decide this, and do not have the role 'approver'"
            raise NotAnApprover(message)
        if by.principal_id == self.edited_by:
            message = "You edited this last, so somebody else has to decide it"
            raise OwnEdit(message)
        if not any(self.may_count(by, demand, at=at) for demand in named):
            message = "You asked for this, so somebody else has to decide it"
            raise OwnRequest(message)

    def check_open(self, *, at: datetime) -> None:
        """Refuse what is decided already, or was not decided in time.

        Raises:
            AlreadyDecided, Expired
        """
        if self.state is not ApprovalState.PENDING:
            message = f"This is not open any more: it is {self.state}"
            raise AlreadyDecided(message)
        if at >= self.expires_at:
            message = "This was not decided in time and has expired"
            raise Expired(message)

    def decide(
        self,
        decision: Decision,
        *,
        by: Voter,
        at: datetime,
        votes: Iterable[tuple[Vote, Voter]] = (),
    ) -> ApprovalState:
        """The state after this person's decision, beside the votes that were given before.

        Order of the checks: who, then whether it is still open; a stranger learns nothing about
        the state of an approval. One person who denies is enough, and one who knows that it happened.
        To let it run, for the first time or again, takes everybody who is demanded.

        Raises:
            NotAnApprover, OwnRequest, OwnEdit, AlreadyDecided, Expired
        """
        self.check_voter(by, at=at)
        after = AFTER.get((self.state, decision))
        if after is None:
            message = f"This is not open any more: it is {self.state}"
            raise AlreadyDecided(message)
        if self.state is ApprovalState.PENDING:
            self.check_open(at=at)
        if decision not in ("approve", "retry"):
            return after
        own = self.vote_of(by, decision, at=at)
        return after if self.is_carried((*votes, (own, by)), at=at) else self.state

    def vote_of(self, by: Voter, decision: Decision, *, at: datetime) -> Vote:
        """What this person says now, about what they are asked."""
        return Vote(
            principal_id=by.principal_id,
            decision=decision,
            round=self.round,
            attempt=self.attempt,
            via="",
            voted_at=at,
        )
