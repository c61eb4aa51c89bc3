"""Who gets in: nobody without a token, every role to its own, nobody into another workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import apply, tokens
from openloop.domain.audit import SYSTEM
from openloop.domain.principal import Role
from openloop.storage import agents, principals
from tests import make
from tests.api.access import OPEN, OPERATIONS, ROLES
from tests.api.conftest import open_api

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage


def operations(api: Api) -> dict[str, tuple[str, str]]:
    """Method and path of every operation of the OpenAPI document, by its id."""
    document: dict[str, Any] = api.app.openapi()
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def request_of(
    api: Api, operation: str, ids: Mapping[str, str] | None = None
) -> tuple[str, str, dict[str, Any]]:
    """How the table asks for an operation, maybe with other ids in its address."""
    method, path = operations(api)[operation]
    row = OPERATIONS[operation]
    query = {key[1:]: value for key, value in row.parameters.items() if key.startswith("?")}
    for name, value in {**row.parameters, **(ids or {})}.items():
        path = path.replace(f"{{{name}}}", value)
    return method, path, {"json": row.body, "params": query}


async def ask(
    api: Api, operation: str, *, by: str | None, ids: Mapping[str, str] | None = None
) -> httpx.Response:
    """Ask for an operation as the table says, or with other ids in its address."""
    method, path, details = request_of(api, operation, ids)
    return await api.call(method, path, by=by, **details)


async def test_the_table_has_every_operation_of_the_document(api: Api) -> None:
    assert set(operations(api)) - OPEN == set(OPERATIONS)


async def test_every_operation_needs_a_token(api: Api) -> None:
    for operation, (method, path) in operations(api).items():
        if operation in OPEN:
            continue
        answer = await api.call(method, path.replace("{", "").replace("}", ""), by=None)
        assert (operation, answer.status_code) == (operation, 401)
        assert answer.json()["code"] == "not_authenticated"
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_addresses_that_do_not_exist_need_a_token_too(api: Api) -> None:
    for path in ("/", "/docs", "/redoc", "/api/v1", "/api/v2/runs", "/healthz/", "/surfacesx"):
        assert (path, (await api.get(path, by=None)).status_code) == (path, 401)
        assert (path, (await api.get(path)).status_code) == (path, 404)


async def test_health_and_the_document_are_open(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert (path, (await api.get(path, by=None)).status_code) == (path, 200)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_role_may_do_what_the_table_says(api: Api, operation: str) -> None:
    row = OPERATIONS[operation]

    found = {role: (await ask(api, operation, by=role)).status_code for role in ROLES}

    assert found == {role: row.status if role in row.roles else 403 for role in ROLES}


async def test_a_token_that_is_not_a_live_one_of_ours_is_not_taken(
    api: Api, database: Database, stage: Stage
) -> None:
    good = api.tokens["viewer"]
    async with database.transaction(stage.workspace) as tx:
        robot = await principals.find_by_name(tx, "operator-robot")
        assert robot is not None
        await tx.run("UPDATE principals SET active = false WHERE id = %(id)s", {"id": robot.id})
        await tx.run(
            "UPDATE tokens SET expires_at = openloop.now() WHERE role = 'approver'",
        )

    for bad in (
        "",
        "ol_",
        good[:-1],
        good.replace("viewer", "owner"),
        good[:-9] + "0" * 9,
        good + "\0",
        "é" * 40,
        "x" * 20_000,
        api.tokens["operator"],  # its principal is not active any more
        api.tokens["approver"],  # expired
    ):
        headers = {b"Authorization": f"Bearer {bad}".encode("latin-1")}
        answer = await api.http.get("/api/v1/runs", headers=headers)
        assert (bad, answer.status_code) == (bad, 401)
    for value in (good, f"Basic {good}"):
        answer = await api.http.get("/api/v1/runs", headers={"Authorization": value})
        assert answer.status_code == 401
    assert (await api.http.get(f"/api/v1/runs?token={good}")).status_code == 401


async def test_two_authorization_headers_are_refused(api: Api) -> None:
    good = f"Bearer {api.tokens['viewer']}"

    answer = await api.http.get(
        "/api/v1/runs", headers=[("Authorization", good), ("Authorization", good)]
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")


async def test_a_revoked_token_ends_at_once(api: Api) -> None:
    token_id = api.tokens["viewer"].split("_")[2]
    assert (await api.get("/api/v1/runs", by="viewer")).status_code == 200

    assert (await api.delete(f"/api/v1/tokens/{token_id}")).status_code == 204

    assert (await api.get("/api/v1/runs", by="viewer")).status_code == 401
    assert (await api.delete(f"/api/v1/tokens/{token_id}")).status_code == 404


async def test_nothing_of_another_workspace_is_there(
    api: Api, database: Database, stage: Stage
) -> None:
    ref, _ = await stage.hold()
    run, approval = await stage.run_of(ref), await stage.approval(ref)
    stranger = await apply.ensure_workspace(database, "stranger")
    await make.applied_workspace(database, stranger, {"integrations": None}, name="stranger")

    async with open_api(database, stranger) as other:
        for path in (
            f"/api/v1/runs/{run.id}",
            f"/api/v1/runs/{run.id}/steps",
            f"/api/v1/approvals/{approval.id}",
            f"/api/v1/conversations/{ref.id}/messages",
            "/api/v1/agents/dev-platform",
            "/api/v1/agents/dev-platform/revisions",
        ):
            answer = await other.get(path)
            assert (path, answer.status_code) == (path, 404)
            assert (path, (await api.get(path)).status_code) == (path, 200)
        vote = await other.post(
            f"/api/v1/approvals/{approval.id}/vote", {"decision": "approve"}, by="approver"
        )
        assert vote.status_code == 404
        assert (await other.post(f"/api/v1/runs/{run.id}/cancel")).status_code == 404
        for path in ("runs", "approvals", "agents", "memories"):
            assert (await other.get(f"/api/v1/{path}")).json()["items"] == []
        seen = (await other.get(f"/audit?run={run.id}")).json()["items"]
        assert seen == []

    assert (await stage.approval(ref)).state == "pending"


async def test_a_token_of_one_role_gives_no_more_than_that_role(
    api: Api, database: Database, stage: Stage
) -> None:
    """Priya owns the workspace and approves; her viewer token only sees."""
    token = await tokens.create(
        database, stage.workspace, principal="priya", role=Role.VIEWER, name="t", by=SYSTEM
    )

    assert (await api.get("/api/v1/runs", by=token)).status_code == 200
    for operation in ("vote_on_approval", "cancel_run", "list_tokens", "list_audit_events"):
        assert (await ask(api, operation, by=token)).status_code == 403


async def test_the_workspace_of_a_token_is_never_chosen_by_the_request(
    api: Api, database: Database
) -> None:
    await apply.ensure_workspace(database, "other")
    async with database.directory() as tx:
        ids = {row.name: row.id for row in await agents.list_workspaces(tx)}

    answer = await api.get(f"/api/v1/agents?workspace={ids['other']}")

    assert [agent["name"] for agent in answer.json()["items"]] == ["dev-platform"]
