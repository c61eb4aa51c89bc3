"""What a run has to know that asks: how much was asked about already, and what else is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.ids import PrincipalId, RunId, new_id
from openloop.storage import approvals, room

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.storage.database import Transaction
    from tests.make import Clock, Stage

PENDING = ApprovalState.PENDING
SOMEBODY = PrincipalId(new_id())


@pytest.fixture
async def two(stage: Stage) -> tuple[Approval, Approval]:
    """Two asks of two runs, each on a card."""
    _, one = await stage.hold_quietly(root="root-1")
    _, other = await stage.hold_quietly(root="root-2", text="and another")
    return one, other


async def fetched(tx: Transaction) -> int:
    """How many rows of approvals this transaction has read, of whatever workspace."""
    return await tx.value(
        "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'approvals'"
    )


@pytest.mark.parametrize(("parked", "shown"), [("", 1), ("batch", 1), ("run", 0), ("approvers", 0)])
async def test_a_run_has_asked_by_cards_as_often_as_it_was_not_parked(
    stage: Stage, two: tuple[Approval, Approval], parked: Any, shown: int
) -> None:
    one, other = two
    async with stage.tx() as tx:
        before = await tx.now()
        await approvals.set_shown(tx, one.id, parked=parked, card_id=None, told=[])
        for run, times in ((one.run_id, shown), (other.run_id, 1), (RunId(new_id()), 0)):
            found = await (await room.ask_shown(tx, run)).one()
            assert found.times == times
            assert before <= found.at <= await tx.now()


async def test_people_are_asked_about_what_is_open_and_names_them(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    anna, priya = [(await stage.principal(name)).id for name in ("anna", "priya")]
    async with stage.tx() as tx:
        await approvals.set_shown(tx, one.id, parked="", card_id=None, told=[anna, priya])
        await approvals.set_shown(tx, other.id, parked="", card_id=None, told=[anna])
        assert await room.count_open(tx, [anna, priya]) == {anna: 2, priya: 1}
        assert await room.count_open(tx, [priya, SOMEBODY]) == {priya: 1}
        await approvals.move(tx, other.id, before=[PENDING], after=ApprovalState.DENIED)
        assert await room.count_open(tx, [anna]) == {anna: 1}
    await clock.advance(seconds=(one.expires_at - one.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert await room.count_open(tx, [anna]) == {}


async def test_the_same_request_is_one_of_another_run_that_is_open(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    links = {run.id: run.request_link for run in await stage.runs()}
    same = ["3" * 64, one.hash, "2" * 64]
    here, there = ({"2" * 64: (each.id, links[each.run_id])} for each in two)
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET hash = %(hash)s", {"hash": "2" * 64})
        assert await room.list_same(tx, same, but_of=one.run_id) == there
        assert await room.list_same(tx, same, but_of=other.run_id) == here
        oldest = here if one.id < other.id else there
        assert await room.list_same(tx, same, but_of=RunId(new_id())) == oldest
        await approvals.move(tx, other.id, before=[PENDING], after=ApprovalState.DENIED)
        assert await room.list_same(tx, same, but_of=one.run_id) == {}
        assert await room.list_same(tx, same, but_of=other.run_id) == here
    await clock.advance(seconds=(one.expires_at - one.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert await room.list_same(tx, same, but_of=other.run_id) == {}


async def test_each_request_has_its_own_like(stage: Stage, two: tuple[Approval, Approval]) -> None:
    links = {run.id: run.request_link for run in await stage.runs()}
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET hash = id::text")
        found = await room.list_same(tx, [str(each.id) for each in two], but_of=RunId(new_id()))

    assert found == {str(each.id): (each.id, links[each.run_id]) for each in two}


async def test_however_much_is_open_the_same_request_is_found_at_once(stage: Stage) -> None:
    for number in range(8):
        await stage.hold_quietly(root=f"root-{number}", text=f"issue {number}")
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET hash = id::text")

    async with stage.tx() as tx:
        before = await fetched(tx)
        assert await room.list_same(tx, ["2" * 64, "3" * 64], but_of=RunId(new_id())) == {}
        assert await fetched(tx) == before
