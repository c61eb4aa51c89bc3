"""What the journal has of each call that a model asked for: refused, made at once, or held."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import calls
from openloop.actions.calls import Planned, as_output, merged, plan_later, reply_as_output
from openloop.actions.judged import Refused, Started
from openloop.actions.pause import pause
from openloop.domain.audience import PlaceClass
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import LostClaim
from openloop.domain.facts import Seen
from openloop.domain.model import ModelReply, ToolCall, Usage
from openloop.domain.pause import PauseScope
from openloop.domain.tool import Effect, ToolResult
from tests import make
from tests.actions.asking import rule, stage_with
from tests.actions.holding import Waiting, held_as, taken
from tests.actions.money import begin, claimed, used

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.judged import Judged
    from openloop.domain.step import Step
    from openloop.storage.database import Database
    from tests.make import Stage

NO = ToolResult.refused("It is not permitted.")


@pytest.fixture
async def held(database: Database) -> Waiting:
    """A run that has asked about one call, and goes on."""
    return await taken(await stage_with(database, rule(quorum=1)))


def call(name: str = "github__create_issue") -> ToolCall:
    return ToolCall(id="call-7", name=name, arguments='{"a": 1}')


def refused(seq: int, *, name: str = "github__nothing", **more: Any) -> Refused:
    return Refused(seq=seq, call=call(name), rule="unknown tool", result=NO, **more)


def started(seq: int, effect: Effect, **more: Any) -> Started:
    return Started(
        seq=seq, call=call(), rule="allowed", effect=effect, arguments={"a": 1, "b": 2}, **more
    )


async def planned(held: Waiting, judged: Sequence[Judged]) -> Planned:
    await held.set_run("working")
    return await plan_later(
        held.stage.database,
        held.stage.configuration,
        held.work,
        held.run,
        model_seq=41,
        judge=lambda _governing: judged,
    )


async def step(held: Waiting, seq: int) -> Step:
    [found] = [each for each in await held.stage.steps(held.run) if each.seq == seq]
    return found


async def test_each_call_has_its_entry(held: Waiting) -> None:
    facts = {"place": "internal"}
    seen = Seen(source="github:acme/platform", visible_in=PlaceClass.PUBLIC)
    found = await planned(
        held,
        [
            refused(50, name="github__no\0thing", facts=facts),
            started(51, Effect.READ, seen=seen),
            started(52, Effect.NOTE, facts=facts),
            held_as(held.approval, seq=53, hash="5" * 64, call=call(), rule="asked", seen=seen),
        ],
    )
    assert [each.seq for each in found.started] == [51, 52]
    entry = {"call_id": "call-7", "arguments": '{"a": 1}', "model_seq": 41}
    label = {"label": "public", "source": "github:acme/platform"}

    one = await step(held, 50)
    assert (one.kind, one.state, one.effect, one.rule) == ("tool", "finished", None, "unknown tool")
    assert (one.name, one.output) == (
        "github__nothing",
        {"outcome": "refused", "content": {"refused": "It is not permitted."}},
    )
    assert one.input == {**entry, "facts": facts}
    two = await step(held, 51)
    assert (two.state, two.effect, two.rule, two.output) == ("started", "read", "allowed", None)
    assert two.name == "github__create_issue"
    assert two.input == {**entry, "arguments": {"a": 1, "b": 2}, **label}
    three = await step(held, 52)
    undo = three.input.pop("undo_token")
    assert len(str(undo)) == 22
    assert three.input == {**entry, "arguments": {"a": 1, "b": 2}, "facts": facts}
    four = await step(held, 53)
    assert (four.state, four.effect, four.rule, four.output) == ("held", "write", "asked", None)
    assert four.input == {**entry, **label}
    async with held.stage.tx() as tx:
        epochs = await tx.tuples("SELECT DISTINCT epoch FROM steps WHERE seq >= 50")
    assert epochs == [(held.work.claim.epoch,)]


async def test_the_record_has_what_was_refused_and_what_leaves_us(held: Waiting) -> None:
    await planned(
        held,
        [
            refused(50),
            *[started(51 + n, effect) for n, effect in enumerate((Effect.READ, Effect.WRITE))],
        ],
    )
    for kind, detail in (
        ("call.denied", {"tool": "github__nothing", "rule": "unknown tool", "step": 50}),
        ("effect.intended", {"tool": "github__create_issue", "rule": "allowed", "step": 52}),
    ):
        [event] = await held.stage.audit(kind)
        assert (event.kind, event.subject, event.run_id) == (kind, held.run.id, held.run.id)
        assert (event.actor.name, event.detail) == ("dev-platform", detail)


async def test_a_run_waits_where_nothing_can_be_made_at_once(held: Waiting) -> None:
    asked = held_as(held.approval, seq=50, hash="5" * 64)
    found = await planned(held, [asked])
    assert await held.run_state() == "waiting"
    ask, status = found.cards
    assert (ask.op["op"], ask.state) == ("Ask", "sending")
    assert (status.op["op"], status.run_id) == ("SetStatus", held.run.id)
    assert status.op["text"] == "is waiting for a decision"
    assert status.op["state"] == "waiting"


async def test_and_works_on_where_something_can(held: Waiting) -> None:
    asked = held_as(held.approval, seq=50, hash="5" * 64)
    await planned(held, [asked, started(51, Effect.READ)])
    assert await held.run_state() == "working"


async def test_nobody_is_told_to_wait_where_nothing_is_held(held: Waiting) -> None:
    found = await planned(held, [refused(50), started(51, Effect.READ)])
    assert found.cards == ()
    assert len(found.started) == 1


async def test_what_is_on_no_card_is_still_said_to_wait(database: Database) -> None:
    held = await taken(await stage_with(database, rule(quorum=1), asks={"per_run": 1}))
    [status] = (await planned(held, [held_as(held.approval, seq=50, hash="5" * 64)])).cards
    assert (status.op["op"], status.state) == ("SetStatus", "sending")


async def test_in_a_pause_nothing_is_journaled(held: Waiting) -> None:
    await pause(
        held.stage.database,
        held.stage.workspace,
        scope=PauseScope.WORKSPACE,
        reason="look",
        by=SYSTEM,
    )
    assert await planned(held, [refused(50)]) == Planned(started=(), cards=())
    assert not [each for each in await held.stage.steps(held.run) if each.seq == 50]


async def test_whoever_has_lost_the_conversation_journals_nothing(held: Waiting) -> None:
    await held.stage.lapse(held.ref)
    await held.stage.claim_by_force(held.ref)
    with pytest.raises(LostClaim):
        await planned(held, [refused(50)])


# --- a model's reply -----------------------------------------------------------------------------


@pytest.mark.parametrize("assumed", [True, False])
async def test_a_reply_ends_its_step_and_is_charged(stage: Stage, *, assumed: bool) -> None:
    """Where nobody counted, at all that was reserved."""
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))
    assert work.run is not None
    usage = Usage(input_tokens=0, output_tokens=0, assumed=True)
    counted = Usage(input_tokens=100, output_tokens=400)
    reply = ModelReply(
        model=make.MODEL,
        text="I look.",
        tool_calls=(call("github__nothing"),),
        usage=usage if assumed else counted,
        finish="tool_calls",
    )
    found = await calls.plan(
        stage.database,
        stage.configuration,
        work,
        work.run,
        begun=begun,
        reply=reply,
        cost_usd=Decimal("0.5"),
        status=None,
        judge=lambda _governing: [refused(50), started(51, Effect.READ)],
    )
    assert [each.seq for each in found.started] == [51]
    journal = {each.seq: each for each in await stage.steps(work.run)}
    assert journal[begun.seq].output == reply_as_output(reply)
    assert journal[50].input["model_seq"] == begun.seq
    budget = (await stage.budgets())["workspace"]
    assert budget.reserved_usd == 0
    assert budget.settled_usd == (begun.reserved_usd if assumed else Decimal("0.5"))
    assert assumed or budget.settled_tokens == 500


async def test_a_reply_to_whoever_has_lost_the_conversation_is_not_journaled(stage: Stage) -> None:
    [work] = await claimed(stage, 1)
    begun = await begin(stage, work, make.limits(workspace="10"))
    assert work.run is not None
    await stage.lapse(work.claim.ref)
    await stage.claim(work.claim.ref)
    with pytest.raises(LostClaim):
        await calls.plan(
            stage.database,
            stage.configuration,
            work,
            work.run,
            begun=begun,
            reply=used(100, 400),
            cost_usd=Decimal("0.5"),
            status=None,
            judge=lambda _governing: [refused(50)],
        )
    assert not [each for each in await stage.steps(work.run) if each.seq == 50]


def test_the_journal_keeps_a_reply_as_it_came() -> None:
    reply = ModelReply(
        model=make.MODEL,
        text="I look.",
        tool_calls=(call(),),
        usage=Usage(input_tokens=5, output_tokens=7, cached_tokens=3, reasoning_tokens=2),
        finish="tool_calls",
    )
    assert reply_as_output(reply) == {
        "text": "I look.",
        "finish": "tool_calls",
        "tool_calls": [{"id": "call-7", "name": "github__create_issue", "arguments": '{"a": 1}'}],
        "usage": {"input_tokens": 5, "output_tokens": 7, "cached_tokens": 3, "assumed": False},
    }


def test_a_result_has_a_link_where_there_is_one() -> None:
    assert as_output(ToolResult.done("x")) == {"outcome": "done", "content": "x"}
    linked = ToolResult.done("x", link="https://github.example/1")
    assert as_output(linked) == {
        "outcome": "done",
        "content": "x",
        "link": "https://github.example/1",
    }


async def test_the_same_request_is_held_once_and_its_twin_says_where(held: Waiting) -> None:
    first, other, twin = (
        held_as(held.approval, seq=seq, hash=hash)
        for seq, hash in ((50, "5" * 64), (51, "6" * 64), (52, "5" * 64))
    )
    kept = merged([refused(49), first, other, twin])
    assert kept[:3] == [refused(49), first, other]
    assert kept[3] == Refused(
        seq=52,
        call=twin.call,
        rule="approvals: asked once",
        result=ToolResult.refused(
            "The same call stands before this one (step 50): it is asked about and made once, "
            "and its answer is there."
        ),
    )
