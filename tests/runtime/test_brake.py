"""The brake: once a pause has committed, nothing of its scope starts that is not on record already."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from openloop.actions.pause import pause, resume
from openloop.actions.vote import vote
from openloop.domain.audit import Who
from openloop.domain.errors import NotFound
from openloop.domain.pause import Paused, PauseScope
from openloop.runtime import turn
from openloop.runtime.worker import Worker
from openloop.storage import conversations
from tests import make
from tests.actions.deciding import decide, whispers
from tests.runtime.fakes import Killed, reply
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.actions.claims import Work
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.model import ModelRequest
    from openloop.domain.pause import Pause
    from openloop.storage.database import Database, Transaction
    from tests.make import Stage

PRIYA = Who(kind="principal", name="priya")


async def pause_agent(stage: Stage, reason: str = "it posts nonsense") -> None:
    await pause(
        stage.database,
        stage.workspace,
        scope=PauseScope.AGENT,
        agent="dev-platform",
        reason=reason,
        by=PRIYA,
    )


async def resume_agent(stage: Stage) -> None:
    await resume(
        stage.database, stage.workspace, scope=PauseScope.AGENT, agent="dev-platform", by=PRIYA
    )


async def pause_workspace(stage: Stage) -> None:
    await pause(
        stage.database, stage.workspace, scope=PauseScope.WORKSPACE, reason="stop", by=PRIYA
    )


# --- what waits, and how it is seen --------------------------------------------------------------


async def test_a_run_that_is_asked_for_in_a_pause_waits_and_says_so(stage: Stage) -> None:
    await pause_agent(stage)
    ref = await stage.mention()

    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "waiting"
    assert [status.text for status in stage.surface.statuses] == ["is paused: it posts nonsense"]
    assert stage.models.requests == []
    assert await stage.count("reservations") == 0


async def test_it_goes_on_where_it_was_when_somebody_resumes(stage: Stage) -> None:
    await pause_agent(stage)
    ref = await stage.mention()
    await stage.work(ref)

    await resume_agent(stage)
    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "done"
    assert stage.surface.said == ["All done."]
    assert await stage.kinds("brake.") == ["brake.paused", "brake.resumed"]


async def test_the_reply_to_a_call_under_way_is_kept_and_its_calls_are_decided_later(
    stage: Stage,
) -> None:
    stage.models.turns = [reply("I look.", make.READ), reply("All done.")]

    async def pausing(request: ModelRequest) -> None:
        stage.models.after = None
        await pause_agent(stage)

    stage.models.after = pausing
    ref = await stage.mention()
    await stage.work(ref)

    run = await stage.run_of(ref)
    assert (run.state, len(stage.models.requests), stage.tracker.reads) == ("waiting", 1, [])
    assert run.cost_usd > 0
    assert [step.kind for step in await stage.steps(run)] == ["context", "model"]

    await resume_agent(stage)
    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "done"
    assert (len(stage.models.requests), len(stage.tracker.reads)) == (2, 1)


async def test_an_answer_that_was_paid_for_is_still_said(stage: Stage) -> None:
    async def pausing(request: ModelRequest) -> None:
        stage.models.after = None
        await pause_agent(stage)

    stage.models.after = pausing
    ref = await stage.mention()
    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "done"
    assert stage.surface.said == ["All done."]


async def test_people_can_still_stop_what_is_paused(stage: Stage) -> None:
    await pause_agent(stage)
    ref = await stage.mention()
    await stage.work(ref)

    await stage.say("stop")
    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "cancelled"


async def test_stopping_what_is_paused_begins_no_call_anew(stage: Stage) -> None:
    """Its worker died while it read something: that is not read once more for a run that ends."""
    stage.models.turns = [reply("I look.", make.READ), reply("All done.")]

    async def die(key: str) -> None:
        raise Killed

    stage.tracker.before = die
    ref = await stage.mention()
    with pytest.raises(Killed):
        await stage.work(ref)
    await stage.lapse(ref)
    await pause_agent(stage)
    await stage.say("stop")

    await stage.work(ref)

    run = await stage.run_of(ref)
    assert (run.state, len(stage.tracker.reads)) == ("cancelled", 1)
    assert {step.state for step in await stage.steps(run)} == {"finished"}


# --- approvals -----------------------------------------------------------------------------------


async def test_nothing_can_be_decided_in_a_pause_and_the_refusal_says_why(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await pause_agent(stage)

    with pytest.raises(Paused, match="paused by priya: it posts nonsense"):
        await decide(stage, ref, "approve", by="anna")
    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert (await stage.approval(ref)).state == "pending"
    assert len(whispers(stage)) == 1
    assert "paused by priya: it posts nonsense" in whispers(stage)[0]


async def test_what_was_approved_before_the_pause_happens_after_it(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, "approve", by="anna")
    await pause_workspace(stage)

    await stage.work(ref)
    assert (stage.tracker.writes, (await stage.approval(ref)).state) == ([], "approved")

    await resume(stage.database, stage.workspace, scope=PauseScope.WORKSPACE, by=PRIYA)
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1
    assert (await stage.approval(ref)).state == "executed"


# --- the scope -----------------------------------------------------------------------------------


async def test_a_pause_is_of_its_agent_and_its_workspace_only(stage: Stage) -> None:
    other = await make.stage_of(stage.database, stage, "other", workspace={"integrations": None})
    await pause(stage.database, other.workspace, scope=PauseScope.WORKSPACE, reason="x", by=PRIYA)

    ref = await stage.mention()
    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "done"


async def test_the_wider_pause_outlasts_the_narrower_one(stage: Stage) -> None:
    await pause_agent(stage)
    await pause_workspace(stage)
    await resume_agent(stage)
    ref = await stage.mention()

    await stage.work(ref)

    assert (await stage.run_of(ref)).state == "waiting"
    assert stage.surface.statuses[-1].text == "is paused: stop"


async def test_pausing_twice_keeps_the_first_reason_and_is_written_once(stage: Stage) -> None:
    await pause_agent(stage, "first")
    await pause_agent(stage, "second")

    assert [event.detail["reason"] for event in await stage.audit("brake.")] == ["first"]
    await resume_agent(stage)
    with pytest.raises(NotFound):
        await resume_agent(stage)


# --- races ---------------------------------------------------------------------------------------


async def test_a_worker_that_looked_before_the_pause_reserves_nothing_after_it(
    stage: Stage,
) -> None:
    work = await stage.claim(await stage.mention())
    await pause_agent(stage)

    assert await turn.advance(stage.kit(), work) is False

    assert (stage.models.requests, await stage.count("reservations")) == ([], 0)
    assert work.run is not None
    assert (await stage.run_of(work.claim.ref)).cost_usd == 0


async def test_a_worker_that_looked_before_the_pause_uses_no_approval_up_after_it(
    stage: Stage,
) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, "approve", by="anna")
    work = await stage.claim(ref)
    await pause_agent(stage)

    assert await turn.advance(stage.kit(), work) is False

    assert (stage.tracker.writes, (await stage.approval(ref)).state) == ([], "approved")


async def test_a_pause_waits_for_an_intent_under_way_and_what_is_behind_it_waits_for_the_pause(
    stage: Stage,
) -> None:
    one, two = await stage.mention(root="root-1"), await stage.mention(root="root-2")
    first, second = await stage.claim(one), await stage.claim(two)
    async with stage.tx() as tx:
        await conversations.fence(tx, first.claim)
        await tx.settle()
        pausing = asyncio.create_task(pause_agent(stage))
        await until_someone_waits_for(tx)
        intending = asyncio.create_task(_look_before_an_intent(stage, second))
        await until(lambda: _two_wait(stage))
        assert not pausing.done()
    await pausing
    assert await intending is not None


@dataclass(frozen=True)
class Impatient:
    """A database in which everybody gives up waiting at once, unless they say otherwise."""

    database: Database

    @asynccontextmanager
    async def transaction(self, workspace: WorkspaceId) -> AsyncGenerator[Transaction]:
        """A transaction like that."""
        async with self.database.transaction(workspace) as tx:
            for each in ("lock_timeout", "statement_timeout"):
                await tx.send("SELECT set_config(%(name)s, '50ms', true)", {"name": each})
            yield tx


async def test_a_pause_outlasts_the_slowest_intent(stage: Stage) -> None:
    """Everybody else gives up sooner: what is overloaded has to be stopped, too."""
    work = await stage.claim(await stage.mention())
    impatient = replace(stage, database=cast("Database", Impatient(stage.database)))
    async with stage.tx() as tx:
        await conversations.fence(tx, work.claim)
        await tx.settle()
        pausing = asyncio.create_task(pause_agent(impatient))
        await until_someone_waits_for(tx)
        await tx.run("SELECT pg_sleep(0.3)")
    await pausing

    assert await stage.kinds("brake.") == ["brake.paused"]


async def test_fifty_runs_and_twenty_decided_approvals_begin_nothing_after_a_pause(
    stage: Stage,
) -> None:
    """Every intent and every reservation has an earlier time than the pause has."""
    approved = [await _approved(stage, f"approved-{number}") for number in range(20)]
    stage.models.turns = [*[reply("I look.", make.READ)] * 4, reply("All done.")]
    active = [await stage.mention(root=f"active-{number}") for number in range(50)]
    everything = asyncio.Event()

    async def count(request: ModelRequest) -> None:
        if len(stage.models.requests) > 60:
            everything.set()

    stage.models.after = count
    working = [asyncio.create_task(stage.work(ref)) for ref in (*active, *approved)]
    await asyncio.wait_for(everything.wait(), 30)
    await pause_workspace(stage)
    before = await _begun(stage)
    await asyncio.wait_for(asyncio.gather(*working), 30)

    assert await _begun(stage) == before
    async with stage.tx() as tx:
        late = await tx.value(
            """
            SELECT count(*) FROM (
                SELECT started_at AS at FROM steps WHERE kind = 'tool' AND state <> 'held'
                UNION ALL SELECT reserved_at FROM reservations
                UNION ALL SELECT at FROM audit_events WHERE kind = 'effect.intended') begun
            WHERE at > (SELECT at FROM audit_events WHERE kind = 'brake.paused')
            """
        )
    assert late == 0
    states = [str(run.state) for run in await stage.runs()]
    assert states.count("waiting") > 20
    assert set(states) <= {"waiting", "done"}
    assert len(stage.tracker.writes) < 20, "the pause came too late to show anything"

    await resume(stage.database, stage.workspace, scope=PauseScope.WORKSPACE, by=PRIYA)
    for ref in (*active, *approved):
        await Worker(stage.kit()).advance(ref)
    assert {run.state for run in await stage.runs()} == {"done"}
    assert len(stage.tracker.writes) == 20


async def _two_wait(stage: Stage) -> bool:
    async with stage.tx() as tx:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return await tx.value(waiting) == 2


async def _look_before_an_intent(stage: Stage, work: Work) -> Pause | None:
    assert work.run is not None
    async with stage.tx() as tx:
        await conversations.fence(tx, work.claim)
        governing = await stage.configuration.governing(tx, work.run.agent_id, work.run.revision_id)
    return governing.pause


async def _approved(stage: Stage, root: str) -> ConversationRef:
    ref, _ = await stage.hold(await stage.mention(root=root))
    approval = await stage.approval(ref)
    await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        "approve",
        by=await stage.principal("anna"),
        via="api",
    )
    return ref


async def _begun(stage: Stage) -> tuple[int, int, int]:
    """Reservations, tool steps that began, and intents."""
    async with stage.tx() as tx:
        return (
            await tx.value("SELECT count(*) FROM reservations"),
            await tx.value(
                "SELECT count(*) FROM steps WHERE kind = 'tool' AND state IN ('started', 'finished')"
            ),
            await tx.value("SELECT count(*) FROM audit_events WHERE kind = 'effect.intended'"),
        )
