"""Changes: what widens rights waits for somebody else, and what is approved is what was shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import rollback
from openloop.actions.checks import ConfigurationMoved
from openloop.actions.manifests import Proposal
from openloop.domain.change import (
    ChangeDecided,
    ChangeExpired,
    ChangeStale,
    ChangeState,
    NeedsOwner,
    NotAPerson,
    OwnProposal,
)
from openloop.domain.errors import Invalid, NotFound
from openloop.domain.principal import Role
from openloop.storage import agents, changes
from tests import make
from tests.actions.configuring import NARROWER, WIDER, Desk, waiting, who
from tests.manifests import EverythingIsThere
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage

FREE: dict[str, Any] = {"surfaces": []}


@pytest.fixture
async def stage(database: Database) -> Stage:
    return await make.stage(database)


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    return Desk(database=stage.database, workspace=stage.workspace)


async def test_what_widens_waits_and_what_was_in_force_stays(desk: Desk, stage: Stage) -> None:
    before = await desk.live()

    (applied,) = await desk.apply(make.agent_yaml(WIDER))

    assert (applied.changed, applied.revision) == (False, before.number)
    assert [each.path for each in applied.widenings] == ["spec.budget.monthly_usd"]
    assert await desk.live() == before
    (change,) = await desk.changes(ChangeState.PENDING)
    assert change.id == applied.change_id
    assert await stage.kinds("change.") == ["change.proposed"]


async def test_what_somebody_else_approves_is_in_force(desk: Desk, stage: Stage) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))

    (applied,) = await desk.approve(change)

    live = await desk.live()
    assert (applied.changed, applied.revision) == (True, live.number)
    assert (live.change_id, live.applied_by) == (change, await desk.principal("ben"))
    assert (await desk.manifest()).spec.budget.monthly_usd == 60
    assert (await stage.audit("agent.applied"))[-1].detail["change"] == str(change)
    (event,) = await stage.audit("change.approved")
    assert (event.actor.name, event.detail["own_proposal"]) == ("anna", False)


async def test_nobody_approves_what_they_proposed(desk: Desk) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER), by="ben"))

    with pytest.raises(OwnProposal):
        await desk.approve(change, by="ben")

    assert (await desk.manifest()).spec.budget.monthly_usd == 50


OWNERS_MATTERS: dict[str, dict[str, Any]] = {
    "a role": {"roles": {**make.WORKSPACE["roles"], "admin": ["@ben"]}},
    "an owner less": {"roles": {**make.WORKSPACE["roles"], "owner": ["@anna"]}},
    "an identity": {
        "people": {**make.WORKSPACE["people"], "priya": {"slack": "U0MALLORY"}},
    },
    "a group of logins": {"access": {"login": {"roles": {"everybody": ["owner"]}}}},
    "solo mode": {"solo_mode": True},
    "retention": {"retention": {"messages_days": 3650}},
}


@pytest.mark.parametrize("matter", OWNERS_MATTERS)
async def test_two_admins_change_no_role_and_no_identity_between_themselves(
    desk: Desk, matter: str
) -> None:
    text = make.workspace_yaml(OWNERS_MATTERS[matter])
    change = waiting(await desk.apply(text, by="ben"))

    with pytest.raises(NeedsOwner):
        await desk.approve(change, by="anna")

    await desk.approve(change, by="anna", is_owner=True)
    assert [each.state for each in await desk.changes()] == ["approved"]


async def test_where_nobody_is_an_owner_others_make_one(desk: Desk, stage: Stage) -> None:
    await stage.revise_workspace({"roles": {"admin": ["@ben", "@anna"]}})
    change = waiting(await desk.apply(make.workspace_yaml(), by="ben"))
    await desk.approve(change, by="anna")
    assert Role.OWNER in (await stage.principal("priya")).roles


async def test_what_an_owner_proposes_an_admin_may_approve(desk: Desk) -> None:
    change = waiting(await desk.apply(make.workspace_yaml(OWNERS_MATTERS["a role"]), by="priya"))
    await desk.approve(change, by="anna")
    assert [each.state for each in await desk.changes()] == ["approved"]


@pytest.mark.parametrize("mode", ["", "solo"])
async def test_a_service_approves_nothing(desk: Desk, stage: Stage, mode: str) -> None:
    await stage.revise_workspace({"solo_mode": bool(mode)})
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    await desk.principal("robot", "service")

    with pytest.raises(NotAPerson):
        await desk.approve(change, by="robot")


async def test_in_solo_mode_people_approve_their_own_and_it_is_said(
    desk: Desk, stage: Stage
) -> None:
    await stage.revise_workspace({"solo_mode": True})
    change = waiting(await desk.apply(make.agent_yaml(WIDER), by="ben"))

    await desk.approve(change, by="ben")

    (event,) = await stage.audit("change.approved")
    assert (event.detail["own_proposal"], event.detail["solo_mode"]) == (True, True)


async def test_a_proposal_of_solo_mode_does_not_approve_itself(desk: Desk) -> None:
    change = waiting(await desk.apply(make.workspace_yaml({"solo_mode": True}), by="priya"))

    with pytest.raises(OwnProposal):
        await desk.approve(change, by="priya", is_owner=True)


async def test_what_does_not_widen_is_in_force_at_once_and_the_rest_waits(desk: Desk) -> None:
    await desk.apply(make.agent_yaml(FREE, name="second"))

    applied = await desk.apply(
        make.agent_yaml(NARROWER), make.agent_yaml({**FREE, **WIDER}, name="second")
    )

    assert [(each.name, each.changed) for each in applied] == [
        ("dev-platform", True),
        ("second", False),
    ]
    await desk.approve(waiting(applied))
    assert (await desk.manifest("second")).spec.budget.monthly_usd == 60


async def test_what_needs_something_that_waits_waits_with_it(desk: Desk) -> None:
    people = {**make.WORKSPACE["people"], "mallory": {"slack": "U0MAL"}}
    wider = {"people": people, "groups": {"maintainers": ["@priya", "@anna", "@mallory"]}}
    mallory: dict[str, Any] = {
        "approvals": {**make.AGENT["approvals"], "approvers": ["@mallory"]},
        "surfaces": [],
    }

    applied = await desk.apply(
        make.workspace_yaml(wider), make.agent_yaml({**mallory, "instructions": "Hi"}, name="new")
    )

    assert [each.changed for each in applied] == [False, False]
    approved = await desk.approve(waiting(applied), is_owner=True)
    assert [each.changed for each in approved] == [True, True]


async def test_the_same_proposal_again_is_the_same_change(desk: Desk) -> None:
    first = waiting(await desk.apply(make.agent_yaml(WIDER)))
    again = waiting(await desk.apply(make.agent_yaml(WIDER)))

    assert first == again
    assert len(await desk.changes()) == 1


async def test_another_proposal_takes_the_place_of_the_first(desk: Desk) -> None:
    first = waiting(await desk.apply(make.agent_yaml(WIDER)))
    second = waiting(
        await desk.apply(make.agent_yaml({"budget": {"monthly_usd": 70, "per_task_usd": 5}}))
    )
    of_another = waiting(await desk.apply(make.agent_yaml(WIDER), by="priya"))

    states = {change.id: change.state for change in await desk.changes()}
    assert states == {first: "superseded", second: "pending", of_another: "pending"}
    with pytest.raises(ChangeDecided):
        await desk.approve(first)


async def test_what_has_moved_since_it_was_proposed_is_proposed_again(desk: Desk) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    await desk.apply(make.agent_yaml(NARROWER), by="priya")

    with pytest.raises(ChangeStale):
        await desk.approve(change)

    assert (await desk.manifest()).spec.budget.monthly_usd == 40
    assert [each.state for each in await desk.changes()] == ["stale"]


async def test_an_unrelated_apply_leaves_a_change_as_it_is(desk: Desk) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    await desk.apply(make.agent_yaml(FREE, name="second"), by="priya")

    await desk.approve(change)

    assert (await desk.manifest()).spec.budget.monthly_usd == 60


async def test_a_rejected_change_is_over(desk: Desk, stage: Stage) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    await desk.reject(change)

    with pytest.raises(ChangeDecided):
        await desk.approve(change)
    with pytest.raises(ChangeDecided):
        await desk.reject(change)
    assert [event.detail["reason"] for event in await stage.audit("change.rejected")] == ["not now"]


async def test_people_take_their_own_proposals_back(desk: Desk) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER), by="ben"))

    await desk.reject(change, by="ben")

    assert [each.state for each in await desk.changes()] == ["rejected"]


async def test_a_change_that_nobody_decides_expires(
    desk: Desk, stage: Stage, conninfo: str
) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    clock = make.Clock(conninfo)
    try:
        await clock.advance(hours=changes.KEEP_DAYS * 24 + 1)
        with pytest.raises(ChangeExpired):
            await desk.approve(change)
        assert [each.state for each in await desk.changes()] == ["expired"]
        again = waiting(await desk.apply(make.agent_yaml(WIDER)))
    finally:
        clock.restore()
    assert again != change


async def test_of_two_approvals_at_once_the_first_counts(desk: Desk) -> None:
    change = waiting(await desk.apply(make.agent_yaml(WIDER)))
    async with desk.database.transaction(desk.workspace) as tx:
        await agents.lock_workspace(tx, desk.workspace)
        both = [asyncio.create_task(desk.approve(change, by=name)) for name in ("anna", "priya")]
        await until_someone_waits_for(tx, waiters=2)

    done = await asyncio.gather(*both, return_exceptions=True)

    assert sorted(type(each).__name__ for each in done) == ["ChangeDecided", "list"]


async def test_an_apply_between_the_look_and_the_lock_is_noticed(desk: Desk) -> None:
    """A narrowing is judged against what was in force; what is in force now may be narrower still."""
    async with desk.database.transaction(desk.workspace) as tx:
        await agents.lock_workspace(tx, desk.workspace)
        both = [
            asyncio.create_task(
                desk.apply(make.agent_yaml({"budget": {"monthly_usd": usd, "per_task_usd": 5}}))
            )
            for usd in (10, 40)
        ]
        await until_someone_waits_for(tx, waiters=2)

    done = await asyncio.gather(*both, return_exceptions=True)

    assert sorted(type(each).__name__ for each in done) == [ConfigurationMoved.__name__, "list"]


# --- beginning -----------------------------------------------------------------------------------


async def test_an_owner_begins_an_agent_at_once_and_others_propose_it(desk: Desk) -> None:
    (owner,) = await desk.apply(make.agent_yaml(FREE, name="second"), may_begin=True)
    (admin,) = await desk.apply(make.agent_yaml(FREE, name="third"), may_begin=False)

    assert owner.changed
    assert (admin.changed, admin.revision) == (False, 0)
    await desk.approve(waiting([admin]))
    assert (await desk.live("third")).number == 1


# --- syncing -------------------------------------------------------------------------------------


async def test_a_sync_applies_what_narrows_and_proposes_what_widens(desk: Desk) -> None:
    narrowed = await desk.sync(make.agent_yaml(NARROWER), version="one")
    widened = await desk.sync(make.agent_yaml(WIDER), version="two")

    assert [each.changed for each in (*narrowed, *widened)] == [True, False]
    (change,) = await desk.changes()
    assert (change.origin, change.version) == ("sync here", "two")
    async with desk.database.transaction(desk.workspace) as tx:
        (source,) = await changes.list_sources(tx)
    assert (source.outcome, source.version, source.change_id) == ("pending", "two", change.id)


async def test_a_sync_begins_nothing_and_widens_nothing_in_solo_mode_either(
    desk: Desk, stage: Stage
) -> None:
    await stage.revise_workspace({"solo_mode": True})

    (new,) = await desk.sync(make.agent_yaml(FREE, name="second"))
    (wider,) = await desk.sync(make.agent_yaml(WIDER))

    assert not new.changed
    assert not wider.changed
    with pytest.raises(NotFound):
        await desk.live("second")


async def test_a_refused_sync_is_recorded_and_the_last_good_stays(desk: Desk, stage: Stage) -> None:
    await desk.sync(make.agent_yaml(NARROWER), version="good")
    for version in ("bad", "bad too"):
        with pytest.raises(Invalid):
            await desk.sync(make.agent_yaml({"budgt": {}}), version=version)

    assert (await desk.manifest()).spec.budget.monthly_usd == 40
    async with desk.database.transaction(desk.workspace) as tx:
        (source,) = await changes.list_sources(tx)
    assert (source.outcome, source.version) == ("refused", "bad too")
    assert "budgt" in source.detail
    assert len(await stage.audit("config.refused")) == 1


# --- going back ----------------------------------------------------------------------------------


async def roll_back(desk: Desk, number: int | None = None) -> Any:
    proposal = Proposal(by=await desk.principal("ben"), who=who("ben"))
    return await rollback.roll_back_agent(
        desk.database,
        desk.workspace,
        "dev-platform",
        number,
        world=EverythingIsThere(),
        proposal=proposal,
    )


async def test_going_back_to_something_narrower_is_done_at_once(desk: Desk) -> None:
    await desk.approve(waiting(await desk.apply(make.agent_yaml(WIDER))))

    (applied,) = await roll_back(desk)

    assert (applied.changed, applied.revision) == (True, 3)
    live = await desk.live()
    assert live.origin == "rollback"
    assert (await desk.manifest()).spec.budget.monthly_usd == 50


async def test_going_back_to_something_wider_waits_for_somebody_else(desk: Desk) -> None:
    await desk.apply(make.agent_yaml(NARROWER))

    (applied,) = await roll_back(desk, 1)

    assert not applied.changed
    assert (await desk.manifest()).spec.budget.monthly_usd == 40
    await desk.approve(waiting([applied]))
    assert (await desk.manifest()).spec.budget.monthly_usd == 50


async def test_there_is_nothing_before_the_first_revision(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await roll_back(desk)
    with pytest.raises(NotFound):
        await roll_back(desk, 7)
