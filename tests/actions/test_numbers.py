"""Whom a login names on GitHub: anybody who has it tomorrow, so that it gives nobody a right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import plan
from tests import make
from tests.actions.configuring import Desk, files_of
from tests.manifests import EverythingIsThere, workspace_yaml
from tests.runtime.fakes import reply
from tests.runtime.gating import Service, calls, create, own, rules, with_service

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage

ANNA = "spec.people.anna.github"


def people(github: object) -> dict[str, Any]:
    """The workspace, with this of Anna."""
    known = {**make.WORKSPACE["people"], "anna": {"slack": "U0ANNA", "github": github}}
    return {"people": known}


@pytest.mark.parametrize(("github", "told"), [("anna", [ANNA]), (4711, [])])
async def test_a_plan_and_an_apply_say_what_a_login_is_good_for(
    stage: Stage, github: object, told: list[str]
) -> None:
    """Each time, also where nothing has changed: it is taken, and gives nothing."""
    text = workspace_yaml(people(github))
    desk = Desk(stage.database, stage.workspace)
    for _ in range(2):
        planned = await plan.plan(
            stage.database, stage.workspace, files_of(text), world=EverythingIsThere()
        )
        [document] = planned.documents
        assert [each.part for each in document.inactive] == told
        [applied] = await desk.apply(text)
        assert applied.inactive == document.inactive
        assert all("write the number" in each.reason for each in applied.inactive)
        await stage.revise_workspace(people(github))


@pytest.mark.parametrize("github", ["anna", 4711])
async def test_own_rights_are_those_of_a_number_only(database: Database, github: object) -> None:
    """GitHub would say yes to whoever has the login today, and is not asked."""
    stage = await make.stage(database, agent=own(), workspace=people(github))
    service = Service(yes={(who, "acme/platform", "write") for who in ("#4711", "anna")})
    with_service(stage, service)
    stage.models.turns = [reply("", create()), reply("Done.")]
    ref = await stage.mention(by="anna")
    await stage.work(ref)

    may = isinstance(github, int)
    assert (await rules(stage, ref) == ["spec.tools[0].requester_rights: own"]) is not may
    assert {each[0] for each in service.asked} == ({"#4711"} if may else set[str]())
    if not may:
        [denied] = await calls(stage, ref)
        assert "which no login is" in str(denied.output)
