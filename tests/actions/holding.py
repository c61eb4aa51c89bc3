"""What the tests of held calls share: one in the hands of a worker, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from openloop.actions.judged import Held
from openloop.actions.waiting import Look, look_after, void
from openloop.domain.model import ToolCall
from openloop.domain.tool import Effect
from openloop.storage import approvals

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.judged import Changed
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from tests.make import Stage


@dataclass(frozen=True)
class Waiting:
    """A held call in the hands of a worker."""

    stage: Stage
    ref: ConversationRef
    work: Work
    run: Run
    step: Step
    approval: Approval

    async def look(self, changed: Changed | None = None) -> Look:
        return await look_after(
            self.stage.database,
            self.stage.configuration,
            self.work,
            self.run,
            self.step,
            self.approval,
            recheck=lambda _governing, _approval: changed,
        )

    async def now(self) -> Approval:
        async with self.stage.tx() as tx:
            return await approvals.get(tx, self.approval.id)

    async def rows(self, op: str) -> list[dict[str, Any]]:
        """What waits to be posted, of one sort; all of it belongs to the run."""
        found = [row for row in await self.stage.outbox(self.ref) if row.op["op"] == op]
        assert {row.run_id for row in found} <= {self.run.id}
        return [row.op for row in found]

    async def outcome(self) -> str:
        return (await self.rows("Settle"))[-1]["outcome"]

    async def void(self, changed: Changed, **as_read: Any) -> Step:
        async with self.stage.tx() as tx:
            governing = await self.stage.configuration.governing(
                tx, self.run.agent_id, self.run.revision_id
            )
            read = replace(await approvals.get(tx, self.approval.id), **as_read)
            return await void(tx, self.work, self.run, governing, self.step, read, changed)

    async def set(self, assignments: str) -> None:
        async with self.stage.tx() as tx:
            await tx.run(f"UPDATE approvals SET {assignments}")  # noqa: S608  # pyright: ignore

    async def set_run(self, state: str) -> None:
        async with self.stage.tx() as tx:
            await tx.run("UPDATE runs SET state = %(state)s", {"state": state})

    async def run_state(self) -> str:
        return (await self.stage.run_of(self.ref)).state


async def taken(stage: Stage, *, root: str = "root-1") -> Waiting:
    """A call that is held, and the worker that looks after it."""
    ref, approval = await stage.hold_quietly(root=root)
    work = await stage.claim_by_force(ref)
    assert work.run is not None
    step = next(each for each in work.steps if each.seq == approval.step_seq)
    return Waiting(stage, ref, work, work.run, step, approval)


def held_as(approval: Approval, **changes: Any) -> Held:
    """What the gate would say of the call that an approval holds, or of one like it."""
    held = Held(
        seq=approval.step_seq,
        call=ToolCall(id="", name=approval.tool, arguments=approval.arguments.decode()),
        rule=approval.rule,
        effect=Effect.WRITE,
        permission=approval.permission,
        arguments=approval.arguments,
        preconditions=approval.preconditions,
        hash=approval.hash,
        card=approval.card,
        demands=approval.demands,
        expires_hours=72,
        may_edit=approval.may_edit,
        solo_mode=approval.solo_mode,
    )
    return replace(held, **changes)


async def woken(stage: Stage, ref: ConversationRef) -> tuple[int, int]:
    """How often a conversation was woken, and a worker asked to look at it."""
    async with stage.tx() as tx:
        wakes = await tx.value("SELECT wakes FROM conversations WHERE id = %(id)s", {"id": ref.id})
        asked = await tx.value(
            """
            SELECT count(*) FROM procrastinate.procrastinate_jobs
            WHERE args->>'conversation' = %(id)s::text
            """,
            {"id": ref.id},
        )
    return wakes, asked


async def too_late(*_: object, **__: object) -> bool:
    """A compare-and-set that somebody else has won."""
    return False
