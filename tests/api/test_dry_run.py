"""Recorded calls decided again under other manifests: by the facts they were decided by, no guess."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.audience import PlaceClass
from tests import make
from tests.api.test_changes import send
from tests.runtime.fakes import reply
from tests.runtime.gating import LINKED, Service, calls, own, with_service

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from tests.api.conftest import Api
    from tests.make import Stage

LABELLED = {
    "approvals": {
        **make.AGENT["approvals"],
        "require_for": [],
        "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
    }
}


async def test_recorded_calls_are_decided_again_and_nothing_happens(api: Api, stage: Stage) -> None:
    ref, _ = await stage.hold()
    run = await stage.run_of(ref)
    before, calls = await stage.kinds(), list(stage.tracker.writes)

    answer = await send(api, "dry_run", make.agent_yaml(LABELLED), by="viewer", hours=24)

    page = answer.json()
    assert (page["runs"], page["calls"], page["undecided"]) == (1, 1, 0)
    (call,) = page["differing"]
    assert (call["run_id"], call["tool"], call["resource"]) == (
        str(run.id),
        "github__create_issue",
        "acme/platform",
    )
    assert (call["recorded"], call["live"]) == ("held", "held")
    assert await stage.kinds() == before
    assert stage.tracker.writes == calls


async def test_a_call_that_would_be_denied_is_told(api: Api, stage: Stage) -> None:
    await stage.hold()

    answer = await send(api, "dry_run", make.agent_yaml({"tools": []}), hours=24)

    (call,) = answer.json()["differing"]
    assert (call["live"], call["planned"], call["rule"]) == (
        "held",
        "denied",
        "spec.tools: not granted",
    )


async def test_a_new_workspace_is_tried_on_every_agent(api: Api, stage: Stage) -> None:
    await stage.hold()
    elsewhere = {"integrations": {"slack": {"team": "T0ACME"}, "github": {"repos": ["acme/x"]}}}

    answer = await send(api, "dry_run", make.workspace_yaml(elsewhere), hours=24)

    assert [call["planned"] for call in answer.json()["differing"]] == ["denied"]


async def test_calls_whose_arguments_are_deleted_are_counted_and_not_guessed(
    api: Api, stage: Stage
) -> None:
    await stage.hold()
    async with stage.tx() as tx:
        await tx.run("UPDATE steps SET input = '{}'")

    page = (await send(api, "dry_run", make.agent_yaml(LABELLED), hours=24)).json()

    assert (page["calls"], page["undecided"], page["differing"]) == (1, 1, [])


async def test_what_is_older_than_asked_for_is_left_out(api: Api, stage: Stage) -> None:
    await stage.hold()
    async with stage.tx() as tx:
        await tx.run("UPDATE runs SET queued_at = openloop.now() - interval '2 hours'")

    page = (await send(api, "dry_run", make.agent_yaml(LABELLED), hours=1)).json()

    assert (page["runs"], page["calls"]) == (0, 0)


async def test_many_runs_are_read_page_by_page(
    api: Api, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openloop.actions.dry_run.RUNS", 2)
    for number in range(3):
        stage.models.turns = [reply("I will open it.", make.CREATE)]
        await stage.work(await stage.mention(root=f"root-{number}"))

    first = (await send(api, "dry_run", make.agent_yaml(LABELLED), hours=1)).json()
    rest = await send(
        api, "dry_run", make.agent_yaml(LABELLED), hours=1, cursor=first["next_cursor"]
    )

    seen = [call["run_id"] for call in (*first["differing"], *rest.json()["differing"])]
    assert len(set(seen)) == 3
    assert rest.json()["next_cursor"] is None


# --- the facts of the moment ---------------------------------------------------------------------

TYPED = {
    "approvals": {
        **make.AGENT["approvals"],
        "require_for": [],
        "allow": [
            {"permission": "github.issues:write", "repos": ["acme/platform"], "links": "typed"}
        ],
    }
}
MARK = "https://elsewhere.example/Zebra-4711"
LINKED_TO = (
    "github__create_issue",
    json.dumps({"repo": "acme/platform", "title": "A title", "body": f"see {MARK}"}),
)


def reading(**more: Any) -> str:
    tool = {"name": "github", "type": "native", "permissions": ["issues:write"], **more}
    return make.agent_yaml({"tools": [tool]})


async def read(stage: Stage, **where: Any) -> ConversationRef:
    stage.models.turns = [reply("Reading.", make.READ), reply("Done.")]
    ref = await stage.mention(**where)
    await stage.work(ref)
    return ref


async def forget_facts(stage: Stage) -> None:
    """As runs were recorded before their steps noted them."""
    async with stage.tx() as tx:
        await tx.run("UPDATE steps SET input = input - 'facts'")


async def test_a_call_in_a_private_place_is_decided_as_one(api: Api, stage: Stage) -> None:
    stage.surface.place_class = PlaceClass.PRIVATE
    await read(stage)
    page = (await send(api, "dry_run", reading(visible_in="private"), hours=24)).json()
    assert (page["calls"], page["assumed"], page["differing"]) == (1, 0, [])


async def test_a_call_in_a_place_of_members_is_decided_as_one(api: Api, stage: Stage) -> None:
    await read(stage)
    page = (await send(api, "dry_run", reading(visible_in="private"), hours=24)).json()
    (call,) = page["differing"]
    assert (page["assumed"], call["assumed"]) == (0, False)
    assert (call["live"], call["planned"]) == ("allowed", "denied")


async def test_a_call_that_noted_nothing_is_tried_under_every_possibility_and_counted(
    api: Api, stage: Stage
) -> None:
    stage.surface.place_class = PlaceClass.PRIVATE
    await read(stage)
    await forget_facts(stage)
    page = (await send(api, "dry_run", reading(visible_in="private"), hours=24)).json()
    (call,) = page["differing"]
    assert (page["assumed"], call["assumed"], call["planned"]) == (1, True, "denied")


async def test_what_a_service_said_then_is_what_it_says_now(api: Api, stage: Stage) -> None:
    service = Service(yes={("#4712", "acme/platform", "read")})
    await stage.revise(own())
    await stage.revise_workspace(LINKED)
    with_service(stage, service)
    await read(stage, by="ben")
    await read(stage, by="priya", root="other")

    page = (await send(api, "dry_run", make.agent_yaml(), hours=24)).json()
    again = (await send(api, "dry_run", make.agent_yaml(own()), hours=24)).json()

    assert (page["calls"], page["assumed"], again["differing"]) == (2, 0, [])
    (call,) = page["differing"]  # ben's was allowed, and priya's would be now
    assert (call["recorded"], call["live"], call["planned"]) == ("denied", "denied", "allowed")


async def test_a_service_that_nobody_asked_may_have_said_either(api: Api, stage: Stage) -> None:
    await stage.revise_workspace(LINKED)
    await read(stage, by="ben")
    page = (await send(api, "dry_run", make.agent_yaml(own()), hours=24)).json()
    (call,) = page["differing"]
    assert (page["assumed"], call["live"], call["planned"]) == (1, "allowed", "denied")


@pytest.mark.parametrize(("text", "planned"), [(f"see {MARK}", "allowed"), ("hello", None)])
async def test_what_was_typed_decides_again(
    api: Api, stage: Stage, text: str, planned: str | None
) -> None:
    stage.models.turns = [reply("I will.", LINKED_TO)]
    await stage.work(await stage.mention(text))
    page = (await send(api, "dry_run", make.agent_yaml(TYPED), hours=24)).json()
    assert [call["planned"] for call in page["differing"]] == ([planned] if planned else [])
    assert page["assumed"] == 0


async def test_words_that_are_deleted_since_make_a_call_assumed(api: Api, stage: Stage) -> None:
    stage.models.turns = [reply("I will.", LINKED_TO)]
    await stage.work(await stage.mention(f"see {MARK}"))
    async with stage.tx() as tx:
        await tx.run("UPDATE messages SET typed = ''")
    page = (await send(api, "dry_run", make.agent_yaml(TYPED), hours=24)).json()
    assert page["assumed"] == 1


async def test_words_that_came_later_do_not_count_for_a_call(api: Api, stage: Stage) -> None:
    stage.models.turns = [reply("I will.", LINKED_TO), reply("Done.")]
    ref = await stage.mention("hello")
    await stage.work(ref)
    await stage.say(f"see {MARK}")
    await stage.press("deny", by="anna")
    await stage.work(ref)
    page = (await send(api, "dry_run", make.agent_yaml(TYPED), hours=24)).json()
    assert (page["calls"], page["assumed"], page["differing"]) == (1, 0, [])


async def test_a_step_notes_no_name_and_no_text(api: Api, stage: Stage) -> None:
    await stage.revise_workspace(LINKED)
    stage.models.turns = [reply("I will.", LINKED_TO)]
    ref = await stage.mention(f"see {MARK}", by="ben")
    await stage.work(ref)
    (step,) = await calls(stage, ref)
    assert step.input["facts"] == {
        "place": "internal",
        "people": [{"kind": "member", "roles": ["operator"], "linked": True}],
        "typed": 1,
    }


async def test_facts_that_nobody_can_read_are_none(api: Api, stage: Stage) -> None:
    await read(stage)
    async with stage.tx() as tx:
        await tx.run(
            "UPDATE steps SET input = jsonb_set(input, '{facts}', '{\"place\": \"moon\"}')"
        )
    page = (await send(api, "dry_run", reading(visible_in="private"), hours=24)).json()
    assert (page["assumed"], page["undecided"]) == (1, 0)
