"""What readers see: of a place that not everybody reads nothing gets out, by any operation.

The rule is `domain/readers.py`; that queries keep to it is tested in tests/storage/test_readers.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.principal import Role
from openloop.domain.readers import Standing
from tests import make
from tests.api.access import OPEN, OPERATIONS, ROLES, STRANGE_ID, TEXTS
from tests.api.conftest import Api, person_token
from tests.api.test_access import operations, request_of
from tests.api.test_conversations import say
from tests.api.test_conversations import work as work_on_console
from tests.reading import tell
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Stage

CANARY = "zebra-7Q"
"""Stands in every text of a conversation."""
OVERSEERS = ("admin", "owner")
WITHOUT_TEXT = ("check_effects", "stream_events")
"""Filtered, and what they tell has no text: findings where something is wrong, and a stream without an end."""
PEOPLE: dict[str, Any] = {
    "people": {
        "priya": {"slack": "U0PRIYA"},
        "anna": {"slack": "U0ANNA"},
        "ben": {"slack": "U0BEN"},
        "mallory": {"slack": "U0MALLORY"},
    },
    "groups": {"maintainers": ["@anna"]},
    "roles": {
        "owner": ["@priya"],
        "approver": ["@maintainers", "@mallory"],
        "operator": ["@ben"],
    },
}


@pytest.fixture
async def stage(database: Database) -> Stage:
    """A workspace with an agent in a private channel."""
    return await private_stage(database)


async def private_stage(database: Database) -> Stage:
    stage = await make.stage(database, workspace=PEOPLE)
    stage.surface.place_class = PlaceClass.PRIVATE
    return stage


async def told_in(api: Api, stage: Stage) -> dict[str, str]:
    """A conversation of ben with a memory and a held call for anna; the ids of all of it."""
    stage.models.turns = [
        reply(f"I note {CANARY}.", with_canary(make.NOTE), with_canary(make.CREATE))
    ]
    ref = await stage.mention(f"please do {CANARY}")
    await stage.work(ref)
    run, approval = await stage.run_of(ref), await stage.approval(ref)
    (memory,) = (await api.get("/api/v1/memories")).json()["items"]
    return {
        "run_id": str(run.id),
        "approval_id": str(approval.id),
        "conversation_id": str(ref.id),
        "memory_id": memory["id"],
    }


def with_canary(call: tuple[str, str]) -> tuple[str, str]:
    return call[0], call[1].replace("Postgres", CANARY)


def ask_of(api: Api, operation: str, ids: dict[str, str]) -> tuple[str, str, dict[str, Any]]:
    """How to ask for an operation of these conversations, with queries that look for them."""
    method, path, details = request_of(api, operation, ids)
    if operation == "dry_run_manifests":
        files = [{"name": "a.yaml", "text": make.agent_yaml({"tools": []})}]
        details["json"] = {"files": files, "hours": 24}
    return method, path, details


def is_a_look(api: Api, operation: str) -> bool:
    """True where it can be asked for by anybody who may, and changes nothing."""
    return operations(api)[operation][0] == "GET" or operation == "dry_run_manifests"


# --- every operation -------------------------------------------------------------------------------


def test_every_operation_is_sorted(document: dict[str, Any]) -> None:
    named = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert set(TEXTS) == named - OPEN == set(OPERATIONS)


@pytest.mark.parametrize("known", ["private", None])
async def test_nothing_of_a_private_place_gets_out_by_any_operation(
    api: Api, stage: Stage, known: str | None
) -> None:
    """Whoever oversees the workspace reads it; to everybody else it is not there."""
    ids = await told_in(api, stage)
    async with stage.tx() as tx:
        await tx.run("UPDATE places SET class = %(class)s", {"class": known})
    nowhere = dict.fromkeys(ids, STRANGE_ID)

    for operation, row in OPERATIONS.items():
        for role in set(ROLES) - set(OVERSEERS):
            method, path, details = ask_of(api, operation, ids)
            answer = await api.call(method, path, by=role, **details)
            assert CANARY not in answer.text, (operation, role)
            if role not in row.roles:
                assert (operation, role, answer.status_code) == (operation, role, 403)
                continue
            if TEXTS[operation] == "of readers":
                assert not [id for id in ids.values() if id in answer.text and id not in path]
            method, path, details = ask_of(api, operation, nowhere)
            other = await api.call(method, path, by=role, **details)
            assert (operation, role, answer.status_code) == (operation, role, other.status_code)
    assert (await api.get(f"/api/v1/runs/{ids['run_id']}")).json()["state"] == "waiting"


async def test_the_table_says_which_operations_tell_texts(api: Api, stage: Stage) -> None:
    """What an owner sees of a conversation is what others have to be kept from."""
    ids = await told_in(api, stage)
    told: set[str] = set()
    for operation in OPERATIONS:
        if is_a_look(api, operation):
            method, path, details = ask_of(api, operation, ids)
            answer = await api.call(method, path, **details)
            if CANARY in answer.text or (ids["run_id"] in answer.text and operation != "get_usage"):
                told.add(operation)

    looks = {o for o in OPERATIONS if TEXTS[o] == "of readers" and is_a_look(api, o)}
    # Nothing is sealed here; the others tell of a run where something is wrong, and without an end.
    assert told | {"export_audit", "check_effects", "stream_events"} == looks | {
        "get_current_usage"
    }


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "sync"])
async def test_an_open_place_is_read_by_everybody(api: Api, stage: Stage, role: str) -> None:
    stage.surface.place_class = PlaceClass.INTERNAL
    ids = await told_in(api, stage)

    for operation in ("get_run", "list_run_steps", "get_approval", "list_conversation_messages"):
        method, path, _ = ask_of(api, operation, ids)
        answer = await api.call(method, path, by=role)
        assert (operation, answer.status_code, CANARY in answer.text) == (operation, 200, True)
    for path in ("runs", "approvals", "memories"):
        answer = await api.get(f"/api/v1/{path}", by=role)
        assert (path, CANARY in answer.text) == (path, True)


# --- who asked, and who is asked -------------------------------------------------------------------


async def person(stage: Stage, name: str, role: Role) -> str:
    return await person_token(stage.database, stage.workspace, name, role)


async def statuses(api: Api, ids: dict[str, str], *, by: str) -> dict[str, int]:
    """What each operation that looks at one thing answers somebody."""
    named = ("get_run", "list_run_steps", "get_approval", "list_conversation_messages")
    found: dict[str, int] = {}
    for operation in (*named, "explain_run"):
        method, path, _ = ask_of(api, operation, ids)
        found[operation] = (await api.call(method, path, by=by)).status_code
    for operation in ("list_runs", "list_approvals", "list_memories"):
        method, path, _ = ask_of(api, operation, ids)
        found[operation] = len((await api.call(method, path, by=by)).json()["items"])
    return found


async def test_whoever_asked_reads_the_conversation(api: Api, stage: Stage) -> None:
    ids = await told_in(api, stage)

    found = await statuses(api, ids, by=await person(stage, "ben", Role.OPERATOR))

    assert found == {
        "get_run": 200,
        "list_run_steps": 200,
        "get_approval": 200,
        "list_conversation_messages": 200,
        "explain_run": 403,
        "list_runs": 1,
        "list_approvals": 1,
        "list_memories": 1,
    }


async def test_whoever_steered_reads_it_too_once_the_run_has_heard_them(
    api: Api, stage: Stage
) -> None:
    ids = await told_in(api, stage)
    mallory = await person(stage, "mallory", Role.OPERATOR)
    before = await api.get(f"/api/v1/runs/{ids['run_id']}", by=mallory)
    said = await stage.say("be quick", by="mallory", addressed="mention")
    unheard = await api.get(f"/api/v1/runs/{ids['run_id']}", by=mallory)
    assert said.conversation is not None
    async with stage.tx() as tx:
        await tx.run("UPDATE messages SET run_id = %(run)s", {"run": ids["run_id"]})
    heard = await api.get(f"/api/v1/runs/{ids['run_id']}", by=mallory)

    assert [a.status_code for a in (before, unheard, heard)] == [404, 404, 200]


async def test_whoever_is_asked_reads_the_run_and_not_what_surrounds_it(
    api: Api, stage: Stage
) -> None:
    ids = await told_in(api, stage)

    found = await statuses(api, ids, by=await person(stage, "anna", Role.APPROVER))

    assert found == {
        "get_run": 200,
        "list_run_steps": 200,
        "get_approval": 200,
        "list_conversation_messages": 404,
        "explain_run": 200,
        "list_runs": 1,
        "list_approvals": 1,
        "list_memories": 0,
    }


@pytest.mark.parametrize(
    ("name", "role"),
    [("mallory", Role.APPROVER), ("anna", Role.VIEWER), ("priya", Role.VIEWER)],
)
async def test_whose_vote_would_not_count_is_not_asked(
    api: Api, stage: Stage, name: str, role: Role
) -> None:
    """An approver whom nothing names, and tokens that are lent to dashboards."""
    ids = await told_in(api, stage)

    found = await statuses(api, ids, by=await person(stage, name, role))

    assert set(found.values()) <= {404, 403, 0}


async def test_who_is_named_and_no_approver_is_not_asked(api: Api, stage: Stage) -> None:
    roles = {**PEOPLE["roles"], "approver": ["@anna"]}
    groups = {"maintainers": ["@anna", "@mallory"]}
    await stage.revise_workspace({**PEOPLE, "roles": roles, "groups": groups})
    ids = await told_in(api, stage)

    found = await statuses(api, ids, by=await person(stage, "mallory", Role.OPERATOR))

    assert set(found.values()) <= {404, 403, 0}


async def test_an_approver_votes_on_what_they_are_asked_and_knows_of_nothing_else(
    api: Api, stage: Stage
) -> None:
    ids = await told_in(api, stage)
    path = f"/api/v1/approvals/{ids['approval_id']}/vote"
    mallory = await person(stage, "mallory", Role.APPROVER)
    anna = await person(stage, "anna", Role.APPROVER)

    stranger = await api.post(path, {"decision": "deny"}, by=mallory)
    asked = await api.post(path, {"decision": "deny"}, by=anna)

    assert (stranger.status_code, asked.status_code) == (404, 200)


async def test_what_an_operator_may_not_read_they_cannot_change(api: Api, stage: Stage) -> None:
    ids = await told_in(api, stage)
    for operation in ("cancel_run", "withdraw_approval", "forget_memory"):
        method, path, details = ask_of(api, operation, ids)
        answer = await api.call(method, path, by="operator", **details)
        assert (operation, answer.status_code) == (operation, 404)
    own = await person(stage, "ben", Role.OPERATOR)
    for operation in ("forget_memory", "withdraw_approval"):
        method, path, details = ask_of(api, operation, ids)
        assert (await api.call(method, path, by=own, **details)).is_success, operation


async def test_a_conversation_on_the_console_is_its_person_s(api: Api, stage: Stage) -> None:
    ben = await person(stage, "ben", Role.OPERATOR)
    said = await say(api, "hello", by=ben)
    path = f"/api/v1/conversations/{said['conversation_id']}/messages"
    own = await api.get(path, by=ben)
    await work_on_console(stage, api)

    others = [await api.get(path, by=role) for role in ("viewer", "operator", "owner")]
    joined = await api.post(
        "/api/v1/conversations",
        {"agent": "dev-platform", "text": "me too", "thread": said["thread"]},
        by="operator",
    )

    assert own.status_code == 200
    assert [answer.status_code for answer in others] == [404, 404, 200]
    assert (joined.status_code, joined.json()["code"]) == (404, "not_found")


# --- lists -----------------------------------------------------------------------------------------


async def pages(api: Api, path: str, *, by: str, limit: int) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await api.get(f"{path}?limit={limit}{more}", by=by)).json()
        found.append(page["items"])
        cursor = page["next_cursor"]
    return found


@pytest.mark.parametrize("path", ["runs", "approvals", "memories"])
async def test_pages_of_a_mix_are_full_and_hold_what_may_be_read(
    api: Api, stage: Stage, path: str
) -> None:
    wide, narrow = Standing(place=PlaceClass.INTERNAL), Standing(place=PlaceClass.PRIVATE)
    told = [await tell(stage, wide if n in (0, 5, 6, 11) else narrow) for n in range(12)]
    wanted = [told[n] for n in (11, 6, 5, 0)]
    ids = {"runs": "run", "approvals": "approval", "memories": "memory"}[path]

    found = await pages(api, f"/api/v1/{path}", by="viewer", limit=2)
    everything = await pages(api, f"/api/v1/{path}", by="owner", limit=5)

    assert [[each["id"] for each in page] for page in found] == [
        [str(getattr(each, ids)) for each in wanted[:2]],
        [str(getattr(each, ids)) for each in wanted[2:]],
        [],
    ]
    assert sum(len(page) for page in everything) == 12


async def test_approvals_of_a_run_that_is_not_theirs_are_none(api: Api, stage: Stage) -> None:
    ids = await told_in(api, stage)
    path = f"/api/v1/approvals?run={ids['run_id']}"

    assert (await api.get(path, by="viewer")).json()["items"] == []
    assert len((await api.get(path, by="owner")).json()["items"]) == 1


async def test_costs_are_everybody_s_to_see(api: Api, stage: Stage) -> None:
    await told_in(api, stage)

    seen = [(await api.get("/api/v1/usage", by=role)).json() for role in ("viewer", "owner")]

    assert seen[0]["budgets"] == seen[1]["budgets"]
    assert float(seen[0]["models"][0]["cost_usd"]) > 0


# --- the record ------------------------------------------------------------------------------------


async def test_an_approver_reads_the_part_of_the_record_that_is_theirs(
    api: Api, stage: Stage
) -> None:
    ids = await told_in(api, stage)
    asked = await person(stage, "anna", Role.APPROVER)
    other = await person(stage, "mallory", Role.APPROVER)
    whole = await pages(api, "/api/v1/audit", by="owner", limit=200)
    of_run = [e for e in whole[0] if e["run_id"] == ids["run_id"]]

    of_anna = await pages(api, "/api/v1/audit", by=asked, limit=200)
    of_mallory = await pages(api, "/api/v1/audit", by=other, limit=200)

    assert of_anna == [of_run]
    assert of_mallory == [[]]
    assert len(whole[0]) > len(of_run) > 3
    # What they did themselves is theirs, too.
    await api.post(f"/api/v1/approvals/{ids['approval_id']}/vote", {"decision": "deny"}, by=asked)
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET demands = '[]'")
    kept = await pages(api, "/api/v1/audit", by=asked, limit=200)
    assert [e["kind"] for e in kept[0]] == ["approval.denied"]


async def test_the_export_is_for_whoever_reads_all_of_it(api: Api, stage: Stage) -> None:
    """With a part left out nobody could verify it; that nothing is missing they can see all the same."""
    answer = await api.get("/api/v1/audit/export", by="approver")

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    for path in ("status", "checkpoints", "effects"):
        assert (await api.get(f"/api/v1/audit/{path}", by="approver")).status_code == 200


async def test_effects_that_nobody_recorded_are_told_to_whoever_may_read_their_run(
    api: Api, stage: Stage
) -> None:
    hidden = await tell(stage, Standing(place=PlaceClass.PRIVATE))
    shown = await tell(stage, Standing(place=PlaceClass.INTERNAL))

    async def found(by: str) -> set[str]:
        items = (await api.get("/api/v1/audit/effects", by=by)).json()["items"]
        return {id for each in items for id in (str(hidden.run), str(shown.run)) if id in str(each)}

    assert await found("owner") == {str(hidden.run), str(shown.run)}
    assert await found("approver") == {str(shown.run)}
