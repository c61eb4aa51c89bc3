"""Whatever happens to a run, what it did to the world and what the audit says of it agree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.domain.audit_effects import EventFact, RunFacts, StepFact, check
from openloop.storage import evidence
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.audit_chain import Finding
    from tests.make import Clock, Stage


async def findings(stage: Stage) -> list[Finding]:
    async with stage.tx() as tx:
        facts = await evidence.list_facts(tx, after=None, limit=100)
        loose = await evidence.list_loose_ops(tx, limit=100)
    assert facts
    assert not loose
    return [finding for run in facts for finding in check(run)]


async def test_an_answer_and_a_note(stage: Stage) -> None:
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    await stage.work(await stage.mention())

    assert await findings(stage) == []


async def test_a_model_that_says_nothing(stage: Stage) -> None:
    stage.models.turns = [reply("")]
    await stage.work(await stage.mention())

    assert await findings(stage) == []
    assert (await stage.audit("run.done"))[0].detail["outcome"] == "silent"


async def test_a_read_and_a_call_that_is_denied(stage: Stage) -> None:
    stage.models.turns = [reply("Both.", make.READ, ("github__nothing", "{}")), reply("Done.")]
    await stage.work(await stage.mention())

    assert await findings(stage) == []


async def test_a_decision_and_its_effect(stage: Stage) -> None:
    ref, _ = await stage.hold()
    assert await findings(stage) == []
    await stage.press("approve", by="ben")  # who asked for it: refused, in private
    assert await findings(stage) == []
    await stage.press("approve", by="anna")
    assert await findings(stage) == []
    await stage.work(ref)

    assert await findings(stage) == []


async def test_a_rejection(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await stage.press("deny", by="anna")
    await stage.work(ref)

    assert await findings(stage) == []


async def test_a_stop_while_something_waits(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await stage.say("stop", by="ben")
    await stage.work(ref)

    assert await findings(stage) == []


async def test_an_ask_that_expires(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await clock.advance(hours=1000)
    await stage.sweep_and_work(ref)

    assert await findings(stage) == []


async def test_a_worker_that_dies_after_the_effect_and_the_next_one_that_finds_it(
    stage: Stage,
) -> None:
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    await make.killed_after_the_effect(stage, ref)
    assert await findings(stage) == []
    await stage.sweep_and_work(ref)

    assert await findings(stage) == []


async def test_a_place_without_an_agent(stage: Stage) -> None:
    await stage.work(await stage.mention())
    await stage.say("hello", channel="C0ELSEWHERE", root="root-7")

    assert await findings(stage) == []


async def test_a_person_who_may_not_ask(stage: Stage) -> None:
    ref = await stage.mention(by="mallory")
    await stage.work(ref)

    assert await findings(stage) == []


def test_a_write_under_a_standing_rule_has_its_events_too() -> None:
    """No approval stands behind it: the intent and the outcome are all there is."""
    queued, intended, done, ended = (
        EventFact(id=id, xid="1", kind=kind, subject="r", step=step, hash="", outcome="")
        for id, kind, step in (
            (1, "run.queued", None),
            (2, "effect.intended", 2),
            (3, "effect.done", 2),
            (4, "run.failed", None),
        )
    )
    step = StepFact(seq=2, name="x__y", effect="write", state="finished", outcome="done")
    run = RunFacts(id="r", state="failed", steps=[step], approvals=[], ops=[], events=[])

    def kinds(*events: EventFact, state: str = "finished", outcome: str = "done") -> list[str]:
        steps = [replace(step, state=state, outcome=outcome)]
        return [f.kind for f in check(replace(run, steps=steps, events=events))]

    assert kinds(queued, intended, done, ended) == []
    assert kinds(queued, done, ended) == ["effect_unrecorded"]
    assert kinds(queued, intended, ended) == ["effect_unrecorded"]
    assert kinds(queued, intended, ended, state="started") == []
    assert kinds(queued, ended, state="started") == ["effect_unrecorded"]
    assert kinds(queued, ended, outcome="refused") == []
    assert kinds(queued, ended, outcome="") == ["effect_unrecorded"] * 2
