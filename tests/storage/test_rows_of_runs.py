"""Rows of runs: what is finished stays as it is, and what is told apart by a key is told apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from openloop.domain.ids import RunId, new_id
from openloop.domain.run import RunState
from openloop.domain.step import StepKind, StepState
from openloop.storage import conversations, runs, steps
from tests import make
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from openloop.domain.run import Run
    from openloop.storage.database import Transaction
    from tests.make import Stage


async def begun(stage: Stage) -> Run:
    """A run whose first step is journaled as started."""
    run = await stage.run_of(await stage.mention())
    async with stage.tx() as tx:
        await write(tx, stage, run, StepState.STARTED, input={"a": 1})
    return run


async def write(
    tx: Transaction, stage: Stage, run: Run, state: StepState, *, seq: int = 1, **parts: Any
) -> Any:
    asked = await steps.ask_write(
        tx, stage.workspace, run.id, seq, kind=StepKind.TOOL, state=state, epoch=1, **parts
    )
    return await asked.one()


async def test_a_finished_step_is_never_finished_again(stage: Stage) -> None:
    run = await begun(stage)
    async with stage.tx() as tx:
        assert await steps.finish(tx, run.id, 1, output={"content": "first"})
        assert not await steps.finish(tx, run.id, 1, output={"content": "second"})
    [step] = await stage.steps(run)
    assert step.output == {"content": "first"}


async def test_many_are_finished_each_with_its_own_output_and_none_of_another_run(
    stage: Stage,
) -> None:
    run, other = [
        await stage.run_of(await stage.mention(root=root)) for root in ("root-1", "root-2")
    ]
    async with stage.tx() as tx:
        for seq in (1, 2, 3):
            for each in (run, other):
                await write(tx, stage, each, StepState.STARTED, seq=seq)
        assert await steps.finish_all(tx, run.id, {1: {"content": "a"}, 3: {"content": "c"}})
        assert not await steps.finish_all(tx, run.id, {2: {"content": "b"}, 3: {"content": "late"}})
    outputs = [step.output for step in await stage.steps(run)]
    assert outputs == [{"content": "a"}, {"content": "b"}, {"content": "c"}]
    assert {step.state for step in await stage.steps(other)} == {StepState.STARTED}


async def test_nor_is_it_begun_again(stage: Stage) -> None:
    run = await begun(stage)
    async with stage.tx() as tx:
        await steps.finish(tx, run.id, 1, output={})
    with pytest.raises(AssertionError):
        async with stage.tx() as tx:
            await write(tx, stage, run, StepState.STARTED)


async def test_a_step_that_is_begun_again_keeps_the_time_of_its_intent(stage: Stage) -> None:
    """A look-up asks for what happened since then."""
    run = await begun(stage)
    [first] = await stage.steps(run)
    async with stage.tx() as tx:
        again = await write(tx, stage, run, StepState.STARTED, input={"a": 2})
    assert again.started_at == first.started_at
    assert again.input == {"a": 2}


async def test_a_conversation_has_one_active_run(stage: Stage) -> None:
    ref = await stage.mention()
    run = await stage.run_of(ref)
    async with stage.tx() as tx:
        opened = await runs.open_run(
            tx,
            stage.workspace,
            id=RunId(new_id()),
            conversation_id=ref.id,
            agent_id=run.agent_id,
            revision_id=run.revision_id,
            requested_by=run.requested_by,
            request="another",
            request_link="",
        )
    assert not opened
    with pytest.raises(psycopg.errors.UniqueViolation):  # noqa: PT012  # the transaction ends in it
        async with stage.tx() as tx:
            await tx.run("UPDATE runs SET id = id")
            await tx.run(
                """
                INSERT INTO runs SELECT (r).* FROM (
                    SELECT jsonb_populate_record(r, jsonb_build_object('id', %(id)s::text)) AS r
                    FROM runs r) AS copies
                """,
                {"id": str(new_id())},
            )


async def test_a_run_ends_once(stage: Stage) -> None:
    run = await begun(stage)
    async with stage.tx() as tx:
        assert await runs.end(tx, run.id, RunState.DONE, outcome="answered")
        assert not await runs.end(tx, run.id, RunState.FAILED, outcome="failed")
        await runs.set_state(tx, run.id, RunState.WORKING)
    assert (await stage.runs())[0].state is RunState.DONE


async def test_a_stop_is_asked_for_by_the_first_who_did(stage: Stage) -> None:
    run = await begun(stage)
    async with stage.tx() as tx:
        assert await runs.ask_cancel(tx, run.id, {"kind": "system", "name": "first"})
        assert await runs.ask_cancel(tx, run.id, {"kind": "system", "name": "second"})
    [after] = await stage.runs()
    assert after.cancel_asked_by is not None
    assert after.cancel_asked_by.name == "first"


async def test_waiting_for_a_lock_is_seen(stage: Stage) -> None:
    """The tests of this folder's neighbours rely on it."""
    ref = await stage.mention()
    got: list[str] = []

    async def second() -> None:
        async with stage.tx() as tx:
            await conversations.lock(tx, ref.id)
            got.append("second")

    async with stage.tx() as tx:
        await conversations.lock(tx, ref.id)
        waiting = asyncio.create_task(second())
        await until_someone_waits_for(tx)
        assert got == []
    await waiting
    await until(lambda: got == ["second"])


def test_a_builder_makes_manifests_that_load() -> None:
    assert make.agent_manifest().metadata.name == "dev-platform"
    assert make.workspace_manifest().members("@maintainers") == {"priya", "anna"}
