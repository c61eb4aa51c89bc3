"""Every statement about approvals touches the row it is about, while it is as it was read, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.buttons import hash_token
from openloop.domain.approval import ApprovalState
from openloop.domain.errors import NotFound
from openloop.domain.ids import ApprovalId, PrincipalId, new_id
from openloop.domain.surface import Say, Settle
from openloop.storage import approvals, cards, outbox, principals, room
from tests.make import NOON, as_json

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.storage.database import Transaction
    from tests.make import Clock, Stage

PENDING, APPROVED = ApprovalState.PENDING, ApprovalState.APPROVED
SOMEBODY = PrincipalId(new_id())
SOON = timedelta(minutes=1)


@pytest.fixture
async def two(stage: Stage) -> tuple[Approval, Approval]:
    """Two asks of two runs, each on a card."""
    first, one = await stage.hold_quietly(root="root-1")
    second, other = await stage.hold_quietly(root="root-2", text="and another")
    del first, second
    return one, other


async def row(tx: Transaction, id: ApprovalId) -> dict[str, Any]:
    [(found,)] = await tx.tuples(
        "SELECT to_jsonb(a) FROM approvals a WHERE id = %(id)s", {"id": id}
    )
    return found


async def set_state(tx: Transaction, state: ApprovalState) -> None:
    await tx.run("UPDATE approvals SET state = %(state)s", {"state": state})


# --- reading -------------------------------------------------------------------------------------


async def test_each_is_found_by_its_id_its_token_and_its_run(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    async with stage.tx() as tx:
        for approval in two:
            await approvals.replace_token(tx, approval.id, hash_token(str(approval.id)))
        for approval in two:
            assert (await approvals.get(tx, approval.id)).id == approval.id
            assert (await approvals.lock(tx, approval.id)).id == approval.id
            found = await approvals.find_by_token(tx, hash_token(str(approval.id)))
            assert found is not None
            assert found.id == approval.id
            assert [each.id for each in await approvals.list_of_run(tx, approval.run_id)] == [
                approval.id
            ]
        assert await approvals.find_by_token(tx, hash_token("another")) is None
        for reading in (approvals.get, approvals.lock):
            with pytest.raises(NotFound):
                await reading(tx, ApprovalId(new_id()))


async def test_the_newest_come_first_below_an_id_and_in_a_state(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = sorted(two, key=lambda each: each.id)

    async def listed(**which: Any) -> list[ApprovalId]:
        async with stage.tx() as tx:
            which = {"limit": 9, **which}
            return [each.id for each in await approvals.list_newest(tx, **which)]

    assert await listed() == [other.id, one.id]
    assert await listed(limit=1) == [other.id]
    assert await listed(before=other.id) == [one.id]
    assert await listed(before=one.id) == []
    assert await listed(state="pending") == [other.id, one.id]
    assert await listed(state="denied") == []


# --- votes ---------------------------------------------------------------------------------------


async def test_votes_are_those_of_their_approval_the_oldest_first(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    people = [(await stage.principal(name)).id for name in ("priya", "anna", "ben")]
    for index, person in enumerate(people):
        async with stage.tx() as tx:
            for approval in two[: 2 if index < 2 else 1]:
                await approvals.add_vote(
                    tx, stage.workspace, approval, principal_id=person, decision="deny", via="api"
                )
                await approvals.add_vote(
                    tx, stage.workspace, approval, principal_id=person, decision="deny", via="x"
                )
        await clock.advance(seconds=1)
    one, other = two
    async with stage.tx() as tx:
        votes = await approvals.list_votes(tx, one.id)
        of_both = await approvals.list_votes_of(tx, [one.id, other.id])
        assert await approvals.list_votes_of(tx, [other.id]) == {other.id: of_both[other.id]}
    assert [vote.principal_id for vote in votes] == people
    assert {(vote.decision, vote.via, vote.round) for vote in votes} == {("deny", "api", 1)}
    assert of_both[one.id] == votes
    assert [vote.principal_id for vote in of_both[other.id]] == people[:2]


# --- decisions -----------------------------------------------------------------------------------


async def decided(tx: Transaction, approval: Approval, **how: Any) -> bool:
    given: dict[str, Any] = {"before": PENDING, "after": APPROVED, "by": SOMEBODY, "at": NOON}
    return await approvals.save_decision(tx, approval.id, **{**given, **how})


async def test_a_decision_is_written_once_where_it_was_read(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    by = (await stage.principal("anna")).id
    async with stage.tx() as tx:
        beside = await row(tx, other.id)
        assert not await decided(tx, one, by=by, round=2)
        assert not await decided(tx, one, by=by, before=ApprovalState.UNKNOWN)
        assert await decided(tx, one, by=by, reason="why")
        assert not await decided(tx, one, by=by)
        found = await approvals.get(tx, one.id)
        assert (found.state, found.decided_by, found.reason) == (APPROVED, by, "why")
        assert found.decided_at == NOON
        assert found.expires_at == one.expires_at
        assert await row(tx, other.id) == beside
    await clock.advance(seconds=(other.expires_at - other.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert not await decided(tx, other, by=by)


@pytest.mark.parametrize(("noted", "hours"), [({"expires_hours": 5}, 5), ({}, 72)])
async def test_what_is_unknown_is_decided_at_any_time_and_gets_its_time_anew(
    stage: Stage,
    two: tuple[Approval, Approval],
    clock: Clock,
    noted: dict[str, object],
    hours: int,
) -> None:
    """As long as its row says that it might wait; those of long ago say nothing."""
    one, _ = two
    by = (await stage.principal("anna")).id
    async with stage.tx() as tx:
        await set_state(tx, ApprovalState.UNKNOWN)
        await tx.run("UPDATE approvals SET preconditions = %(noted)s", {"noted": as_json(noted)})
    await clock.advance(seconds=2 * (one.expires_at - one.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert await decided(tx, one, by=by, before=ApprovalState.UNKNOWN)
        found = await approvals.get(tx, one.id)
        assert abs(found.expires_at - await tx.now() - timedelta(hours=hours)) < SOON
        assert found.reason == ""


async def test_what_expires_now_is_open_no_more(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    people = [(await stage.principal("anna")).id]
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET expires_at = %(at)s", {"at": one.expires_at})
        await approvals.set_shown(tx, one.id, parked="", card_id=None, told=people)
    await clock.stop(one.expires_at)
    async with stage.tx() as tx:
        assert not await decided(tx, one, by=people[0])
        assert not await approvals.save_edit(tx, one, one, hash_token("new"))
        assert await room.count_open(tx, people) == {}
        assert await room.list_same(tx, [one.hash], but_of=other.run_id) == {}
        await set_state(tx, APPROVED)
        assert not await approvals.consume(tx, one)


async def test_a_state_moves_from_where_it_may_be_and_keeps_what_is_not_said(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = two
    stale = ApprovalState.STALE
    async with stage.tx() as tx:
        beside = await row(tx, other.id)
        assert not await approvals.move(tx, one.id, before=[APPROVED], after=stale)
        assert await approvals.move(
            tx, one.id, before=[APPROVED, PENDING], after=stale, reason="why", result={"a": 1}
        )
        assert await approvals.move(tx, one.id, before=[stale], after=PENDING)
        found = await approvals.get(tx, one.id)
        assert (found.state, found.reason, found.result) == (PENDING, "why", {"a": 1})
        assert await row(tx, other.id) == beside


async def test_an_approval_is_used_up_once_with_its_bytes_in_its_round_and_in_time(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    async with stage.tx() as tx:
        assert not await approvals.consume(tx, one)
        await set_state(tx, APPROVED)
        beside = await row(tx, other.id)
        assert not await approvals.consume(tx, replace(one, hash="0" * 64))
        assert not await approvals.consume(tx, replace(one, round=2))
        assert not await approvals.consume(tx, replace(one, attempt=2))
        assert await approvals.consume(tx, one)
        assert not await approvals.consume(tx, one)
        assert (await approvals.get(tx, one.id)).state is ApprovalState.EXECUTING
        assert await row(tx, other.id) == beside
    await clock.advance(seconds=(other.expires_at - other.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert not await approvals.consume(tx, other)


async def test_a_lost_answer_opens_the_next_attempt_of_its_own_call(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = two
    person = (await stage.principal("anna")).id
    async with stage.tx() as tx:
        await set_state(tx, ApprovalState.EXECUTING)
        beside = await row(tx, other.id)
        assert await approvals.next_attempt(tx, one.id)
        assert not await approvals.next_attempt(tx, one.id), "it is unknown by now"
        lost = await approvals.get(tx, one.id)
        assert (lost.state, lost.attempt) == (ApprovalState.UNKNOWN, one.attempt + 1)
        assert await row(tx, other.id) == beside

        await approvals.add_vote(
            tx, stage.workspace, lost, principal_id=person, decision="approve", via="api"
        )
        [vote] = (await approvals.list_votes_of(tx, [one.id]))[one.id]
        assert vote.attempt == lost.attempt


async def test_who_wants_it_tried_again_gives_time_to_that_call_while_it_is_unknown(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    async with stage.tx() as tx:
        await set_state(tx, ApprovalState.UNKNOWN)
        beside = await row(tx, other.id)
    await clock.advance(seconds=3600)
    async with stage.tx() as tx:
        await approvals.keep_asking(tx, replace(one, attempt=2))
        asked = await approvals.get(tx, one.id)
        assert asked.attempt == 2
        assert asked.expires_at > one.expires_at
        assert await row(tx, other.id) == beside
        await set_state(tx, PENDING)
        await approvals.keep_asking(tx, replace(one, attempt=3))
        assert (await approvals.get(tx, one.id)).attempt == 2


# --- what changes while it waits -----------------------------------------------------------------


async def test_an_edit_begins_the_next_round_of_its_own_call_while_that_is_open(
    stage: Stage, two: tuple[Approval, Approval], clock: Clock
) -> None:
    one, other = two
    editor = (await stage.principal("anna")).id
    after = replace(
        one,
        arguments=b'{"a":1}',
        preconditions={"b": 2},
        hash="1" * 64,
        card=replace(one.card, title="Another"),
        demands=other.demands * 2,
        may_edit=not one.may_edit,
        rule="another",
        solo_mode=not one.solo_mode,
        edited_by=editor,
    )
    token = hash_token("new")
    async with stage.tx() as tx:
        beside = await row(tx, other.id)
        assert not await approvals.save_edit(tx, replace(one, round=2), after, token)
        assert await approvals.save_edit(tx, one, after, token)
        assert not await approvals.save_edit(tx, one, after, token)
        assert await approvals.get(tx, one.id) == replace(after, round=2)
        assert await approvals.find_by_token(tx, token) == replace(after, round=2)
        assert await row(tx, other.id) == beside
        await set_state(tx, APPROVED)
        assert not await approvals.save_edit(tx, other, after, hash_token("third"))
        await set_state(tx, PENDING)
    await clock.advance(seconds=(other.expires_at - other.asked_at).total_seconds())
    async with stage.tx() as tx:
        assert not await approvals.save_edit(tx, other, after, hash_token("third"))


async def test_cards_tokens_times_and_stages_are_those_of_one_row(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = two
    people, card = [(await stage.principal("anna")).id], new_id()
    async with stage.tx() as tx:
        beside = await row(tx, other.id)
        await approvals.replace_token(tx, one.id, hash_token("new"))
        await approvals.limit_time(tx, one.id, hours=2)
        await approvals.limit_time(tx, one.id, hours=200)
        await approvals.set_shown(tx, one.id, parked="batch", card_id=card, told=people)
        found = await approvals.get(tx, one.id)
        assert abs(found.expires_at - await tx.now() - timedelta(hours=2)) < SOON
        assert (found.parked, found.card_id, found.told) == ("batch", card, tuple(people))
        assert await approvals.set_escalated(tx, one, 1, told=[])
        assert not await approvals.set_escalated(tx, one, 2, told=[])
        found = await approvals.get(tx, one.id)
        assert (found.escalated, found.told) == (1, ())
        assert await row(tx, other.id) == beside
        await set_state(tx, APPROVED)
        assert not await approvals.set_escalated(tx, other, 1, told=[])


# --- waking --------------------------------------------------------------------------------------


async def wakes(tx: Transaction) -> dict[Any, int]:
    return dict(await tx.tuples("SELECT id, wakes FROM conversations"))  # pyright: ignore


async def woken(tx: Transaction, before: dict[Any, int]) -> set[Any]:
    after = await wakes(tx)
    assert all(after[each] - before[each] in (0, 1) for each in after)
    return {each for each in after if after[each] != before[each]}


async def test_room_wakes_the_oldest_that_waits_for_it(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = sorted(two, key=lambda each: each.id)
    async with stage.tx() as tx:
        before = await wakes(tx)
        await approvals.wake_parked(tx, limit=2)
        assert await woken(tx, before) == set()
        for each in two:
            await approvals.set_shown(tx, each.id, parked="approvers", card_id=None, told=[])
        await approvals.wake_parked(tx, limit=1)
        assert await woken(tx, before) == {one.conversation_id}
        before = await wakes(tx)
        await approvals.move(tx, one.id, before=[PENDING], after=ApprovalState.DENIED)
        await approvals.wake_parked(tx, limit=2)
        assert await woken(tx, before) == {other.conversation_id}


async def test_what_decides_wakes_all_that_wait_of_one_agent_or_of_all(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = two
    agent = (await stage.runs())[0].agent_id
    both = {one.conversation_id, other.conversation_id}
    for state, which, found in (
        (PENDING, None, both),
        (APPROVED, agent, both),
        (PENDING, new_id(), set[Any]()),
        (ApprovalState.DENIED, None, set[Any]()),
    ):
        async with stage.tx() as tx:
            await set_state(tx, state)
            before = await wakes(tx)
            await approvals.wake_waiting(tx, which)  # pyright: ignore[reportArgumentType]
            assert await woken(tx, before) == found


# --- cards and people ----------------------------------------------------------------------------


async def test_a_card_is_what_was_drawn_of_it_last(
    stage: Stage, two: tuple[Approval, Approval]
) -> None:
    one, other = two
    async with stage.tx() as tx:
        for each in two:
            drawn = await cards.find_drawn(tx, each.id)
            assert drawn is not None
            assert drawn.approval == str(each.id)
            settled = Settle(message_id="", approval=drawn.approval, card=each.card, outcome="Done")
            for op in (settled, Say(markdown="It is done.")):
                await outbox.put(tx, stage.workspace, each.conversation_id, op, approval_id=each.id)
            assert await cards.find_drawn(tx, each.id) == settled
        assert await cards.find_drawn(tx, new_id()) is None
        await tx.run(
            "UPDATE outbox SET state = 'dropped' WHERE approval_id = %(id)s", {"id": one.id}
        )
        assert await cards.find_drawn(tx, one.id) is None
        assert await cards.find_drawn(tx, other.id) is not None


async def test_people_are_named_while_they_are_active_people(stage: Stage) -> None:
    anna, priya = [await stage.principal(name) for name in ("anna", "priya")]
    async with stage.tx() as tx:
        found = await cards.list_people(tx, {"priya", "anna", "nobody"})
        assert found == {"anna": anna.id, "priya": priya.id}
        await tx.run("UPDATE principals SET active = false WHERE name = 'anna'")
        await tx.run("UPDATE principals SET kind = 'service' WHERE name = 'priya'")
        assert await cards.list_people(tx, {"priya", "anna"}) == {}


async def test_people_are_mentioned_by_their_ids_on_the_surface(stage: Stage) -> None:
    anna, priya = [(await stage.principal(name)).id for name in ("anna", "priya")]
    async with stage.tx() as tx:
        assert await cards.list_addresses(tx, [priya, anna], surface="slack") == [
            "U0ANNA",
            "U0PRIYA",
        ]
        assert await cards.list_addresses(tx, [anna], surface="slack") == ["U0ANNA"]
        assert await cards.list_addresses(tx, [anna], surface="github") == []
        assert await cards.list_addresses(tx, [priya, anna], surface="slack", limit=1) == ["U0ANNA"]
        for n in range(20):
            await principals.set_identity(
                tx, stage.workspace, anna, surface="slack", tenant="", external_id=f"U0ANNA{n}"
            )
        assert len(await cards.list_addresses(tx, [anna], surface="slack")) == 20
