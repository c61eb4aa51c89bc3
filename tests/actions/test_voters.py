"""Who somebody is to a held call, and which buttons it has."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.buttons import buttons_of, hash_token, new_token
from openloop.actions.opening import open_approval
from openloop.actions.voters import may_vote, voter_of
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import Who
from openloop.domain.ids import PrincipalId, new_id
from openloop.domain.surface import Actor, Button

if TYPE_CHECKING:
    from openloop.domain.approval import Voter
    from tests.make import Stage


async def voter(
    stage: Stage, name: str, *, asked: Actor | None = None, who: Who | None = None, **now: Any
) -> Voter:
    """Somebody to the newest call, which somebody else may have asked for."""
    person = replace(await stage.principal(name), **now)
    [run] = await stage.runs()
    async with stage.tx() as tx:
        id = await tx.value("SELECT id FROM approvals")
        open_one = await open_approval(tx, stage.configuration, id)
        run = replace(open_one.run, requested_by=asked or run.requested_by)
        return await voter_of(tx, open_one.governing, run, open_one.approval, person, who=who)


async def test_a_voter_has_the_rights_of_now(stage: Stage) -> None:
    await stage.hold_quietly()
    priya, ben = await voter(stage, "priya"), await voter(stage, "ben")
    assert (priya.name, priya.principal_id) == ("priya", (await stage.principal("priya")).id)
    assert (priya.references, ben.references) == ({"@maintainers"}, frozenset())
    assert (priya.is_owner, (await voter(stage, "anna")).is_owner) == (True, False)
    assert priya.is_active
    assert not (await voter(stage, "priya", active=False)).is_active
    assert not (await voter(stage, "priya", kind="service")).is_active


@pytest.mark.parametrize("has_manifest", [True, False])
async def test_who_may_vote_is_an_active_person_and_an_approver_of_now(
    stage: Stage, *, has_manifest: bool
) -> None:
    if not has_manifest:
        async with stage.tx() as tx:
            await tx.run("DELETE FROM workspace_revisions")

    async def may(**now: Any) -> bool:
        row: dict[str, Any] = {"roles": ["approver"], "active": True, "kind": "person", **now}
        async with stage.tx() as tx:
            await tx.run(
                """
                UPDATE principals SET roles = %(roles)s, active = %(active)s, kind = %(kind)s
                WHERE name = 'ben'
                """,
                row,
            )
        ben = await stage.principal("ben")
        return await may_vote(stage.database, stage.configuration, stage.workspace, ben.id)

    assert await may()
    assert not await may(roles=["operator"])
    assert not await may(roles=[])
    assert not await may(active=False)
    assert not await may(kind="service")
    unknown = PrincipalId(new_id())
    assert not await may_vote(stage.database, stage.configuration, stage.workspace, unknown)


async def test_whoever_asked_did_so_by_any_of_their_ids(stage: Stage) -> None:
    await stage.hold_quietly()
    assert (await voter(stage, "ben")).is_requester
    assert not (await voter(stage, "anna")).is_requester

    id = str((await stage.principal("anna")).id)
    console = Actor(surface="console", tenant="", id=id)
    assert (await voter(stage, "anna", asked=console)).is_requester
    assert not (await voter(stage, "ben", asked=console)).is_requester
    assert not (await voter(stage, "anna", asked=replace(console, surface="slack"))).is_requester

    phone = Actor(surface="slack", tenant="T0OTHER", id="U0PHONE")
    came = Who(kind="principal", surface="slack", external_id="U0PHONE")
    for who, is_requester in (
        (came, True),
        (replace(came, external_id="U0MAC"), False),
        (replace(came, surface="github"), False),
        (None, False),
    ):
        assert (await voter(stage, "anna", asked=phone, who=who)).is_requester is is_requester


async def test_what_can_be_decided_is_what_the_buttons_say(stage: Stage) -> None:
    _, held = await stage.hold_quietly()
    assert buttons_of(held, "t") == (
        Button(action="approve", label="Approve", token="t", style="primary"),
        Button(action="deny", label="Reject", token="t", style="danger"),
    )
    assert buttons_of(replace(held, state=ApprovalState.UNKNOWN), "t") == (
        Button(action="happened", label="It happened", token="t", style="primary"),
        Button(action="retry", label="Try again", token="t"),
    )


def test_a_token_is_random_and_only_its_hash_is_kept() -> None:
    assert len(new_token()) == 22  # 128 bits
    assert new_token() != new_token()
    assert hash_token("t") == hashlib.sha256(b"t").digest()
