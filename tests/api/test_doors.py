"""One rule at every door: who is named and an approver votes, however they come; nobody else does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli import approvals as cli
from openloop.cli.client import Client, Server
from openloop.domain.approval import ApprovalState
from openloop.domain.errors import Forbidden
from openloop.domain.groups import GroupMembers
from openloop.domain.principal import Role
from openloop.domain.surface import Person
from openloop.runtime.choosing import Choosing
from openloop.runtime.mirror import Mirror
from tests import make
from tests.api.browsing import SUBJECT, Browser, make_issuer, with_issuer
from tests.api.conftest import open_api, person_token
from tests.api.server import served
from tests.runtime.fakes import FakeSurface

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.surface import Place
    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Clock, Stage

DOORS = ("slack", "github", "api", "cli")
GROUP = "S0LEADS"
NAMED: dict[str, Any] = {
    "approvals": {"require_for": ["github.issues:write"], "approvers": ["@leads"]}
}
PEOPLE: dict[str, Any] = {
    "people": {
        "priya": {"slack": "U0PRIYA"},
        "anna": {"slack": "U0ANNA", "login": SUBJECT},
        "ben": {"slack": "U0BEN"},
    },
    "groups": {"leads": ["@priya", "@anna"]},
}
ROLES: dict[str, Any] = {"owner": ["@anna"], "approver": ["@priya"], "operator": ["@ben"]}


@dataclass
class Platform(FakeSurface):
    """A platform on which everybody may write, and which has a group."""

    members: tuple[str, ...] = field(default=())

    async def person_in(self, place: Place, user_id: str) -> Person:
        return Person(id=user_id, name="", kind="member", standing="write")

    async def group_members(self, group_id: str) -> GroupMembers:
        return GroupMembers(tenant=make.TENANT, ids=self.members)


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Two people are named to decide; one of them, an owner, is no approver."""
    stage = await make.stage(database, agent=NAMED, workspace={**PEOPLE, "roles": ROLES})
    stage.surface = Platform()
    return stage


async def approve(stage: Stage, door: str, *, role: Role = Role.OPERATOR) -> ConversationRef:
    """A held call of which Anna says at this door that it may be made."""
    root = f"root-{await stage.count('runs')}"
    ref, button = await stage.hold(await stage.mention(by="ben", root=root))
    id = str((await stage.approval(ref)).id)
    if door == "slack":
        await stage.press("approve", by="anna", token=button, root=root)
    elif door == "github":
        inbound = make.click("approve", button, by="anna", root=root)
        await stage.take(replace(inbound, from_anybody=True))
        await Choosing(replace(stage.kit(), surfaces={"slack": stage.surface})).once()
    else:
        token = await person_token(stage.database, stage.workspace, "anna", role)
        async with open_api(stage.database, stage.workspace) as api:
            if door == "api":
                path = f"/api/v1/approvals/{id}/vote"
                answer = await api.post(path, {"decision": "approve"}, by=token)
                assert answer.status_code in (200, 403)
            else:
                await by_command(api, token, id)
    return ref


async def vote(stage: Stage, door: str, *, role: Role = Role.OPERATOR) -> ApprovalState:
    """What becomes of a call that Anna approves at this door."""
    return (await stage.approval(await approve(stage, door, role=role))).state


async def by_command(api: Api, token: str, id: str) -> None:
    async with served(api) as http:
        client = Client(Server(url=str(http.base_url), token=token))
        try:
            await asyncio.to_thread(cli.vote, client, id, "approve")
        except Forbidden:
            return


@pytest.mark.parametrize("door", DOORS)
async def test_who_is_named_and_no_approver_does_not_vote(stage: Stage, door: str) -> None:
    """Not even an owner: to run a workspace is one thing, to agree to its effects is another."""
    assert await vote(stage, door) is ApprovalState.PENDING
    assert await stage.count("votes") == 0
    refused = [each.detail["code"] for each in await stage.audit("click.refused")]
    assert refused == (["not_an_approver"] if door in ("slack", "github") else [])


@pytest.mark.parametrize("door", DOORS)
async def test_who_is_named_and_an_approver_votes(stage: Stage, door: str) -> None:
    await stage.revise_workspace({**PEOPLE, "roles": {**ROLES, "approver": ["@leads"]}})
    assert await vote(stage, door) is ApprovalState.APPROVED


@pytest.mark.parametrize("door", DOORS)
async def test_an_approver_who_is_not_named_does_not_vote(stage: Stage, door: str) -> None:
    roles = {**ROLES, "approver": ["@priya", "@anna"]}
    await stage.revise_workspace({**PEOPLE, "groups": {"leads": ["@priya"]}, "roles": roles})
    assert await vote(stage, door) is ApprovalState.PENDING


@pytest.mark.parametrize("door", DOORS)
async def test_whom_a_mirrored_group_makes_an_approver_votes(
    stage: Stage, door: str, clock: Clock
) -> None:
    roles = {**ROLES, "approver": ["@leads"]}
    leads = {"groups": {"leads": ["@priya"]}, "access": {"slack_groups": {"leads": GROUP}}}
    await stage.revise_workspace({**PEOPLE, **leads, "roles": roles})
    assert await vote(stage, door) is ApprovalState.PENDING

    stage.surface = Platform(members=("U0ANNA",))
    await clock.advance(seconds=61)
    await Mirror(stage.database, {"slack": stage.surface}).once()

    assert await vote(stage, door) is ApprovalState.APPROVED


@pytest.mark.parametrize("door", DOORS)
async def test_whom_the_provider_makes_an_approver_votes_while_it_vouches_for_them(
    database: Database, stage: Stage, door: str
) -> None:
    access = {"login": {"roles": {"engineering": ["operator", "approver"]}}}
    await stage.revise_workspace({**PEOPLE, "roles": ROLES, "access": access})
    assert await vote(stage, door) is ApprovalState.PENDING

    issuer = make_issuer()
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        assert (await browser.log_in(issuer)).status_code == 200
        ref = await approve(stage, door)
        assert (await stage.approval(ref)).state is ApprovalState.APPROVED
        assert (await browser.post("/api/v1/logout", {})).status_code == 204

    await stage.work(ref)
    [approval] = await stage.approvals(ref)
    assert approval.state is ApprovalState.PENDING
    assert approval.reason == "the vote of anna does not count any more"
    assert stage.tracker.writes == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SYNC])
async def test_a_token_that_only_looks_votes_for_nobody(stage: Stage, role: Role) -> None:
    """What is lent to a dashboard or a check is no vote, whoever lent it."""
    await stage.revise_workspace({**PEOPLE, "roles": {**ROLES, "approver": ["@leads"]}})
    assert await vote(stage, "api", role=role) is ApprovalState.PENDING
    await stage.revise_workspace({**PEOPLE, "roles": ROLES})
    assert await vote(stage, "api", role=role) is ApprovalState.PENDING


async def test_nobody_who_may_not_vote_is_asked_to(stage: Stage) -> None:
    ref, _ = await stage.hold()
    priya = await stage.principal("priya")
    assert (await stage.approval(ref)).told == (priya.id,)
