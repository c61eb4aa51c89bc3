"""Applying manifests over HTTP: the whole set is taken or refused, with every problem at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import manifests
from openloop.domain.audit import SYSTEM
from openloop.domain.principal import Role
from openloop.storage import agents, deliveries, principals
from tests import make
from tests import manifests as manifests_of_tests
from tests.api.conftest import open_api, person_token
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    import httpx

    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

EXAMPLES = Path(__file__).parents[2] / "examples"


async def apply_files(api: Api, *texts: str, verb: str = "apply", **more: Any) -> httpx.Response:
    files = [{"name": f"{index}.yaml", "text": text} for index, text in enumerate(texts, 1)]
    return await api.post(f"/api/v1/manifests/{verb}", {"files": files}, **more)


async def approve(api: Api, database: Database, stage: Stage, answer: httpx.Response) -> None:
    """Let somebody else agree to what an apply has left waiting."""
    (change,) = {each["change_id"] for each in answer.json()["results"]}
    token = await person_token(database, stage.workspace, "priya", Role.OWNER)
    voted = await api.post(f"/api/v1/changes/{change}/vote", {"decision": "approve"}, by=token)
    assert voted.status_code == 200, voted.text


def results(answer: httpx.Response) -> list[tuple[str, str, int, bool]]:
    assert answer.status_code == 200, answer.text
    return [
        (each["kind"], each["name"], each["revision"], each["changed"])
        for each in answer.json()["results"]
    ]


async def test_the_public_example_is_applied_unchanged(empty: Api) -> None:
    workspace = (EXAMPLES / "workspace.yaml").read_text()
    agent = (EXAMPLES / "agents" / "dev-platform.yaml").read_text()

    answer = await apply_files(empty, agent, workspace)

    assert results(answer) == [
        ("Workspace", "acme", 1, True),
        ("Agent", "dev-platform", 1, True),
    ]
    shown = (await empty.get("/api/v1/agents/dev-platform")).json()
    assert shown["source"] == agent
    assert ("console", "acme", "dev-platform") in {
        (b["surface"], b["tenant"], b["container"]) for b in shown["bindings"]
    }


async def test_the_first_workspace_manifest_names_the_workspace(
    empty: Api, database: Database
) -> None:
    await apply_files(empty, make.workspace_yaml())

    async with database.directory() as tx:
        names = [row.name for row in await agents.list_workspaces(tx)]
    assert names == ["acme"]
    kinds = [event["kind"] for event in (await empty.get("/audit?kind=workspace")).json()["items"]]
    assert kinds == ["workspace.applied", "workspace.named"]


async def test_a_workspace_is_named_once(api: Api) -> None:
    answer = await apply_files(api, make.workspace_yaml(name="globex"))

    assert (answer.status_code, answer.json()["code"]) == (422, "workspace_mismatch")


async def test_two_workspaces_do_not_share_a_name(empty: Api, stage: Stage) -> None:
    answer = await apply_files(empty, make.workspace_yaml({"integrations": None}))

    assert (answer.status_code, answer.json()["code"]) == (422, "workspace_name_taken")


async def test_two_workspaces_do_not_share_a_slack_team(empty: Api, stage: Stage) -> None:
    for verb in ("validate", "apply"):
        answer = await apply_files(empty, make.workspace_yaml(name="globex"), verb=verb)
        assert (answer.status_code, answer.json()["code"]) == (422, "installation_taken")
    assert (await apply_files(empty, make.agent_yaml(workspace="globex"))).json()["code"] == (
        "workspace_missing"
    )


async def test_what_is_applied_again_is_unchanged(api: Api) -> None:
    first = await apply_files(api, make.workspace_yaml(), make.agent_yaml())
    again = await apply_files(
        api, make.workspace_yaml(), make.agent_yaml({"instructions": "Be brief."})
    )

    assert results(first) == [
        ("Workspace", "acme", 1, False),
        ("Agent", "dev-platform", 1, False),
    ]
    assert results(again)[1] == ("Agent", "dev-platform", 2, True)


async def test_validating_says_the_same_and_writes_nothing(api: Api, stage: Stage) -> None:
    changed = make.agent_yaml({"instructions": "Be brief."})
    before = await stage.kinds()

    answer = await apply_files(
        api, changed, make.agent_yaml(name="second", spec={"surfaces": []}), verb="validate"
    )

    assert results(answer) == [
        ("Agent", "dev-platform", 2, True),
        ("Agent", "second", 1, True),
    ]
    assert await stage.kinds() == before
    assert (await api.get("/api/v1/agents/second")).status_code == 404


async def test_every_problem_of_every_file_is_told_and_nothing_is_written(
    api: Api, stage: Stage
) -> None:
    before = await stage.kinds()

    answer = await apply_files(
        api,
        "kind: Agent\nkind: Agent\n",
        make.agent_yaml({"aproval": {}}),
        make.workspace_yaml({"solo_mode": "yes"}),
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "manifest_invalid")
    files = {text.split(":")[0] for text in problem["problems"]}
    assert files == {"1.yaml", "2.yaml", "3.yaml"}
    assert await stage.kinds() == before


async def test_references_of_all_agents_are_checked_together(api: Api) -> None:
    nobody = {"approvals": {"require_for": ["github.issues:write"], "approvers": ["@nobody"]}}

    answer = await apply_files(
        api,
        make.agent_yaml(nobody, name="first"),
        make.agent_yaml(nobody, name="second"),
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "manifest_refused")
    assert sum("@nobody" in text for text in problem["problems"]) == 2


async def test_an_agent_is_checked_against_the_workspace_that_comes_with_it(api: Api) -> None:
    groups = {**make.WORKSPACE["groups"], "night": ["@anna"]}
    of_night: dict[str, Any] = {"approvals": {"approvers": ["@night"]}, "surfaces": []}
    agent = make.agent_yaml(of_night, name="second")

    alone = await apply_files(api, agent)
    no_approver = await apply_files(
        api, agent, make.workspace_yaml({"groups": {**groups, "night": ["@ben"]}})
    )
    together = await apply_files(api, agent, make.workspace_yaml({"groups": groups}))

    assert alone.json()["code"] == "manifest_refused"
    assert no_approver.json()["code"] == "manifest_refused"
    assert "'approver'" in no_approver.json()["problems"][0]
    assert [each[3] for each in results(together)] == [True, True]


async def test_a_workspace_may_not_lose_somebody_whom_a_live_agent_needs(api: Api) -> None:
    people = {"ben": {"slack": "U0BEN"}}
    lost = {"people": people, "groups": {}, "roles": {"operator": ["@ben"]}}

    answer = await apply_files(api, make.workspace_yaml(lost))

    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_refused")
    assert "the live agent dev-platform" in answer.json()["problems"][0]


async def test_an_agent_of_another_workspace_is_refused(api: Api) -> None:
    answer = await apply_files(api, make.agent_yaml(workspace="globex"))

    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_refused")


async def test_an_agent_needs_a_workspace_manifest(empty: Api) -> None:
    answer = await apply_files(empty, make.agent_yaml(workspace="default"))

    assert (answer.status_code, answer.json()["code"]) == (422, "workspace_missing")


@pytest.mark.parametrize("texts", [(make.agent_yaml(),) * 2, (make.workspace_yaml(),) * 2])
async def test_the_same_thing_twice_is_refused(api: Api, texts: tuple[str, ...]) -> None:
    answer = await apply_files(api, *texts)

    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_duplicate")


async def test_files_of_the_same_name_are_told_apart(api: Api) -> None:
    files = [{"name": "same.yaml", "text": text} for text in (make.agent_yaml(),) * 2]

    answer = await api.post("/api/v1/manifests/apply", {"files": files})

    assert answer.json()["code"] == "manifest_duplicate"


async def test_a_place_has_one_agent(api: Api) -> None:
    live = await apply_files(api, make.agent_yaml(name="second"))
    among = await apply_files(
        api,
        make.agent_yaml({"surfaces": [{"type": "slack", "channel": "#ops"}]}, name="second"),
        make.agent_yaml({"surfaces": [{"type": "slack", "channel": "#ops"}]}, name="third"),
    )

    for answer in (live, among):
        assert (answer.status_code, answer.json()["code"]) == (422, "place_taken")


async def test_agents_swap_their_places_in_one_apply(
    api: Api, database: Database, stage: Stage
) -> None:
    def listening(name: str, channel: str) -> str:
        return make.agent_yaml({"surfaces": [{"type": "slack", "channel": channel}]}, name=name)

    await apply_files(api, listening("dev-platform", "#dev"), listening("second", "#ops"))
    swapped = await apply_files(api, listening("dev-platform", "#ops"), listening("second", "#dev"))
    await approve(api, database, stage, swapped)

    places = {
        agent["name"]: {b["container"] for b in agent["bindings"] if b["surface"] == "slack"}
        for agent in (await api.get("/api/v1/agents")).json()["items"]
    }
    assert places == {"dev-platform": {"OPS"}, "second": {"DEV"}}


async def test_a_channel_of_another_team_is_refused(api: Api) -> None:
    answer = await apply_files(
        api,
        make.workspace_yaml({"integrations": {"slack": {"team": "T0OTHER"}}}),
        make.agent_yaml(),
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "manifest_refused")
    assert "T0OTHER" in answer.json()["detail"]


async def test_a_bound_channel_says_whose_installation_it_is(
    database: Database, empty: Api
) -> None:
    """A Workspace that names no team: the one in which the channel was found is meant."""
    await apply_files(empty, make.workspace_yaml({"integrations": None}), make.agent_yaml())

    async with database.directory() as tx:
        found = await deliveries.find_workspace(tx, "slack", make.TENANT)
        (row,) = await agents.list_workspaces(tx)
    assert found == row.id


@pytest.mark.parametrize("count", [0, 51])
async def test_a_set_has_one_to_fifty_files(api: Api, count: int) -> None:
    answer = await apply_files(api, *([make.agent_yaml()] * count))

    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


async def test_of_two_workspace_manifests_at_once_the_second_is_told(
    database: Database, stage: Stage
) -> None:
    async with database.transaction(stage.workspace) as tx:
        applier = await principals.find_by_name(tx, "applier")
    assert applier is not None

    async def apply_budget(usd: int) -> object:
        text = make.workspace_yaml({"budget": {"monthly_usd": usd}})
        return await manifests.apply_files(
            database,
            stage.workspace,
            [manifests.ManifestFile(name="workspace.yaml", text=text)],
            world=manifests_of_tests.EverythingIsThere(),
            proposal=manifests.Proposal(by=applier.id, who=SYSTEM),
        )

    async with database.transaction(stage.workspace) as tx:
        await agents.lock_workspace(tx, stage.workspace)

        both = [asyncio.create_task(apply_budget(usd)) for usd in (150, 100)]
        await until_someone_waits_for(tx, waiters=2)
    done = await asyncio.gather(*both, return_exceptions=True)

    assert sorted(type(each).__name__ for each in done) == ["ConfigurationMoved", "list"]


async def test_what_cannot_work_yet_is_said_and_taken(database: Database, stage: Stage) -> None:
    class Bare(manifests_of_tests.EverythingIsThere):
        async def find_place(self, surface: str, name: str) -> Any:
            return f"{surface} is not configured"

        async def model_problem(
            self, model: str, workspace: WorkspaceManifest
        ) -> tuple[str, bool] | None:
            return "the provider has no key: set OPENAI_API_KEY", False

    async with open_api(database, stage.workspace, world=Bare()) as api:
        answer = await apply_files(api, make.agent_yaml())
        shown = (await api.get("/api/v1/agents/dev-platform")).json()

    parts = [each["part"] for each in answer.json()["results"][0]["inactive"]]
    assert parts == ["spec.surfaces[0] slack", f"model {make.MODEL}"]
    assert [each["part"] for each in shown["inactive"]] == parts
