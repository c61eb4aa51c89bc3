"""What becomes of a call: an approval is used up once, and every effect is on record both ways."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from openloop.actions import asking
from openloop.actions.calls import as_output
from openloop.actions.cards import in_doubt, redraw
from openloop.actions.elsewhere import note_opened
from openloop.actions.judged import Changed
from openloop.actions.voters import voters_of
from openloop.actions.waiting import reopen, void
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.domain.run import RunState
from openloop.domain.step import StepState
from openloop.domain.surface import Say
from openloop.domain.tool import ToolResult
from openloop.storage import approvals, audit, conversations, outbox, runs, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval, Vote, Voter
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import Thread
    from openloop.storage.database import Database, Transaction

TRIED = "tried"
LOST = (
    "was called, and its answer was lost: it may have happened. Please look before it is asked for "
    "again."
)
OUTCOMES = {"done": "effect.done", "unknown": "effect.unknown"}


async def begin(
    database: Database,
    configuration: Configuration,
    work: Work,
    run: Run,
    step: Step,
    approval: Approval,
    *,
    recheck: Callable[[Governing, Approval], Changed | None],
) -> Step:
    """Use up an approval and write the intent, in one transaction; then the bytes may run, once.

    `recheck` says why what was approved is not what would be decided now: then it is stale and asked
    anew, or finished where it would not even be asked. What is too late is finished, too. Where
    votes count no more it is open again. The returned step is still held in all other cases, also
    where somebody has asked the run to stop or paused its agent.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if (await runs.get(tx, run.id)).cancel_asked_by is not None:
            return step
        governing = await configuration.governing(tx, run.agent_id, run.revision_id)
        if governing.pause is not None:
            return step
        votes = await voters_of(tx, governing, run, approval)
        late = await _time_problem(tx, approval)
        if late is not None and was_tried(step):
            await reopen(tx, work, run, approval, after=ApprovalState.UNKNOWN, why=late)
            return step
        changed = Changed(reason=late) if late is not None else recheck(governing, approval)
        if changed is not None:
            return await void(tx, work, run, governing, step, approval, changed)
        solo = approval.solo_mode and governing.workspace.spec.solo_mode
        judged, now = replace(approval, solo_mode=solo), await tx.now()
        if not judged.is_carried(votes, at=now):
            after = ApprovalState.UNKNOWN if was_tried(step) else ApprovalState.PENDING
            why = _lost_votes(judged, votes, at=now)
            await reopen(tx, work, run, approval, after=after, why=why)
            return step
        if not await approvals.consume(tx, approval):
            raise LostClaim(f"Approval {approval.id} is not open any more")
        await audit.append(
            tx,
            workspace,
            "effect.intended",
            actor=work.agent,
            subject=approval.id,
            run_id=run.id,
            tool=approval.tool,
            hash=approval.hash,
            round=approval.round,
            attempt=approval.attempt,
            approved_by=[
                voter.name
                for vote, voter in votes
                if approval.is_asked_in(vote) and vote.decision != "deny"
            ],
            step=step.seq,
        )
        await runs.set_state(tx, run.id, RunState.WORKING)
        return await steps.rewrite(
            tx, workspace, step, state=StepState.STARTED, epoch=work.claim.epoch
        )


async def _time_problem(tx: Transaction, approval: Approval) -> str | None:
    """An approval is for its time only, and so is the decision to try it again."""
    if await tx.now() < approval.expires_at:
        return None
    return "it was approved in time, and it is too late to do it now"


def was_tried(step: Step) -> bool:
    """True for a call that was made before, and nobody could tell whether it happened."""
    return bool(step.input.get(TRIED))


def _lost_votes(approval: Approval, votes: Sequence[tuple[Vote, Voter]], *, at: datetime) -> str:
    """Why an approval is not carried any more, in words."""
    lost = {
        voter.name
        for vote, voter in votes
        if approval.is_asked_in(vote)
        and not any(approval.may_count(voter, demand, at=at) for demand in approval.demands)
    }
    if not lost:
        return "not enough people have approved it"
    return f"the vote of {', '.join(sorted(lost))} does not count any more"


async def finish(
    database: Database,
    work: Work,
    run: Run,
    step: Step,
    result: ToolResult,
    *,
    approval: Approval | None,
    opened: Thread | None = None,
) -> tuple[Step, OutboxRow | None]:
    """Record what a call came to, and say so on its card.

    `opened` is the thread that it has opened elsewhere.

    Raises:
        LostClaim
    """
    workspace = work.workspace
    row = None
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        output = _output(step, result, approval)
        if not await steps.finish(tx, run.id, step.seq, output=output):
            raise LostClaim(f"Step {step.key} is on record already")
        if approval is not None:
            happened = result.outcome == "done"
            await approvals.move(
                tx,
                approval.id,
                before=[ApprovalState.EXECUTING, ApprovalState.UNKNOWN],
                after=ApprovalState.EXECUTED if happened else ApprovalState.FAILED,
                result=as_output(result),
            )
            outcome = f"Done: {result.link}" if happened and result.link else _said(result)
            row = await redraw(tx, workspace, approval, outcome, run=run, sender=work.claim.worker)
        elif result.outcome == "unknown":
            lost = Say(markdown=f"`{step.name}` {LOST}")
            row = await outbox.put(
                tx,
                workspace,
                work.conversation.id,
                lost,
                run_id=run.id,
                sender=work.claim.worker,
            )
        if step.effect is not None and step.effect.leaves_us:
            await audit.append(
                tx,
                workspace,
                OUTCOMES.get(result.outcome, "effect.failed"),
                actor=work.agent,
                subject=approval.id if approval else run.id,
                run_id=run.id,
                tool=step.name,
                step=step.seq,
                link=result.link,
            )
        if opened is not None:
            await note_opened(tx, work, run, opened, step_seq=step.seq, link=result.link)
    return replace(step, state=StepState.FINISHED, output=output), row


async def finish_reads(
    database: Database, work: Work, run: Run, made: Sequence[tuple[Step, ToolResult]]
) -> None:
    """Record what reads of one model step came to: all of them, or none, and then they are made again.

    Raises:
        LostClaim
    """
    if not made:
        return
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        outputs = {step.seq: as_output(result) for step, result in made}
        if not await steps.finish_all(tx, run.id, outputs):
            raise LostClaim(f"A read of run {run.id} is on record already")


def _output(step: Step, result: ToolResult, approval: Approval | None) -> dict[str, object]:
    """The result, and what people changed about the call before it was made: the model is told."""
    output = as_output(result)
    if approval is not None and approval.edited_by is not None:
        output["edited"] = {
            "note": "A person changed the arguments before this was approved.",
            "changes": changes(step.input["arguments"], approval.arguments),
        }
    return output


def changes(asked: str, ran: bytes) -> dict[str, object]:
    """Each argument that is not as the model wrote it."""
    before: dict[str, object] = orjson.loads(asked)
    after: dict[str, object] = orjson.loads(ran)
    return {
        name: {"asked": before.get(name), "ran": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _said(result: ToolResult) -> str:
    if result.outcome == "done":
        return "Done"
    content = result.content
    reason = content.get("error") or content.get("refused") if isinstance(content, dict) else ""
    return f"Failed: {reason}" if reason else "Failed"


async def refuse(database: Database, work: Work, run: Run, step: Step, approval: Approval) -> Step:
    """Close a held step whose approval was denied, expired or withdrawn; the model is told."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        result = _not_done(step, approval)
        await _finish_step(tx, step, run, result)
        await runs.set_state(tx, run.id, RunState.WORKING)
    return replace(step, state=StepState.FINISHED, output=as_output(result))


def _not_done(step: Step, approval: Approval) -> ToolResult:
    """What the model is told; a call that was tried before is not said not to have happened."""
    why = f": {approval.reason}" if approval.reason else ""
    if approval.state is ApprovalState.DENIED:
        said = f"A person rejected this{why}"
    elif approval.state is ApprovalState.WITHDRAWN:
        said = f"This was withdrawn before it was done{why}"
    else:
        said = "Nobody approved this in time; it was not done."
    if was_tried(step):
        told = f"{said} It was tried before, and may have happened."
        return ToolResult(outcome="unknown", content={"unknown": told})
    return ToolResult.refused(said)


async def put_back(
    database: Database, work: Work, run: Run, step: Step, approval: Approval
) -> None:
    """Nothing was sent: the approved call waits for its next try, still approved."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        await approvals.move(
            tx,
            approval.id,
            before=[ApprovalState.EXECUTING],
            after=ApprovalState.APPROVED,
        )
        await steps.rewrite(tx, workspace, step, state=StepState.HELD, epoch=work.claim.epoch)
        await audit.append(
            tx,
            workspace,
            "effect.postponed",
            actor=SYSTEM,
            subject=approval.id,
            run_id=run.id,
            tool=step.name,
        )


async def mark_unknown(
    database: Database,
    work: Work,
    run: Run,
    step: Step,
    approval: Approval,
) -> OutboxRow | None:
    """It may have happened and nothing can tell: show that, and ask a person what is true."""
    workspace = work.workspace
    async with database.transaction(workspace) as tx:
        await conversations.fence(tx, work.claim)
        if not await approvals.next_attempt(tx, approval.id):
            return None
        tried = replace(step, input={**step.input, TRIED: True})
        await steps.rewrite(tx, workspace, tried, state=StepState.HELD, epoch=work.claim.epoch)
        await runs.set_state(tx, run.id, RunState.WAITING)
        await redraw(tx, workspace, approval, "Unknown: the answer was lost, see below", run=run)
        await audit.append(
            tx,
            workspace,
            "effect.unknown",
            actor=SYSTEM,
            subject=approval.id,
            run_id=run.id,
            tool=step.name,
            step=step.seq,
        )
        return await asking.ask_again(tx, work, run, in_doubt(approval), sender=work.claim.worker)


async def _finish_step(tx: Transaction, step: Step, run: Run, result: ToolResult) -> None:
    if not await steps.finish(tx, run.id, step.seq, output=as_output(result)):
        raise LostClaim(f"Step {step.key} is on record already")
