"""An extension, move by move: what is asked and kept on record, when it is given, and what voids it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import rfc8785

from openloop.actions import asking, extending
from openloop.domain.approval import ApprovalState
from openloop.domain.budget import EXTEND
from openloop.domain.errors import LostClaim
from openloop.domain.model import ToolCall
from openloop.domain.outbox import encode
from openloop.domain.run import RunState
from openloop.domain.surface import Card, Field, SetStatus
from openloop.domain.tool import Effect
from openloop.runtime import binding, budgeting
from tests import make
from tests.actions.deciding import decide, without_anna
from tests.actions.test_extensions import asked, money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.actions.extending import Offered
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

RULE = "agent dev-platform: spec.budget.extension"
VOIDED = "what would be asked for now is something else"
TOO_LATE = "it was approved in time, and it is too late now"
NO_MORE = "its time is over, or the month has had all its extensions"


@pytest.fixture
async def stage(database: Database) -> Stage:
    return await make.stage(database, agent=money())


def run_of(work: Work) -> Run:
    assert work.run is not None
    return work.run


async def waiting(stage: Stage, ref: ConversationRef | None = None) -> tuple[Work, Approval]:
    """A claimed run that waits for an extension, and what it has asked for."""
    work = await stage.claim_by_force(ref or await asked(stage))
    return work, work.approvals[-1]


async def approved(stage: Stage) -> tuple[Work, Approval]:
    """The same, when people have agreed and nobody has given it yet."""
    ref = await asked(stage)
    await decide(stage, ref, "approve", by="anna")
    return await waiting(stage, ref)


def offer(work: Work, approval: Approval, governing: Governing | None = None) -> Offered | None:
    by = governing or work.governing
    assert by is not None
    tight = budgeting.tight_of(approval)
    return budgeting.offered(by, work, run_of(work), approval.step_seq, tight)


async def ask(
    stage: Stage, work: Work, approval: Approval, *, seq: int, offered: bool = True
) -> list[OutboxRow] | None:
    return await extending.ask(
        stage.database,
        stage.configuration,
        work,
        run_of(work),
        seq,
        offered=lambda governing: (
            offer(work, replace(approval, step_seq=seq), governing) if offered else None
        ),
    )


async def carry_out(stage: Stage, work: Work, approval: Approval, *, offered: bool = True) -> None:
    await extending.carry_out(
        stage.database,
        stage.configuration,
        work,
        run_of(work),
        approval,
        offered=lambda governing: offer(work, approval, governing) if offered else None,
    )


async def further_steps(stage: Stage, work: Work) -> None:
    """Model calls number 2 and 3 of the run have begun, too."""
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO steps (workspace_id, run_id, seq, kind, state, epoch)
            SELECT %(id)s, %(run)s, seq, 'model', 'started', 1 FROM generate_series(2, 3) seq
            """,
            {"id": stage.workspace, "run": run_of(work).id},
        )


async def added(stage: Stage) -> Decimal:
    async with stage.tx() as tx:
        return await tx.value("SELECT sum(extra_usd) FROM budgets")


# --- what is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize("solo_mode", [False, True])
async def test_what_people_are_asked_is_on_record_to_the_last_byte(
    database: Database, *, solo_mode: bool
) -> None:
    agent = money(extension={"usd": 1, "at_most_per_month": 1})
    agent["approvals"] = {**make.AGENT["approvals"], "expires_hours": 5}
    stage = await make.stage(database, agent=agent, workspace={"solo_mode": solo_mode})
    work, approval = await waiting(stage)
    subject = str(run_of(work).id)

    assert (approval.tool, approval.permission, approval.rule) == (EXTEND, EXTEND, RULE)
    assert (approval.step_seq, approval.may_edit, approval.solo_mode) == (1, False, solo_mode)
    assert approval.expires_at - approval.asked_at == timedelta(hours=5)
    [demand] = approval.demands
    assert (demand.rule, demand.approvers) == (RULE, ("@maintainers",))
    arguments = {
        "axis": "run",
        "subject": subject,
        "span": "run",
        "period": "1970-01-01",
        "unit": "usd",
        "usd": "1",
        "tokens": 0,
    }
    assert approval.arguments == rfc8785.dumps(arguments)  # pyright: ignore[reportArgumentType]
    conditions = dict(approval.preconditions)
    assert "0.001" in str(conditions.pop("limit"))
    assert conditions == {
        "grant": EXTEND,
        "approvers": ["@maintainers"],
        "at_most_per_month": 1,
        "expires_hours": 5,
        "solo_mode": solo_mode,
        "conversation": str(work.conversation.id),
    }
    assert approval.hash == binding.digest(EXTEND, approval.arguments, approval.preconditions)
    solo = ("Solo mode: people may approve what they asked for themselves",)
    assert approval.card == Card(
        title="Extend the run budget by $1?",
        fields=(
            Field(label="Budget", value="The run budget"),
            Field(label="Adds", value="$1"),
            Field(label="For", value=subject),
        ),
        notes=(
            "At most once a month",
            "Decides: @maintainers",
            f"Rule: {RULE}",
            "Expires in 5 h if undecided",
            *(solo if solo_mode else ()),
        ),
    )


async def test_the_call_that_is_asked_for_stands_for_the_model_call(stage: Stage) -> None:
    work, approval = await waiting(stage)
    offered = offer(work, approval)
    assert offered is not None
    held = offered.held
    assert held.call == ToolCall(id="", name=EXTEND, arguments=approval.arguments.decode())
    assert (held.seq, held.effect, held.rule) == (1, Effect.WRITE, RULE)
    assert offered.owner == run_of(work).agent_id
    tight = replace(budgeting.tight_of(approval), axis="workspace", span="month")
    assert work.governing is not None
    assert budgeting.offered(work.governing, work, run_of(work), 1, tight) is None


async def test_a_run_that_asks_waits_and_shows_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both rows are sent by whoever asked; where no card is posted, the status comes first."""
    work, approval = await waiting(stage)
    await further_steps(stage, work)
    async with stage.tx() as tx:
        await tx.run("UPDATE runs SET state = 'working'")
    rows = await ask(stage, work, approval, seq=2)
    assert rows is not None
    card, status = rows
    assert (card.state, status.state) == ("sending", "queued")
    assert {card.run_id, status.run_id} == {run_of(work).id}
    waits = SetStatus(text="is waiting for a decision", state="waiting")
    assert status.op == encode(waits)
    assert (await stage.run_of(work.claim.ref)).state is RunState.WAITING

    async def parked(*_: object, **__: object) -> Sequence[OutboxRow]:
        return []

    monkeypatch.setattr(asking, "ask", parked)
    async with stage.tx() as tx:
        await tx.run("UPDATE outbox SET state = 'dropped'")
    rows = await ask(stage, work, approval, seq=3)
    assert rows is not None
    [status] = rows
    assert status.state == "sending"


async def test_each_step_asks_once_and_anew_where_that_is_stale(stage: Stage) -> None:
    await stage.revise(money(extension={"usd": 1, "at_most_per_month": 9}))
    work, approval = await waiting(stage)
    await further_steps(stage, work)
    assert await ask(stage, work, approval, seq=1) is None
    assert await ask(stage, work, approval, seq=2, offered=False) is None
    assert await ask(stage, work, approval, seq=2) is not None
    assert await ask(stage, work, approval, seq=1) is None
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET state = 'stale' WHERE step_seq = 1")
    assert await ask(stage, work, approval, seq=1) is not None


async def test_a_step_that_was_extended_by_too_little_is_not_asked_about_again(
    stage: Stage,
) -> None:
    await stage.revise(money(extension={"usd": "0.0001", "at_most_per_month": 9}))
    ref = await asked(stage)
    await stage.press("approve", by="anna")
    await stage.work(ref)
    run = await stage.run_of(ref)
    assert (run.outcome, run.error_code) == ("landed", "budget_exhausted")
    assert len(stage.surface.cards) == 1
    assert stage.surface.said == ["The run budget does not afford another step."]


# --- which ask is whose --------------------------------------------------------------------------


async def test_the_ask_of_a_step_is_found_among_others(stage: Stage) -> None:
    work, approval = await waiting(stage)
    others = [
        replace(approval, tool="github__create_issue"),
        replace(approval, step_seq=2),
        replace(approval, state=ApprovalState.STALE),
    ]
    work = replace(work, approvals=[*others, approval])
    assert budgeting.find_ask(work, 1) is approval
    assert budgeting.find_ask(work, 2) is others[1]
    assert budgeting.find_ask(work, 3) is None
    assert budgeting.find_ask(replace(work, approvals=others), 1) is None


async def test_the_row_of_an_ask_is_read_from_its_bytes(stage: Stage) -> None:
    _, approval = await waiting(stage)
    said = {"axis": "agent", "subject": str(UUID(int=7)), "span": "day", "period": "2026-11-23"}
    tight = budgeting.tight_of(
        replace(approval, arguments=rfc8785.dumps({**said, "unit": "tokens"}))
    )
    assert (tight.axis, tight.span, tight.unit) == ("agent", "day", "tokens")
    assert tight.subject == UUID(int=7)
    assert str(tight.period) == "2026-11-23"


# --- when it is given ----------------------------------------------------------------------------


async def test_what_is_given_is_told_and_uses_the_approval_up(stage: Stage) -> None:
    work, approval = await approved(stage)
    await carry_out(stage, work, approval)
    assert await added(stage) == 1
    after = await stage.approval(work.claim.ref)
    assert after.state is ApprovalState.EXECUTED
    assert after.result == {"outcome": "done", "content": {"extended": True}}
    run = run_of(work)
    assert (await stage.run_of(work.claim.ref)).state is RunState.WORKING
    [event] = await stage.audit("budget.extended")
    assert (event.actor, event.subject, event.run_id) == (work.agent, approval.id, run.id)
    assert event.detail == {
        "hash": approval.hash,
        "axis": "run",
        "span": "run",
        "period": "1970-01-01",
        "budget": str(run.id),
        "usd": "1",
        "tokens": 0,
    }
    assert await drawn(stage, work) == "Done: the run goes on"


async def drawn(stage: Stage, work: Work) -> str:
    """What the newest drawing of the card says has become of it."""
    rows = [each for each in await stage.outbox(work.claim.ref) if each.op["op"] == "Settle"]
    assert rows[-1].run_id == run_of(work).id
    return str(rows[-1].op["outcome"])


@pytest.mark.parametrize("how", ["stop", "pause"])
async def test_a_run_that_is_to_stop_or_paused_is_given_nothing(stage: Stage, how: str) -> None:
    work, approval = await approved(stage)
    async with stage.tx() as tx:
        if how == "stop":
            await tx.run('UPDATE runs SET cancel_asked_by = \'{"kind": "system", "name": ""}\'')
        else:
            await tx.run(
                """
                INSERT INTO pauses (workspace_id, subject, scope, reason, paused_by)
                VALUES (%(id)s, %(id)s, 'workspace', 'stop', '{"kind": "system", "name": ""}')
                """,
                {"id": stage.workspace},
            )
    await carry_out(stage, work, approval)
    assert (await stage.approval(work.claim.ref)).state is ApprovalState.APPROVED
    assert await added(stage) == 0


async def is_void(stage: Stage, work: Work, approval: Approval, reason: str) -> None:
    after = await stage.approval(work.claim.ref)
    assert (after.state, after.reason) == (ApprovalState.STALE, reason)
    [event] = await stage.audit("approval.stale")
    assert (event.actor.kind, event.subject) == ("system", approval.id)
    assert event.run_id == run_of(work).id
    assert event.detail == {"reason": reason, "asked_anew": False}
    assert await drawn(stage, work) == f"Stale: {reason}"
    assert (await stage.run_of(work.claim.ref)).state is RunState.WORKING
    assert await added(stage) == 0


async def test_what_nobody_offers_any_more_is_void(stage: Stage) -> None:
    work, approval = await approved(stage)
    await carry_out(stage, work, approval, offered=False)
    await is_void(stage, work, approval, VOIDED)


async def test_what_is_offered_in_another_way_is_void(stage: Stage) -> None:
    work, approval = await approved(stage)
    await carry_out(stage, work, replace(approval, hash="another"))
    await is_void(stage, work, approval, VOIDED)


async def test_an_approval_is_over_at_the_instant_it_expires(stage: Stage, clock: Clock) -> None:
    work, approval = await approved(stage)
    await clock.stop(at=approval.expires_at)
    await carry_out(stage, work, approval)
    await is_void(stage, work, approval, TOO_LATE)


async def test_beyond_what_a_month_has_it_is_void(stage: Stage) -> None:
    work, approval = await approved(stage)
    async with stage.tx() as tx:
        await tx.run("UPDATE budgets SET extensions = 2 WHERE axis = 'agent'")
    await carry_out(stage, work, approval)
    await is_void(stage, work, approval, NO_MORE)


async def test_where_votes_count_no_more_people_are_asked_again(stage: Stage) -> None:
    work, approval = await approved(stage)
    await without_anna(stage)
    await carry_out(stage, work, approval)
    after = await stage.approval(work.claim.ref)
    assert (after.state, after.reason) == (ApprovalState.PENDING, extending.VOTES_LOST)
    assert [event.detail for event in await stage.audit("approval.reopened")] == [
        {"reason": extending.VOTES_LOST}
    ]
    assert await added(stage) == 0


async def test_an_approval_that_somebody_else_has_moved_gives_nothing(stage: Stage) -> None:
    work, approval = await approved(stage)
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET state = 'withdrawn'")
    with pytest.raises(LostClaim):
        await carry_out(stage, work, approval)
    assert await added(stage) == 0
    with pytest.raises(LostClaim):
        await extending.withdraw_stale(
            stage.database, work, run_of(work), approval, reason="too late"
        )
    assert (await stage.approval(work.claim.ref)).state is ApprovalState.WITHDRAWN
    assert await stage.kinds("approval.stale") == []


# --- while it waits ------------------------------------------------------------------------------


async def wakes_at(stage: Stage, ref: ConversationRef) -> datetime:
    async with stage.tx() as tx:
        return await tx.value("SELECT wake_at FROM conversations WHERE id = %(id)s", {"id": ref.id})


async def test_an_ask_for_a_run_is_looked_at_when_it_expires(stage: Stage) -> None:
    ref = await asked(stage)
    assert await wakes_at(stage, ref) == (await stage.approval(ref)).expires_at


async def for_a_day(database: Database) -> tuple[Stage, ConversationRef, datetime]:
    """A run that waits for more of its agent's day, and when that day is over."""
    stage = await make.stage(database, agent=money(daily_usd="0.3", per_task_usd="0.15"))
    stage.models.turns = [make.reply("Done.", usage=None)]  # charged in full
    await stage.work(await stage.mention())
    used = (await stage.runs())[0].cost_usd
    await stage.revise(money(daily_usd=f"{used + Decimal('0.001')}", per_task_usd=f"{used}"))
    ref = await asked(stage, root="c")
    day = budgeting.tight_of(await stage.approval(ref)).period
    return stage, ref, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


async def test_an_ask_for_a_day_is_looked_at_when_the_day_is_over(
    database: Database, clock: Clock
) -> None:
    stage, ref, ends_at = await for_a_day(database)
    assert await wakes_at(stage, ref) == ends_at

    await clock.stop(at=ends_at)
    await stage.sweep_and_work(ref)

    [event] = await stage.audit("approval.stale")
    assert event.detail["reason"] == "its time is over"
    assert stage.surface.said[-1] == "Done."


async def test_an_offer_that_is_gone_voids_the_ask_and_the_run_lands(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.revise({"budget": {"monthly_usd": 50, "per_task_usd": "0.001"}})
    await stage.sweep_and_work(ref)
    [event] = await stage.audit("approval.stale")
    assert event.detail["reason"] == "the budget has changed since it was asked"
    assert (await stage.run_of(ref)).outcome == "landed"


async def test_an_ask_that_had_to_stand_back_is_posted_once_people_have_room(
    database: Database,
) -> None:
    stage = await make.stage(database, agent=money(), workspace={"asks": {"per_approver": 1}})
    first, second = await asked(stage, root="a"), await asked(stage, root="b")
    assert len(stage.surface.cards) == 1
    await decide(stage, first, "deny", by="anna")
    await stage.work(first)
    assert len(stage.surface.cards) == 1
    await stage.work(second)
    assert len(stage.surface.cards) == 2


async def test_what_has_become_of_an_ask_is_shown_before_the_run_goes_on(stage: Stage) -> None:
    shown: list[str] = []

    async def look(_: object) -> None:
        shown.extend(op.outcome for op in stage.surface.settled)

    stage.models.before = look
    ref = await asked(stage)
    await stage.press("approve", by="anna")
    await stage.work(ref)
    assert shown[-1:] == ["Done: the run goes on"]

    shown.clear()
    other = await asked(stage, root="b")
    await stage.revise(money(per_task_usd="2"))
    await stage.sweep_and_work(other)
    why = "the budget has changed since it was asked"
    assert shown[-1:] == [f"Stale: {why}"]
    [event] = await stage.audit("approval.stale")
    assert event.detail["reason"] == why
