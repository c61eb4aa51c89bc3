"""Completeness of the audit: every effect has its events, and every event of an effect has its effect.

The rows of effects (steps, approvals, ops of the outbox) are not part of the chain; what the chain
says of them is held against them here, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.approval import ApprovalState
from openloop.domain.audit_chain import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OVER = frozenset({"done", "failed", "cancelled", "declined"})
OUTCOMES = frozenset({"effect.done", "effect.failed", "effect.unknown"})
LEAVES_US = frozenset({"write", "destroy"})
PASSING = frozenset({"SetStatus"})
"""Ops that say only that somebody is at work: they come and go without an event."""

USED = frozenset(
    {
        ApprovalState.EXECUTING,
        ApprovalState.EXECUTED,
        ApprovalState.FAILED,
        ApprovalState.UNKNOWN,
    }
)
_AGREED = ("approval.approved", "glass.broken")
DECIDED: dict[str, tuple[tuple[str, ...], ...]] = {
    ApprovalState.DENIED: (("approval.denied",),),
    ApprovalState.EXPIRED: (("approval.expired",),),
    ApprovalState.WITHDRAWN: (("approval.withdrawn",),),
    ApprovalState.STALE: (("approval.stale",),),
    ApprovalState.APPROVED: (_AGREED,),
    ApprovalState.EXECUTING: (_AGREED,),
    ApprovalState.EXECUTED: (_AGREED, ("effect.done", "approval.confirmed", "budget.extended")),
    ApprovalState.FAILED: (_AGREED, ("effect.failed",)),
    ApprovalState.UNKNOWN: (_AGREED, ("effect.unknown",)),
}
"""The events by which an approval came into its state: one of each group has to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFact:
    """A tool step that changes something outside. `outcome` is empty where its payload is gone."""

    seq: int
    name: str
    effect: str
    state: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFact:
    """A held call. `card` is the op that asked people about it, alone or with others."""

    id: str
    step_seq: int
    hash: str
    state: str
    is_parked: bool
    card: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpFact:
    """Something that was put into the outbox, by the transaction `xid` (None: by an older release)."""

    id: str
    op: str
    approval_id: str | None
    xid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """An event of the run."""

    id: int
    xid: str
    kind: str
    subject: str | None
    step: int | None
    hash: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run with everything that it did to the world, and every event about it."""

    id: str
    state: str
    steps: Sequence[StepFact]
    approvals: Sequence[ApprovalFact]
    ops: Sequence[OpFact]
    events: Sequence[EventFact]


def check(run: RunFacts) -> list[Finding]:
    """What is missing on either side."""
    return [
        *_check_run(run),
        *_check_steps(run),
        *_check_approvals(run),
        *_check_ops(run),
        *_check_events(run),
    ]


def _check_run(run: RunFacts) -> Iterator[Finding]:
    kinds = [event.kind for event in run.events if event.subject == run.id]
    if "run.queued" not in kinds:
        yield _unrecorded(run, "request", "The audit does not say who asked for it")
    ends = [kind for kind in kinds if kind.removeprefix("run.") in OVER]
    wanted = [f"run.{run.state}"] if run.state in OVER else []
    if ends != wanted:
        said = ", ".join(ends) or "nothing"
        yield _unrecorded(run, "end", f"It is {run.state}, and of its end is on record: {said}")


def _check_steps(run: RunFacts) -> Iterator[Finding]:
    held = {approval.step_seq for approval in run.approvals}
    used = {approval.step_seq for approval in run.approvals if approval.state in USED}
    for step in run.steps:
        yield from _check_outcome(run, step)
        if not _was_begun(step, is_held=step.seq in held, is_used=step.seq in used):
            continue
        kinds = {event.kind for event in run.events if event.step == step.seq}
        where = f"step {step.seq}"
        if "effect.intended" not in kinds:
            yield _unrecorded(run, where, f"The audit does not say that {step.name} was intended")
        if step.state == "finished" and not kinds & OUTCOMES:
            yield _unrecorded(run, where, f"The audit does not say what came of {step.name}")


def _check_outcome(run: RunFacts, step: StepFact) -> Iterator[Finding]:
    kinds = {event.kind for event in run.events if event.step == step.seq}
    happened = step.state == "finished" and step.outcome in {"done", ""}
    if "effect.done" in kinds and not happened:
        told = f"effect.done is on record, and {step.name} is {step.state} {step.outcome}".rstrip()
        yield _missing(run, f"step {step.seq}", told)
    if "effect.failed" in kinds and step.outcome == "done":
        told = f"effect.failed is on record, and {step.name} is done"
        yield _missing(run, f"step {step.seq}", told)


def _was_begun(step: StepFact, *, is_held: bool, is_used: bool) -> bool:
    if step.effect not in LEAVES_US or step.state == "held":
        return False
    if step.state == "started":
        return True
    return is_used if is_held else step.outcome != "refused"


def _check_approvals(run: RunFacts) -> Iterator[Finding]:
    cards = {op.id for op in run.ops} | {op.approval_id for op in run.ops if op.op == "Ask"}
    for approval in run.approvals:
        events = [event for event in run.events if event.subject == approval.id]
        kinds = {event.kind for event in events}
        where = f"approval {approval.id}"
        if "approval.asked" not in kinds:
            yield _unrecorded(run, where, "The audit does not say that it was asked for")
        elif approval.hash not in {event.hash for event in events}:
            yield _unrecorded(run, where, "The audit does not know the bytes that it is about")
        if not all(kinds.intersection(group) for group in DECIDED.get(approval.state, ())):
            yield _unrecorded(run, where, f"The audit does not say how it became {approval.state}")
        if "effect.done" in kinds and approval.state != ApprovalState.EXECUTED:
            yield _missing(run, where, f"effect.done is on record, and it is {approval.state}")
        if not approval.is_parked and not {approval.id, approval.card} & cards:
            yield _missing(run, where, "It is on record, and the card that asked is not there")


def _check_ops(run: RunFacts) -> Iterator[Finding]:
    """Each message belongs to an event of its own transaction, or to an approval that is on record."""
    written_in = {event.xid for event in run.events}
    subjects = {event.subject for event in run.events}
    for op in run.ops:
        if op.op in PASSING or op.xid is None or op.xid in written_in or op.approval_id in subjects:
            continue
        yield _unrecorded(
            run, f"message {op.id}", f"The audit does not say why this {op.op} was sent"
        )


def _check_events(run: RunFacts) -> Iterator[Finding]:
    """The other way round: what the chain tells of effects has to be there."""
    steps = {step.seq for step in run.steps if step.effect in LEAVES_US}
    approvals = {approval.id for approval in run.approvals}
    says = any(op.op == "Say" for op in run.ops)
    for event in run.events:
        family, where = event.kind.partition(".")[0], f"event {event.id}"
        if family == "effect" and event.step is not None and event.step not in steps:
            yield _missing(
                run, where, f"{event.kind} is on record, and step {event.step} is not there"
            )
        if family == "approval" and event.subject not in approvals:
            yield _missing(run, where, f"{event.kind} is on record, and the approval is not there")
        if event.kind == "run.done" and event.outcome == "answered" and not says:
            yield _missing(run, where, "It says that the run was answered, and no answer is there")


def _unrecorded(run: RunFacts, where: str, message: str) -> Finding:
    return Finding(kind="effect_unrecorded", where=f"run {run.id}, {where}", message=message)


def _missing(run: RunFacts, where: str, message: str) -> Finding:
    return Finding(kind="effect_missing", where=f"run {run.id}, {where}", message=message)
