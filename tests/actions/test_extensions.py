"""`on_exceeded: ask`: people extend a limit by what the manifest offers, once, and the run goes on."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.waiting import withdraw
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.run import RunState
from openloop.runtime.budgeting import tight_of
from openloop.storage import extensions
from tests import make
from tests.actions.deciding import decide, whispers
from tests.audit.test_completeness import findings
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


def money(**changes: Any) -> dict[str, Any]:
    """A run may spend so little that its first call is refused, and a dollar more if people agree."""
    return {
        "budget": {
            "monthly_usd": 50,
            "per_task_usd": "0.001",
            "on_exceeded": "ask",
            "extension": {"usd": 1, "at_most_per_month": 2},
            **changes,
        }
    }


@pytest.fixture
async def stage(database: Database) -> Stage:
    return await make.stage(database, agent=money())


async def asked(stage: Stage, **where: Any) -> ConversationRef:
    """A run that waits for an extension."""
    ref = await stage.mention(**where)
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is RunState.WAITING
    return ref


async def test_people_are_asked_and_the_run_goes_on(stage: Stage) -> None:
    ref = await asked(stage)
    [card] = stage.surface.cards
    assert card.card.title == "Extend the run budget by $1?"
    assert "Decides: @maintainers" in card.card.notes
    assert "At most 2 times a month" in card.card.notes
    assert stage.models.requests == []
    assert (await stage.budgets())["run"].reserved_usd == 0

    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED
    row = (await stage.budgets())["run"]
    assert (row.limit_usd, row.extra_usd) == (Decimal("0.001"), 1)
    [told] = await stage.audit("budget.extended")
    assert (told.detail["axis"], told.detail["usd"]) == ("run", "1")
    assert await findings(stage) == []


async def test_who_asked_does_not_extend_their_own_budget(stage: Stage) -> None:
    ref = await asked(stage, by="anna")

    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert "somebody else" in whispers(stage)[0]
    assert (await stage.run_of(ref)).state is RunState.WAITING


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("deny", "a person refused to extend it."),
        ("expire", "nobody extended it in time."),
        ("withdraw", "the request to extend it was withdrawn."),
    ],
)
async def test_without_an_extension_the_run_lands(
    stage: Stage, clock: Clock, how: str, said: str
) -> None:
    ref = await asked(stage)
    if how == "deny":
        await stage.press("deny", by="anna")
    elif how == "withdraw":
        id = (await stage.approval(ref)).id
        await withdraw(stage.database, stage.workspace, id, by=SYSTEM, reason="")
    else:
        await clock.advance(hours=73)
    await stage.sweep_and_work(ref)
    await stage.sweep_and_work(ref)

    run = await stage.run_of(ref)
    assert (run.state, run.outcome, run.error_code) == (RunState.DONE, "landed", "budget_exhausted")
    assert stage.surface.said[-1].endswith(said)
    assert stage.models.requests == []
    assert await findings(stage) == []


async def test_what_is_said_meanwhile_is_heard(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.say("in acme/platform")
    await stage.work(ref)
    assert (await stage.run_of(ref)).state is RunState.WAITING

    await stage.press("approve", by="anna")
    await stage.work(ref)

    [request] = stage.models.requests
    assert request.messages[-1].content == "New message of ben:\nin acme/platform"


async def test_a_run_that_waits_for_more_can_be_stopped(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.say("stop")
    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.CANCELLED
    assert (await stage.approval(ref)).state is ApprovalState.WITHDRAWN


async def test_a_month_has_no_more_extensions_than_the_manifest_offers(stage: Stage) -> None:
    for root in ("a", "b"):
        ref = await asked(stage, root=root)
        await decide(stage, ref, "approve", by="anna")
        await stage.work(ref)
    ref = await stage.mention(root="c")
    await stage.work(ref)

    assert (await stage.run_of(ref)).outcome == "landed"
    assert len(stage.surface.cards) == 2
    async with stage.tx() as tx:
        assert await tx.value("SELECT extensions FROM budgets WHERE axis = 'agent'") == 2


async def test_an_ask_that_comes_too_late_for_the_month_is_stale(stage: Stage) -> None:
    refs = [await asked(stage, root=root) for root in ("a", "b", "c")]
    for ref in refs:
        await decide(stage, ref, "approve", by="anna")
        await stage.work(ref)

    states = [(await stage.approval(ref)).state for ref in refs]
    assert states == [ApprovalState.EXECUTED, ApprovalState.EXECUTED, ApprovalState.STALE]
    assert (await stage.run_of(refs[2])).outcome == "landed"


async def test_of_two_extensions_for_the_last_of_a_month_one_is_given(stage: Stage) -> None:
    await stage.revise(money(extension={"usd": 1, "at_most_per_month": 1}))
    first, second = await asked(stage, root="a"), await asked(stage, root="b")
    asks = [await stage.approval(ref) for ref in (first, second)]
    runs = [await stage.run_of(ref) for ref in (first, second)]

    async def extend(number: int) -> bool:
        async with stage.tx() as tx:
            return await extensions.extend(
                tx,
                tight_of(asks[number]),
                owner=runs[number].agent_id,
                usd=Decimal(1),
                tokens=0,
                at_most_per_month=1,
            )

    async with stage.tx() as tx:  # one is being given...
        assert await extensions.extend(
            tx,
            tight_of(asks[0]),
            owner=runs[0].agent_id,
            usd=Decimal(1),
            tokens=0,
            at_most_per_month=1,
        )
        other = asyncio.create_task(extend(1))
        await until_someone_waits_for(tx)  # ...when the other is, too

    assert await other is False
    async with stage.tx() as tx:
        assert await tx.value("SELECT sum(extra_usd) FROM budgets") == 1


async def test_a_worker_that_dies_over_an_extension_gives_it_once(stage: Stage) -> None:
    """Used up and extended in one commit: whoever comes next finds both or neither."""
    ref = await asked(stage)
    await stage.press("approve", by="anna")
    await asyncio.gather(*(stage.work(ref) for _ in range(4)))
    await stage.sweep_and_work(ref)

    assert (await stage.budgets())["run"].extra_usd == 1
    assert len(await stage.audit("budget.extended")) == 1


async def test_a_changed_offer_voids_the_ask_and_is_asked_anew(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.revise(money(extension={"usd": 2, "at_most_per_month": 2}))

    await stage.sweep_and_work(ref)
    await stage.sweep_and_work(ref)

    states = [each.state for each in await stage.approvals(ref)]
    assert sorted(states) == [ApprovalState.PENDING, ApprovalState.STALE]
    assert stage.surface.cards[-1].card.title == "Extend the run budget by $2?"


async def test_an_unrelated_change_leaves_the_ask_valid(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.revise({**money(daily_usd=40), "instructions": "Be brief."})

    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert stage.surface.said == ["All done."]


async def test_a_limit_that_was_raised_needs_no_ask_any_more(stage: Stage) -> None:
    ref = await asked(stage)
    await stage.revise(money(per_task_usd="2"))

    await stage.sweep_and_work(ref)

    assert stage.surface.said == ["All done."]
    assert (await stage.approval(ref)).state is ApprovalState.STALE


async def test_an_ask_for_a_day_that_is_over_is_none_any_more(stage: Stage, clock: Clock) -> None:
    """The next day affords it by itself."""
    await stage.revise(money(daily_usd="0.3", per_task_usd="0.15"))
    stage.models.turns = [make.reply("Done.", usage=None)]  # charged in full
    await stage.work(await stage.mention())
    used = (await stage.runs())[0].cost_usd
    await stage.revise(money(daily_usd=f"{used + Decimal('0.001')}", per_task_usd=f"{used}"))
    ref = await asked(stage, root="c")
    assert tight_of(await stage.approval(ref)).span == "day"

    await clock.advance(days=1)
    await stage.sweep_and_work(ref)

    assert stage.surface.said[-1] == "Done."
    assert (await stage.approval(ref)).state is ApprovalState.STALE


async def test_the_workspaces_budget_is_extended_by_whom_it_names(database: Database) -> None:
    stage = await make.stage(
        database,
        workspace={
            "budget": {
                "monthly_usd": 100,
                "per_person": {"daily_usd": "0.001"},
                "on_exceeded": "ask",
                "extension": {"usd": 5, "at_most_per_month": 1, "approvers": ["@priya"]},
            }
        },
    )
    ref = await asked(stage)
    assert stage.surface.cards[0].card.title.startswith("Extend the requester budget for ")

    await stage.press("approve", by="anna")
    await stage.press("approve", by="priya")
    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    async with stage.tx() as tx:
        [(extra, count)] = await tx.tuples(
            """
            SELECT (SELECT extra_usd FROM budgets WHERE axis = 'principal' AND span = 'day'),
                   (SELECT extensions FROM budgets WHERE axis = 'workspace')
            """
        )
    assert (extra, count) == (5, 1)


async def test_tokens_are_extended_in_tokens(stage: Stage) -> None:
    await stage.revise(
        money(
            per_task_usd=1,
            per_task_tokens=300,
            extension={"tokens": 50_000, "at_most_per_month": 1},
        )
    )
    ref = await asked(stage)
    assert stage.surface.cards[0].card.title == "Extend the run budget by 50,000 tokens?"

    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert stage.surface.said == ["All done."]
    assert (await stage.budgets())["run"].extra_tokens == 50_000


async def test_a_limit_that_blocks_is_not_asked_about(database: Database) -> None:
    """What nobody can extend is reached too: an extension of the other would not help."""
    stage = await make.stage(
        database, agent=money(), workspace={"budget": {"monthly_usd": "0.0005"}}
    )
    ref = await stage.mention()
    await stage.work(ref)

    assert (await stage.run_of(ref)).outcome == "landed"
    assert stage.surface.cards == []
    assert stage.surface.said[0].startswith("The workspace budget for ")
