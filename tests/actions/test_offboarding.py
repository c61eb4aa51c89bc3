"""A person leaves: every way in is closed at once, and what they asked for is taken back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop.actions import login, offboarding, tokens
from openloop.actions.offboarding import LastOwner
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Forbidden, NotAnApprover, NotFound
from openloop.domain.principal import Caller, Right, Role
from openloop.domain.run import RunState
from openloop.domain.surface import Accepted, Departure
from tests import make
from tests.actions.deciding import decide

if TYPE_CHECKING:
    from tests.make import Stage

OWNER_RIGHTS = frozenset({Right.CONFIGURE, Right.TOKENS})
TWO_OWNERS = {"roles": {**make.WORKSPACE["roles"], "owner": ["@priya", "@anna"]}}


def gone(user: str, *, tenant: str = make.TENANT) -> Accepted:
    """Slack says that somebody is deactivated."""
    left = Departure(surface="slack", installation=make.TENANT, tenant=tenant, external_id=user)
    return Accepted(departures=(left,))


async def offboard(
    stage: Stage, name: str, *, rights: frozenset[Right] = OWNER_RIGHTS
) -> offboarding.Left:
    by = await stage.principal("priya")
    caller = Caller(workspace=stage.workspace, principal=by.id, name=by.name, rights=rights)
    return await offboarding.offboard(
        stage.database, stage.workspace, name, caller=caller, by=SYSTEM, reason="they moved on"
    )


async def token_of(stage: Stage, name: str, role: Role = Role.OPERATOR) -> str:
    return await tokens.create(
        stage.database, stage.workspace, principal=name, role=role, name="t", by=SYSTEM
    )


async def cookie_of(stage: Stage, token: str) -> str:
    secret = await login.make_link(stage.database, stage.workspace, token.split("_")[2], by=SYSTEM)
    return (await login.log_in_by_link(stage.database, secret)).cookie


async def restore(stage: Stage, name: str) -> None:
    await offboarding.restore(stage.database, stage.configuration, stage.workspace, name, by=SYSTEM)


async def test_tokens_and_logins_end_at_once(stage: Stage) -> None:
    token = await token_of(stage, "ben")
    cookie = await cookie_of(stage, token)
    assert await tokens.authenticate(stage.database, token) is not None
    assert await login.recognise(stage.database, stage.configuration, cookie) is not None

    left = await offboard(stage, "ben")

    assert (left.tokens, left.logins) == (1, 1)
    assert await tokens.authenticate(stage.database, token) is None
    assert await login.recognise(stage.database, stage.configuration, cookie) is None
    (event,) = await stage.audit("principal.")
    assert (event.kind, event.detail["principal"]) == ("principal.left", "ben")


async def test_what_slack_says_counts_without_anybody_here(stage: Stage) -> None:
    token = await token_of(stage, "ben")

    await stage.intake(gone("U0BEN"))

    assert await tokens.authenticate(stage.database, token) is None
    assert not (await stage.principal("ben")).active
    (event,) = await stage.audit("principal.")
    assert (event.actor.name, event.detail["reason"]) == ("slack", "deactivated on slack")


async def test_the_same_id_in_another_team_leaves_nobody_out(stage: Stage) -> None:
    await stage.intake(gone("U0BEN", tenant="T0OTHER"))
    await stage.intake(gone("U0NOBODY"))
    assert (await stage.principal("ben")).active
    assert await stage.kinds("principal.") == []


async def test_slack_saying_it_again_changes_nothing(stage: Stage) -> None:
    await stage.intake(gone("U0BEN"))
    await stage.intake(gone("U0BEN"))
    assert await stage.kinds("principal.") == ["principal.left"]


async def test_the_writes_they_asked_for_are_withdrawn_and_their_runs_stop(stage: Stage) -> None:
    ref, _ = await stage.hold(await stage.mention(by="ben"))
    other, _ = await stage.hold(await stage.mention(by="anna", root="root-2"))

    left = await offboard(stage, "ben")

    assert (left.runs, left.approvals) == (1, 1)
    assert (await stage.approval(ref)).state == "withdrawn"
    assert (await stage.approval(other)).state == "pending"
    await stage.work(ref)
    assert (await stage.run_of(ref)).state == "cancelled"
    assert stage.surface.settled[-1].outcome == "Withdrawn: ben has left"


async def test_what_was_approved_for_them_does_not_happen_any_more(stage: Stage) -> None:
    ref, _ = await stage.hold(await stage.mention(by="ben"))
    await decide(stage, ref, "approve", by="anna")

    await offboard(stage, "ben")
    await stage.work(ref)

    assert (stage.tracker.writes, (await stage.approval(ref)).state) == ([], "withdrawn")


async def test_their_votes_count_no_more(stage: Stage) -> None:
    await stage.revise_workspace(TWO_OWNERS)
    ref, _ = await stage.hold(await stage.mention(by="ben"))
    await decide(stage, ref, "approve", by="anna")

    await offboard(stage, "anna")
    await stage.work(ref)

    assert stage.tracker.writes == []
    with pytest.raises(NotAnApprover):
        await decide(stage, ref, "approve", by="anna")


async def test_no_manifest_brings_them_back(stage: Stage) -> None:
    await offboard(stage, "ben")
    await stage.revise_workspace({"solo_mode": True})
    assert not (await stage.principal("ben")).active

    await restore(stage, "ben")

    ben = await stage.principal("ben")
    assert (ben.active, ben.roles) == (True, (Role.OPERATOR,))
    with pytest.raises(NotFound):
        await restore(stage, "ben")


async def test_whom_no_manifest_names_any_more_is_back_without_rights(stage: Stage) -> None:
    people = {name: ids for name, ids in make.WORKSPACE["people"].items() if name != "ben"}
    await offboard(stage, "ben")
    await stage.revise_workspace({"people": people, "roles": {"owner": ["@priya"]}})

    await restore(stage, "ben")

    ben = await stage.principal("ben")
    assert (ben.active, ben.roles) == (False, ())
    await stage.revise_workspace({})
    ben = await stage.principal("ben")
    assert (ben.active, ben.roles) == (True, (Role.OPERATOR,))


async def test_more_than_fits_into_a_transaction_is_taken_back_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openloop.storage.leaving.MOST", 2)
    for number in range(5):
        await stage.hold(await stage.mention(by="ben", root=f"root-{number}"))

    left = await offboard(stage, "ben")

    assert (left.runs, left.approvals) == (5, 5)
    assert await stage.count("approvals") == 5
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(*) FROM approvals WHERE state = 'withdrawn'") == 5


async def test_only_owners_say_it_of_owners_and_never_of_the_last(stage: Stage) -> None:
    with pytest.raises(LastOwner):
        await offboard(stage, "priya")
    await stage.revise_workspace(TWO_OWNERS)
    with pytest.raises(Forbidden):
        await offboard(stage, "anna", rights=frozenset({Right.CONFIGURE}))
    await offboard(stage, "anna")
    with pytest.raises(LastOwner):
        await offboard(stage, "priya")
    with pytest.raises(NotFound):
        await offboard(stage, "nobody")


async def test_of_two_owners_who_send_each_other_away_one_stays(stage: Stage) -> None:
    await stage.revise_workspace(TWO_OWNERS)

    found = await asyncio.gather(
        *(offboard(stage, name) for name in ("priya", "anna")), return_exceptions=True
    )

    assert [type(each) for each in found].count(LastOwner) == 1


async def test_who_has_left_starts_and_steers_nothing_though_the_platform_knows_them_still(
    stage: Stage,
) -> None:
    await offboard(stage, "ben")

    ref = await stage.mention("please go on", by="ben")
    await stage.work(ref)

    assert (await stage.run_of(ref)).state is RunState.DECLINED
    assert stage.models.requests == []
    assert stage.surface.performed == []
    await restore(stage, "ben")
    again = await stage.mention("please go on", by="ben", root="again")
    await stage.work(again)
    assert (await stage.run_of(again)).state is RunState.DONE
