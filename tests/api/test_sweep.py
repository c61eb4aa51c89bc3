"""The sweep: every operation of the OpenAPI document, by everybody, with the ids of others.

The one table is tests/api/access.py. Nothing here names an operation: what is added to the API is
swept once it is in the table, and the tests fail until it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from openloop.actions import apply
from openloop.actions.manifests import ManifestFile
from openloop.domain.ids import ChangeId, new_id
from openloop.storage import changes
from tests import make
from tests.api.access import OPEN, OPERATIONS, PATH_PARAMETERS, ROLES, STRANGE_ID
from tests.api.browsing import Browser
from tests.api.conftest import open_api
from tests.api.test_access import ask, operations, request_of
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

CANARY = "zebra-7Q"
"""Stands in every text of the other workspace, and in no answer to anybody else."""
UUID_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOT_BY_LOGIN = ("log_out", "create_login_link")
"""A login ends, and needs no link: tests/api/test_logins.py."""


@pytest.fixture
async def stranger(database: Database, stage: Stage) -> AsyncIterator[Api]:
    """The API of a workspace in the same installation that shares nothing with the stage's."""
    id = await apply.ensure_workspace(database, "stranger")
    people: dict[str, Any] = {
        "people": {"mallory": {}},
        "groups": {},
        "roles": {"owner": ["@mallory"]},
    }
    await make.applied_workspace(database, id, {**people, "integrations": None}, name="stranger")
    async with open_api(database, id) as api:
        yield api


async def ids_of(api: Api, stage: Stage) -> dict[str, str]:
    """One of everything that addresses name, in the stage's workspace."""
    stage.models.turns = [reply(f"I note {CANARY}.", make.NOTE, make.CREATE), reply("Done.")]
    ref = await stage.mention(f"please do {CANARY}")
    await stage.work(ref)
    run, approval = await stage.run_of(ref), await stage.approval(ref)
    browser = Browser(api)
    await browser.get((await api.post("/api/v1/login-links")).json()["path"])
    (login,) = (await api.get("/api/v1/logins")).json()["items"]
    (memory,) = (await api.get("/api/v1/memories")).json()["items"]
    return {
        "run_id": str(run.id),
        "approval_id": str(approval.id),
        "conversation_id": str(ref.id),
        "memory_id": memory["id"],
        "token_id": api.tokens["viewer"].split("_")[2],
        "login_id": login["id"],
        "change_id": str(await _change(stage)),
        "name": "priya",
        "agent": "dev-platform",
        "surface": "slack",
    }


async def _change(stage: Stage) -> ChangeId:
    """A proposal that waits for somebody."""
    id, by = ChangeId(new_id()), (await stage.principal("priya")).id
    async with stage.tx() as tx:
        await changes.add(
            tx,
            stage.workspace,
            id,
            origin="sync",
            version=CANARY,
            files=[ManifestFile(name="a.yaml", text=CANARY)],
            digest="",
            documents=[],
            by=by,
        )
    return id


def rows_of(superuser: str, stage: Stage) -> dict[str, str]:
    """A fingerprint of every table's rows of the stage's workspace."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        tables = connection.execute(
            """
            SELECT table_name FROM information_schema.columns
            WHERE table_schema = 'openloop' AND column_name = 'workspace_id'
            """
        ).fetchall()
        found: dict[str, str] = {}
        for (table,) in tables:
            query = sql.SQL(
                "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM openloop.{} t "
                "WHERE workspace_id = %s"
            ).format(sql.Identifier(table))
            (found[table],) = connection.execute(query, (stage.workspace,)).fetchone() or ("",)
        return found


def test_the_table_knows_every_kind_of_id_that_addresses_name(document: dict[str, Any]) -> None:
    named = {name for path in document["paths"] for name in re.findall(r"\{(\w+)\}", path)} - {
        "secret"
    }
    assert named == set(PATH_PARAMETERS)


async def test_nobody_gets_anything_of_another_workspace_by_any_operation(
    api: Api, stranger: Api, stage: Stage, superuser: str
) -> None:
    """With ids that exist elsewhere every answer is the one to ids that exist nowhere."""
    foreign = await ids_of(api, stage)
    assert CANARY in (await api.get(f"/api/v1/runs/{foreign['run_id']}")).text
    before = rows_of(superuser, stage)
    assert len(before) > 20

    for operation in OPERATIONS:
        row = OPERATIONS[operation]
        is_of_agent = operations(api)[operation][1].startswith("/api/v1/agents/")
        named = {**foreign, "name": foreign["agent"]} if is_of_agent else foreign
        for role in ROLES:
            answer = await ask(stranger, operation, by=role, ids=named)
            expected = row.status if role in row.roles else 403
            assert (operation, role, answer.status_code) == (operation, role, expected)
            assert CANARY not in answer.text, (operation, role)
            for id in (foreign["run_id"], foreign["memory_id"], str(stage.workspace)):
                if "{" not in operations(api)[operation][1]:
                    assert id not in answer.text, (operation, role)

    assert rows_of(superuser, stage) == before


async def test_nothing_of_another_workspace_is_reached_by_what_is_asked_for_or_sent(
    api: Api, stranger: Api, stage: Stage, superuser: str, document: dict[str, Any]
) -> None:
    """The same for every text of a query and of a body: an id of elsewhere is an id of nowhere."""
    ids = await ids_of(api, stage)
    foreign = (*(ids[key] for key in ids if key != "surface"), str(stage.workspace))
    before = rows_of(superuser, stage)
    tried = 0

    for operation in OPERATIONS:
        method, path, details = request_of(stranger, operation)
        queries, fields = texts_of(document, operation)
        for part, name in [*(("params", q) for q in queries), *(("json", f) for f in fields)]:
            status: dict[str, int] = {}
            for value in foreign:
                nowhere = STRANGE_ID if UUID_SHAPE.fullmatch(value) else value[::-1]
                for each in (value, nowhere):
                    given: dict[str, Any] = {**(details[part] or {}), name: each}
                    sent: dict[str, Any] = {**details, part: given}
                    answer = await stranger.call(method, path, by="owner", **sent)
                    status[each] = answer.status_code
                    assert CANARY not in answer.text, (operation, name, each)
                assert status[value] == status[nowhere], (operation, name, value)
                tried += 1

    assert tried > 400
    assert rows_of(superuser, stage) == before


def texts_of(document: dict[str, Any], operation: str) -> tuple[list[str], list[str]]:
    """What of a query and what of a body takes a text that could be an id or a name."""
    (found,) = [
        each
        for path in document["paths"].values()
        for each in path.values()
        if each["operationId"] == operation
    ]
    queries = [
        each["name"]
        for each in found.get("parameters", ())
        if each["in"] == "query" and _is_text(each["schema"])
    ]
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    properties = document["components"]["schemas"].get(name, {}).get("properties", {})
    return queries, [field for field, schema in properties.items() if _is_text(schema)]


def _is_text(schema: dict[str, Any]) -> bool:
    kinds = schema.get("anyOf", [schema])
    return any(kind.get("type") == "string" and "enum" not in kind for kind in kinds)


async def test_a_login_is_let_in_where_a_token_of_its_role_is(api: Api) -> None:
    """The same table holds for cookies: a write by one comes from our own page."""
    for role in ROLES:
        browser = Browser(api)
        await browser.get((await api.post("/api/v1/login-links", by=role)).json()["path"])
        headers = {"Origin": "http://127.0.0.1:8000", "X-OpenLoop-CSRF": await browser.csrf()}
        for operation, row in OPERATIONS.items():
            if operation in NOT_BY_LOGIN:
                continue
            method, path, details = request_of(api, operation)
            answer = await browser.call(method, path, headers=headers, **details)
            expected = row.status if role in row.roles else 403
            assert (operation, role, answer.status_code) == (operation, role, expected)


async def test_no_write_is_taken_from_a_cookie_alone(api: Api) -> None:
    browser = Browser(api)
    await browser.get((await api.post("/api/v1/login-links")).json()["path"])
    for operation, (method, path) in operations(api).items():
        if method == "GET" or operation in OPEN:
            continue
        answer = await browser.call(method, path.replace("{", "").replace("}", ""), json={})
        assert (operation, answer.status_code) == (operation, 403)
        assert answer.json()["code"] == "origin_not_allowed"
