"""People and services as rows: who is who, and what a token gives of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.actions import tokens
from openloop.actions.people import INSTALLATION
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Invalid
from openloop.domain.principal import RIGHTS, Right, Role, rights_of
from openloop.storage import principals
from tests import make

if TYPE_CHECKING:
    from tests.make import Stage

APPROVED_BY_ANNA = {
    "roles": {"owner": ["@priya"], "approver": ["@anna"], "admin": ["@anna"]},
}


async def rights(stage: Stage, name: str, role: Role) -> frozenset[Right]:
    token = await tokens.create(
        stage.database, stage.workspace, principal=name, role=role, name="t", by=SYSTEM
    )
    caller = await tokens.authenticate(stage.database, token)
    assert caller is not None
    return caller.rights


async def test_a_person_called_owner_is_not_the_service_of_the_first_start(stage: Stage) -> None:
    people = {**make.WORKSPACE["people"], "owner": {"slack": "U0OWNER"}}
    async with stage.tx() as tx:
        service = await principals.ensure_service(tx, stage.workspace, INSTALLATION)

    await stage.revise_workspace({"people": people})

    assert (await stage.principal("owner")).id != service
    assert (await stage.principal("owner")).roles == ()


async def test_a_person_never_takes_over_a_service_of_that_name(stage: Stage) -> None:
    """Else the tokens of a robot would vote."""
    await rights(stage, "robot", Role.OPERATOR)
    people = {**make.WORKSPACE["people"], "robot": {"slack": "U0ROBOT"}}

    with pytest.raises(Invalid) as refused:
        await stage.revise_workspace({"people": people})

    assert refused.value.code == "principal_name_taken"
    assert (await stage.principal("robot")).kind == "service"


async def test_the_first_token_becomes_the_first_owners_own(stage: Stage) -> None:
    token = await tokens.create(
        stage.database,
        stage.workspace,
        principal=INSTALLATION,
        role=Role.OWNER,
        name="first start",
        by=SYSTEM,
    )
    before = await tokens.authenticate(stage.database, token)
    assert before is not None
    assert before.name == INSTALLATION

    await stage.revise_workspace({"solo_mode": True})

    after = await tokens.authenticate(stage.database, token)
    assert after is not None
    assert (after.name, after.principal) == ("priya", (await stage.principal("priya")).id)
    assert after.rights >= RIGHTS[Role.OWNER]
    (event,) = await stage.audit("token.adopted")
    assert event.detail["principal"] == "priya"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SYNC])
async def test_a_token_gives_a_person_no_more_than_their_roles_of_now(
    stage: Stage, role: Role
) -> None:
    """Every role of a token, for people of every kind; a service has what its token says."""
    await stage.revise_workspace(APPROVED_BY_ANNA)
    carried = RIGHTS[role] | (frozenset[Right]() if role is Role.VIEWER else RIGHTS[Role.APPROVER])
    expected = {
        "robot": RIGHTS[role],
        "priya": RIGHTS[role] & RIGHTS[Role.OWNER],
        "anna": carried & rights_of((Role.APPROVER, Role.ADMIN)),
        "ben": RIGHTS[role] & RIGHTS[Role.OPERATOR],  # listed without a role: a member
    }
    assert {name: await rights(stage, name, role) for name in expected} == expected


async def test_whoever_loses_a_role_loses_it_for_the_tokens_that_are_out(stage: Stage) -> None:
    token = await tokens.create(
        stage.database, stage.workspace, principal="priya", role=Role.OWNER, name="t", by=SYSTEM
    )
    await stage.revise_workspace({"roles": {"owner": ["@anna"], "viewer": ["@priya"]}})
    caller = await tokens.authenticate(stage.database, token)
    assert caller is not None
    assert caller.rights == {Right.SEE}


async def test_a_person_whom_the_manifest_names_no_more_is_out_for_good(stage: Stage) -> None:
    """Somebody else may have the name later: what the first one held is not theirs."""
    token = await tokens.create(
        stage.database, stage.workspace, principal="ben", role=Role.OPERATOR, name="t", by=SYSTEM
    )
    people = {name: ids for name, ids in make.WORKSPACE["people"].items() if name != "ben"}
    roles = {role: who for role, who in make.WORKSPACE["roles"].items() if role != "operator"}

    await stage.revise_workspace({"people": people, "roles": roles})
    assert await tokens.authenticate(stage.database, token) is None

    await stage.revise_workspace({"people": {**people, "ben": {"slack": "U0OTHER"}}})
    assert await tokens.authenticate(stage.database, token) is None
    (event,) = await stage.audit("principal.")
    assert (event.kind, event.detail["principal"], event.detail["tokens"]) == (
        "principal.removed",
        "ben",
        [token.split("_")[2]],
    )
