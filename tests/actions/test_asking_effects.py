"""How people are asked: who has room, what shares a card, and what each row and each card says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import asking
from openloop.actions.asking import ON_CARDS, Room
from openloop.actions.buttons import hash_token
from openloop.actions.cards import redraw
from openloop.domain.approval import Approval, ApprovalState
from openloop.domain.ids import PrincipalId, new_id
from openloop.domain.step import StepKind, StepState
from openloop.domain.surface import Button
from openloop.storage import approvals, steps
from openloop.storage import room as rooms
from tests.actions.asking import hold_many, rule, stage_with
from tests.actions.holding import Waiting, held_as, taken
from tests.make import NOON
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.actions.configuration import Governing
    from openloop.actions.judged import Held
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.verdict import Demand
    from openloop.storage.database import Database
    from tests.make import Stage

PRIYA, ANNA, BEN = [PrincipalId(new_id()) for _ in range(3)]


@pytest.fixture
async def held(database: Database) -> Waiting:
    """One call is held, on a card of its own."""
    return await taken(await stage_with(database, rule(quorum=1)))


async def governing(held: Waiting) -> Governing:
    async with held.stage.tx() as tx:
        return await held.stage.configuration.governing(tx, held.run.agent_id, held.run.revision_id)


async def ask(held: Waiting, *sizes: int, sender: UUID | None = None) -> list[OutboxRow]:
    """The run asks for calls whose arguments have so many bytes."""
    calls = [
        held_as(held.approval, seq=50 + n, hash=f"{n}" * 64, arguments=b"x" * size)
        for n, size in enumerate(sizes)
    ]
    return await ask_for(held, *calls, sender=sender)


async def ask_for(held: Waiting, *calls: Held, sender: UUID | None = None) -> list[OutboxRow]:
    """The run asks for these calls, each a step of its own."""
    rules = await governing(held)
    async with held.stage.tx() as tx:
        for call in calls:
            await steps.ask_write(
                tx,
                held.stage.workspace,
                held.run.id,
                call.seq,
                kind=StepKind.TOOL,
                state=StepState.HELD,
                epoch=held.work.claim.epoch,
                name=call.call.name,
                effect=call.effect,
                rule=call.rule,
                input={},
                output=None,
            )
        rows = await asking.ask(tx, held.work, held.run, rules, calls, sender=sender)
    return [await row.one() for row in rows]


async def asked(held: Waiting) -> list[Approval]:
    """What was asked for since."""
    return [each for each in await held.stage.approvals(held.ref) if each.id != held.approval.id]


def calls_on(row: OutboxRow) -> list[dict[str, Any]]:
    op: dict[str, Any] = row.op
    return [op, *op["others"]]


# --- room ----------------------------------------------------------------------------------------


async def test_people_have_room_below_their_limit(held: Waiting) -> None:
    rules = await governing(held)
    [demand] = held.approval.demands
    room = Room(
        now=NOON,
        people={"priya": PRIYA, "anna": ANNA},
        open={PRIYA: 1},
        per_approver=2,
        left_in_run=3,
    )

    def has(quorum: int, **changes: Any) -> bool:
        asked: Demand = replace(demand, quorum=quorum)
        return replace(room, **changes).has_for(rules, asked)

    assert room.with_room([PRIYA, ANNA, BEN]) == [PRIYA, ANNA, BEN]
    assert replace(room, per_approver=1).with_room([PRIYA, ANNA]) == [ANNA]
    assert [has(1), has(2), has(3)] == [True, True, True]
    assert [has(quorum, per_approver=1) for quorum in (1, 2, 3)] == [True, False, False]
    assert not has(1, open={PRIYA: 2, ANNA: 2})
    assert room.left_on_cards == ON_CARDS


def test_whoever_is_asked_has_room_for_one_less() -> None:
    room = Room(now=NOON, people={}, open={PRIYA: 1, BEN: 4}, per_approver=2, left_in_run=3)
    assert room.after([PRIYA, ANNA]) == Room(
        now=NOON,
        people={},
        open={PRIYA: 2, ANNA: 1, BEN: 4},
        per_approver=2,
        left_in_run=2,
        left_on_cards=4,
    )


async def test_members_are_those_of_now_each_once_by_name(held: Waiting) -> None:
    rules = await governing(held)
    people = {"priya": PRIYA, "anna": ANNA, "ben": BEN}
    assert asking.members_of(rules, people, ["@priya", "@maintainers"]) == [ANNA, PRIYA]
    assert asking.members_of(rules, people, ["@security"]) == []


async def test_whoever_counts_what_is_open_does_so_alone(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1), asks={"per_approver": 1})
    held = await taken(stage)
    rules = await governing(held)
    priya, ben = [(await stage.principal(name)).id for name in ("priya", "ben")]

    async def with_room() -> list[PrincipalId]:
        async with stage.tx() as tx:
            return await asking.with_room(tx, rules, [priya, ben])

    async with stage.tx() as tx:
        await rooms.lock(tx)
        await tx.settle()
        counting = asyncio.create_task(with_room())
        await until_someone_waits_for(tx)
    assert await counting == [ben]


@pytest.mark.parametrize(
    ("asks", "parked"),
    [
        ({"per_run": 3, "per_approver": 9}, ["", "", "run"]),
        ({"per_run": 9, "per_approver": 3}, ["", "", "approvers"]),
        ({"per_run": 2, "per_approver": 2}, ["", "run", "run"]),
    ],
)
async def test_what_there_is_no_room_for_is_asked_of_nobody(
    database: Database, asks: dict[str, int], parked: list[str]
) -> None:
    held = await taken(await stage_with(database, rule(quorum=1), asks=asks))
    await ask(held, 9, 9, 9)
    found = await asked(held)
    assert [each.parked for each in found] == parked
    assert [each.told for each in found] == [() if why else held.approval.told for why in parked]
    events = (await held.stage.audit("approval.asked"))[1:]
    assert [each.detail["parked"] for each in events] == parked


async def test_each_rule_needs_somebody_with_room(database: Database) -> None:
    rules = [rule(quorum=1), rule(approvers=["@security"], quorum=1)]
    stage = await stage_with(database, *rules, asks={"per_approver": 1})
    _, first = await stage.hold_quietly()
    mallory = await stage.principal("mallory")
    async with stage.tx() as tx:
        await approvals.set_shown(tx, first.id, parked="", card_id=None, told=[mallory.id])
    _, second = await stage.hold_quietly(root="root-2")
    assert second.parked == "approvers"


# --- rows ----------------------------------------------------------------------------------------


async def test_a_row_has_all_that_the_gate_said(held: Waiting) -> None:
    editor = (await held.stage.principal("anna")).id
    [demand] = held.approval.demands
    call = held_as(
        held.approval,
        seq=50,
        rule="another",
        permission="github.issues:close",
        arguments=b'{"a":1}',
        preconditions={"expires_hours": 5},
        hash="2" * 64,
        demands=(replace(demand, quorum=2),),
        expires_hours=5,
        may_edit=False,
        solo_mode=True,
        edited_by=editor,
    )
    [row] = await ask_for(held, call)
    [found] = await asked(held)
    assert found == Approval(
        id=found.id,
        run_id=held.run.id,
        step_seq=call.seq,
        conversation_id=held.ref.id,
        tool=held.approval.tool,
        permission="github.issues:close",
        arguments=b'{"a":1}',
        preconditions={"expires_hours": 5},
        hash="2" * 64,
        card=call.card,
        requested_by=held.run.requested_by,
        demands=call.demands,
        may_edit=False,
        solo_mode=True,
        rule="another",
        state=ApprovalState.PENDING,
        asked_at=found.asked_at,
        expires_at=found.asked_at + timedelta(hours=5),
        edited_by=editor,
        told=held.approval.told,
    )
    [shown] = calls_on(row)
    assert (row.approval_id, row.run_id, row.state) == (found.id, held.run.id, "queued")
    assert shown["approval"] == str(found.id)
    assert list(row.op["mention_ids"]) == ["U0ANNA", "U0PRIYA"]  # pyright: ignore
    async with held.stage.tx() as tx:
        named = await approvals.find_by_token(tx, hash_token(shown["buttons"][0]["token"]))
        agents = await tx.value(
            "SELECT count(*) FROM approvals WHERE agent_id = %(id)s", {"id": held.run.agent_id}
        )
    assert named == found
    assert agents == 2


async def test_a_request_that_is_pending_elsewhere_is_named_where_it_has_no_link(
    stage: Stage,
) -> None:
    _, first = await stage.hold_quietly()
    async with stage.tx() as tx:
        await tx.run("UPDATE runs SET request_link = ''")
    _, second = await stage.hold_quietly(root="root-2")
    assert second.card.notes == (
        *first.card.notes,
        f"The same request is pending: approval {first.id}",
    )


# --- cards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ((2000, 2000), [2]),
        ((2000, 2001), [1, 1]),
        ((1500, 1500, 1500, 2500), [2, 2]),
        ((1, 5000, 1), [1, 1, 1]),
        ((10, 10, 10, 10, 10, 10), [5]),
    ],
)
async def test_calls_share_a_card_as_long_as_they_can_be_read(
    held: Waiting, sizes: tuple[int, ...], groups: list[int]
) -> None:
    rows = await ask(held, *sizes)
    assert [len(calls_on(row)) for row in rows] == groups
    assert all((row.op["more"] == "") is (sum(groups) == len(sizes)) for row in rows)
    found = {str(each.id): each for each in await asked(held)}
    for row in rows:
        shown = [found[each["approval"]] for each in calls_on(row)]
        of_card = row.approval_id if len(shown) > 1 else None
        assert {each.card_id for each in shown} == {of_card}
        assert {each.told for each in shown} == {held.approval.told}
        assert {each.parked for each in shown} == {""}
        if of_card is None:
            assert row.approval_id == shown[0].id


@pytest.mark.parametrize(("left", "words"), [(1, "1 more call"), (2, "2 more calls")])
async def test_the_last_card_says_what_is_on_none(held: Waiting, left: int, words: str) -> None:
    rows = await ask(held, 4000, *[9] * (4 + left))
    assert [row.op["more"] for row in rows] == [
        "",
        f"{words} of this step: in the inbox, `openloop approvals get --run {held.run.id}`",
    ]
    assert [each.parked for each in await asked(held)] == [*[""] * 5, *["batch"] * left]


async def test_whoever_sends_what_was_asked_has_it_for_themselves(held: Waiting) -> None:
    rows = await ask(held, 4000, 4000, sender=new_id())
    assert rows[0].state == "sending"


async def test_a_card_of_its_own_has_a_new_token(held: Waiting) -> None:
    stage = held.stage
    old = hash_token(stage.token())
    async with stage.tx() as tx:
        row = await asking.ask_again(tx, held.work, held.run, held.approval, sender=new_id())
        token = calls_on(row)[0]["buttons"][0]["token"]
        assert await approvals.find_by_token(tx, old) is None
        assert await approvals.find_by_token(tx, hash_token(token)) == held.approval
    assert (row.state, row.approval_id, row.run_id) == ("sending", held.approval.id, held.run.id)
    assert row.op["more"] == ""
    assert list(row.op["mention_ids"]) == ["U0ANNA", "U0PRIYA"]  # pyright: ignore


async def test_what_is_shown_later_stays_on_the_card_that_it_shares(held: Waiting) -> None:
    card_id, rules = new_id(), await governing(held)
    async with held.stage.tx() as tx:
        await approvals.set_shown(
            tx, held.approval.id, parked="approvers", card_id=card_id, told=[]
        )
        waiting = await approvals.get(tx, held.approval.id)
        row = await asking.show(tx, held.work, held.run, rules, waiting)
    assert row is not None
    assert list(row.op["mention_ids"]) == ["U0ANNA", "U0PRIYA"]  # pyright: ignore
    now = await held.now()
    assert (now.parked, now.card_id, now.told) == ("", card_id, held.approval.told)


# --- redrawn -------------------------------------------------------------------------------------


@pytest.fixture
async def three(database: Database) -> tuple[Stage, list[Approval]]:
    """Three calls on one card, and more in the inbox."""
    stage = await stage_with(database, rule(quorum=1))
    ref = await hold_many(stage, *map(str, range(7)))
    return stage, await stage.approvals(ref)


async def drawn(stage: Stage, approval: Approval, outcome: str, **how: Any) -> OutboxRow | None:
    [run] = await stage.runs()
    async with stage.tx() as tx:
        return await redraw(tx, stage.workspace, approval, outcome, run=run, **how)


async def test_a_call_is_redrawn_and_those_beside_it_are_not(
    three: tuple[Stage, list[Approval]],
) -> None:
    stage, held = three
    [before] = stage.surface.cards
    button = Button(action="approve", label="Approve", token="new")
    changed = replace(held[1], card=replace(held[1].card, title="Another"))

    for approval, how in (
        (changed, {"buttons": (button,)}),
        (held[0], {"buttons": None}),
        (held[2], {}),
    ):
        row = await drawn(stage, approval, f"said of {approval.step_seq}", **how)
        assert row is not None
        assert (row.approval_id, row.run_id) == (held[0].card_id, held[0].run_id)
        assert (row.op["message_id"], row.op["more"]) == ("", before.more)
    assert row is not None
    calls = calls_on(row)

    assert [each["approval"] for each in calls] == [str(each.id) for each in held[:5]]
    assert [each["outcome"] for each in calls] == [
        *[f"said of {each.step_seq}" for each in held[:3]],
        "",
        "",
    ]
    assert [len(each["buttons"]) for each in calls] == [2, 1, 0, 2, 2]
    assert calls[1]["card"]["title"] == "Another"
    assert calls[1]["buttons"][0]["token"] == "new"


async def test_a_call_is_redrawn_on_every_card_it_is_on(held: Waiting) -> None:
    await ask(held, 9, 9)
    one, other = await asked(held)
    async with held.stage.tx() as tx:
        await asking.ask_again(tx, held.work, held.run, one)
    await drawn(held.stage, one, "Done", sender=new_id())
    settled = [row for row in await held.stage.outbox(held.ref) if row.op["op"] == "Settle"]
    assert [row.approval_id for row in settled] == [one.card_id, one.id]
    assert [len(calls_on(row)) for row in settled] == [2, 1]
    assert other.card_id == one.card_id


async def test_a_card_of_its_own_is_redrawn_where_the_shared_one_was_never_posted(
    held: Waiting,
) -> None:
    row = await drawn(held.stage, replace(held.approval, card_id=new_id()), "Done")
    assert row is not None
    assert row.approval_id == held.approval.id


async def test_what_is_on_no_card_is_not_redrawn(three: tuple[Stage, list[Approval]]) -> None:
    stage, held = three
    assert await drawn(stage, held[-1], "Done") is None


async def test_whoever_sends_what_is_redrawn_has_it_for_themselves(held: Waiting) -> None:
    row = await drawn(held.stage, held.approval, "Done", sender=new_id())
    assert row is not None
    assert row.state == "sending"
