"""Plans and changes over HTTP: who may look, who may propose, and who may agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.principal import Role
from tests import make
from tests.actions.configuring import NARROWER, WIDER
from tests.api.conftest import person_token

if TYPE_CHECKING:
    import httpx

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage


async def send(api: Api, verb: str, *texts: str, by: str = "owner", **more: Any) -> httpx.Response:
    files = [{"name": f"{index}.yaml", "text": text} for index, text in enumerate(texts, 1)]
    return await api.post(f"/api/v1/manifests/{verb}", {"files": files, **more}, by=by)


@pytest.fixture
async def priya(database: Database, stage: Stage) -> str:
    """A token of the person who owns the workspace."""
    return await person_token(database, stage.workspace, "priya", Role.OWNER)


async def test_a_token_that_only_sees_plans(api: Api, stage: Stage) -> None:
    before = await stage.kinds()

    answer = await send(api, "plan", make.agent_yaml({**WIDER, "instructions": "Hi"}), by="viewer")

    (document,) = answer.json()["documents"]
    assert (document["kind"], document["verb"], document["revision"]) == ("Agent", "change", 2)
    assert document["differences"] == [
        {"path": "spec.instructions", "before": "", "after": "Hi"},
        {"path": "spec.budget.monthly_usd", "before": "50", "after": "60"},
    ]
    assert document["widenings"] == [
        {"path": "spec.budget.monthly_usd", "sentence": "50 becomes 60"}
    ]
    assert await stage.kinds() == before


async def test_a_widening_is_proposed_seen_and_approved(api: Api, priya: str) -> None:
    (waits,) = (await send(api, "apply", make.agent_yaml(WIDER), by="admin")).json()["results"]
    change = waits["change_id"]

    seen = (await api.get(f"/api/v1/changes/{change}", by="viewer")).json()
    assert (seen["state"], seen["proposed_by"]) == ("pending", "admin-robot")
    assert seen["documents"][0]["widenings"] == waits["widenings"]
    assert [file["text"] for file in seen["files"]] == [make.agent_yaml(WIDER)]
    voted = await api.post(f"/api/v1/changes/{change}/vote", {"decision": "approve"}, by=priya)

    assert voted.status_code == 200, voted.text
    assert voted.json()["change"]["decided_by"] == "priya"
    assert [each["changed"] for each in voted.json()["results"]] == [True]
    (revision, _) = (await api.get("/api/v1/agents/dev-platform/revisions")).json()["items"]
    assert (revision["applied_by"], revision["change_id"]) == ("admin-robot", change)
    listed = (await api.get("/api/v1/changes?state=approved")).json()["items"]
    assert [each["id"] for each in listed] == [change]


async def test_neither_the_proposer_nor_a_service_approves(api: Api, priya: str) -> None:
    (mine,) = (await send(api, "apply", make.agent_yaml(WIDER), by=priya)).json()["results"]

    for by, code in ((priya, "own_proposal"), ("owner", "not_a_person")):
        answer = await api.post(
            f"/api/v1/changes/{mine['change_id']}/vote", {"decision": "approve"}, by=by
        )
        assert (answer.status_code, answer.json()["code"]) == (403, code)


async def test_an_admin_proposes_a_new_agent_and_an_owner_begins_one(api: Api) -> None:
    new = make.agent_yaml({"surfaces": []}, name="second")

    (proposed,) = (await send(api, "apply", new, by="admin")).json()["results"]
    (begun,) = (await send(api, "apply", new, by="owner")).json()["results"]

    assert (proposed["changed"], begun["changed"]) == (False, True)


async def test_a_token_of_role_sync_syncs_and_does_nothing_else(api: Api) -> None:
    narrower, wider = make.agent_yaml(NARROWER), make.agent_yaml(WIDER)
    where = {"origin": "sync https://git.example/config", "version": "c0ffee"}

    (applied,) = (await send(api, "sync", narrower, by="sync", **where)).json()["results"]
    (waits,) = (await send(api, "sync", wider, by="sync", **where)).json()["results"]

    assert (applied["changed"], waits["changed"]) == (True, False)
    vote = f"/api/v1/changes/{waits['change_id']}/vote"
    assert (await api.post(vote, {"decision": "approve"}, by="sync")).status_code == 403
    assert (await send(api, "apply", narrower, by="sync")).status_code == 403
    (source,) = (await api.get("/api/v1/manifests/sources", by="viewer")).json()["items"]
    assert (source["outcome"], source["version"], source["is_late"]) == ("pending", "c0ffee", False)


async def test_a_three_way_diff_tells_who_moved_what(api: Api) -> None:
    await send(api, "apply", make.agent_yaml({"instructions": "From git."}), origin="git")
    elsewhere = make.agent_yaml({"instructions": "From git.", **NARROWER})
    await send(api, "apply", elsewhere, origin="cli")

    wanted = make.agent_yaml({"instructions": "From git, again.", "wake": ["mention"]})
    (document,) = (await send(api, "diff", wanted, origin="git")).json()["documents"]

    assert (document["same"], document["live_revision"], document["last_revision"]) == (False, 3, 2)
    assert {each["path"]: each["changed"] for each in document["values"]} == {
        "spec.instructions": "wanted",
        "spec.wake": "wanted",
        "spec.budget.monthly_usd": "elsewhere",
    }
    (same,) = (await send(api, "diff", elsewhere, origin="git")).json()["documents"]
    assert same["same"]


async def test_going_back_is_an_apply_of_its_own(api: Api) -> None:
    await send(api, "apply", make.agent_yaml(NARROWER))

    (waits,) = (await api.post("/api/v1/agents/dev-platform/rollback", {})).json()["results"]
    gone = await api.post("/api/v1/agents/dev-platform/rollback", {"number": 9})
    (workspace,) = (await api.get("/api/v1/workspace/revisions")).json()["items"]

    assert waits["change_id"]
    assert gone.status_code == 404
    assert (workspace["number"], workspace["applied_by"]) == (1, "applier")


async def test_what_is_in_force_is_told_with_where_it_comes_from(api: Api) -> None:
    answer = (await api.get("/api/v1/agents/dev-platform/effective", by="viewer")).json()
    values = {each["path"]: each for each in answer["values"]}

    assert values["spec.budget.monthly_usd"]["origin"] == "manifest"
    assert values["spec.budget.monthly_usd"]["line"] > 1
    assert values["spec.limits.steps"] == {
        "path": "spec.limits.steps",
        "value": 20,
        "origin": "default",
        "line": 0,
    }
    assert values["spec.tools.github.repos"]["origin"] == "workspace"
    assert values["spec.approvals.approvers[@maintainers]"]["value"] == ["anna", "priya"]
    workspace = (await api.get("/api/v1/workspace/effective")).json()["values"]
    assert {"path": "spec.solo_mode", "value": False, "origin": "default", "line": 0} in workspace
