"""The held calls of one model step: decided one by one, on few cards, and never too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.approval import ApprovalState
from openloop.domain.run import RunState
from openloop.storage import approvals
from tests import make
from tests.actions.asking import PEOPLE, hold_many, rule, stage_with
from tests.actions.deciding import whispers
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


async def states(stage: Stage, ref: ConversationRef) -> list[str]:
    return [str(each.state) for each in await stage.approvals(ref)]


async def test_the_calls_of_one_step_share_a_card_and_nothing_else(stage: Stage) -> None:
    ref = await hold_many(stage, "one", "two", "three")

    [card] = stage.surface.cards
    assert [each.card.fields[1].value for each in card.asked] == ["one", "two", "three"]
    assert len(set(stage.tokens())) == 3
    held = await stage.approvals(ref)
    assert len({each.hash for each in held}) == 3
    assert [str(each.id) for each in held] == [each.approval for each in card.asked]


async def test_what_is_decided_does_not_wait_for_the_others(stage: Stage) -> None:
    ref = await hold_many(stage, "one", "two", "three")
    one, two, three = stage.tokens()

    await stage.press("approve", by="anna", token=two)
    await stage.work(ref)
    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["two"]
    assert len(stage.models.requests) == 1  # the model gets all results once each is decided
    drawn = stage.surface.settled[-1]
    assert [each.outcome.partition(":")[0] for each in drawn.asked] == ["", "Done", ""]
    assert [len(each.buttons) for each in drawn.asked] == [2, 0, 2]

    await stage.press("deny", by="priya", token=one)
    await stage.work(ref)
    assert len(stage.models.requests) == 1
    await stage.press("approve", by="anna", token=three)
    await stage.work(ref)

    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["two", "three"]
    results = [m.content for m in stage.models.requests[-1].messages if m.role == "tool"]
    assert ["rejected" in each for each in results] == [True, False, False]
    assert await states(stage, ref) == ["denied", "executed", "executed"]
    assert stage.surface.said == ["All done."]


async def test_what_nobody_decides_expires_and_the_model_gets_the_rest(
    stage: Stage, clock: Clock
) -> None:
    ref = await hold_many(stage, "one", "two")
    await stage.press("approve", by="anna", token=stage.tokens()[0])
    await stage.work(ref)
    await clock.advance(hours=73)
    await stage.work(ref)

    assert await states(stage, ref) == ["executed", "expired"]
    assert stage.surface.said == ["All done."]


async def test_five_stand_on_a_card_and_the_rest_waits_in_the_inbox(stage: Stage) -> None:
    ref = await hold_many(stage, *map(str, range(7)))

    [card] = stage.surface.cards
    assert len(card.asked) == 5
    run = await stage.run_of(ref)
    assert card.more.startswith("2 more calls of this step: in the inbox")
    assert str(run.id) in card.more
    held = await stage.approvals(ref)
    assert [each.parked for each in held] == [""] * 5 + ["batch"] * 2
    # They are decided like all others, and the run waits for them, too.
    for each in held:
        await _approve(stage, each.id)
    await stage.work(ref)
    assert len(stage.tracker.issues) == 7
    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_a_long_call_has_a_card_of_its_own(stage: Stage) -> None:
    stage.models.turns = [
        reply(
            "These.",
            ("github__create_issue", '{"repo": "acme/platform", "title": "short"}'),
            (
                "github__create_issue",
                '{"repo": "acme/platform", "title": "long", "body": "%s"}' % ("x" * 5000),
            ),
            ("github__create_issue", '{"repo": "acme/platform", "title": "also short"}'),
        ),
        reply("All done."),
    ]
    await stage.work(await stage.mention())
    assert [len(card.asked) for card in stage.surface.cards] == [1, 1, 1]


async def test_the_same_call_twice_in_one_step_is_asked_and_made_once(stage: Stage) -> None:
    stage.models.turns = [reply("Both.", make.CREATE, make.CREATE), reply("All done.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert len(await stage.approvals(ref)) == 1

    await stage.press("approve", by="anna")
    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    results = [m.content for m in stage.models.requests[-1].messages if m.role == "tool"]
    assert len(results) == 2
    assert "asked about and made once" in results[1]


async def test_the_same_request_of_another_run_is_shown_and_decided_apart(stage: Stage) -> None:
    first, _ = await stage.hold()
    second, token = await stage.hold(await stage.mention(root="root-2"))

    note = stage.surface.cards[-1].card.notes[-1]
    assert note.startswith("The same request is pending: https://slack.example/message-")
    assert not any("same request" in note for note in stage.surface.cards[0].card.notes)
    await stage.press("approve", by="anna", token=token, root="root-2")
    await stage.work(second)

    assert len(stage.tracker.writes) == 1
    assert (await stage.approval(first)).state is ApprovalState.PENDING


# --- fatigue -------------------------------------------------------------------------------------


async def test_a_run_that_asks_for_ever_is_parked(database: Database) -> None:
    """It asks a thousand times, and people reject it each time: they are asked three times."""
    stage = await stage_with(database, rule(quorum=1), asks={"per_run": 3, "per_approver": 100})
    ref = await stage.mention()
    stage.models.turns = [
        reply("Again.", ("github__create_issue", f'{{"repo": "acme/platform", "title": "{n}"}}'))
        for n in range(1000)
    ]
    await stage.work(ref)
    for _ in range(3):
        await stage.press("deny", by="anna")
        await stage.work(ref)

    assert len(stage.surface.cards) == 3
    assert (await stage.run_of(ref)).state is RunState.WAITING
    approval = await stage.approval(ref)
    assert (approval.state, approval.parked) == (ApprovalState.PENDING, "run")
    for _ in range(3):
        await stage.sweep_and_work(ref)
    assert len(stage.surface.cards) == 3
    # It can still be decided, by whoever looks into the inbox.
    await _approve(stage, approval.id)
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_nobody_is_asked_about_more_than_so_many_things_at_once(database: Database) -> None:
    """Ten runs ask at once; people have room for two, and the others are asked as that frees up."""
    stage = await stage_with(database, rule(quorum=1), asks={"per_run": 20, "per_approver": 2})
    refs = [(await stage.hold_quietly(root=f"root-{n}"))[0] for n in range(10)]
    assert len(stage.surface.cards) == 2
    assert [(await stage.approval(ref)).parked for ref in refs] == ["", "", *["approvers"] * 8]

    for n, ref in enumerate(refs):
        await _approve(stage, (await stage.approval(ref)).id)
        await stage.work(ref)
        for other in refs[n + 1 :]:
            await stage.work(other)
        assert len(stage.surface.cards) == min(n + 3, 10)

    assert len(stage.tracker.writes) == 10


async def test_whoever_has_no_room_is_not_mentioned_while_others_have(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1), asks={"per_approver": 1})
    ref, _ = await stage.hold()
    anna = await stage.principal("anna")
    async with stage.tx() as tx:
        approval = await stage.approval(ref)
        await approvals.set_shown(tx, approval.id, parked="", card_id=None, told=[anna.id])

    await stage.hold(await stage.mention(root="root-2"))

    assert stage.surface.cards[-1].mention_ids == ("U0PRIYA",)


async def test_there_is_no_button_for_all_of_them(stage: Stage) -> None:
    """A token is of one call: pressing one decides one."""
    ref = await hold_many(stage, *map(str, range(5)))
    await stage.press("approve", by="anna", token=stage.tokens()[0])
    assert await states(stage, ref) == ["approved", *["pending"] * 4]
    assert whispers(stage) == []


async def test_the_limits_are_of_the_workspace_that_is_live(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1), asks={"per_approver": 1})
    await stage.hold()
    await stage.revise_workspace({**PEOPLE, "asks": {"per_approver": 2}})
    await stage.hold(await stage.mention(root="root-2"))
    assert len(stage.surface.cards) == 2


async def _approve(stage: Stage, id: object) -> None:
    from openloop.actions.vote import vote  # noqa: PLC0415

    await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        id,  # pyright: ignore[reportArgumentType]
        "approve",
        by=await stage.principal("anna"),
        via="api",
    )
