"""The Idempotency-Key: a repeated write is answered again and not done again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import apply
from openloop.storage import idempotency
from tests import make
from tests.api.conftest import open_api

if TYPE_CHECKING:
    import httpx

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

SAY = "/api/v1/conversations"
HELLO = {"agent": "dev-platform", "text": "hello"}


async def say(api: Api, key: str, content: dict[str, Any] = HELLO, **more: Any) -> httpx.Response:
    return await api.post(SAY, content, headers={"Idempotency-Key": key}, **more)


async def test_the_same_request_is_done_once_and_answered_twice(api: Api, stage: Stage) -> None:
    first, second = await say(api, "one"), await say(api, "one")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert len(await stage.runs()) == 1


async def test_another_key_is_another_request(api: Api, stage: Stage) -> None:
    await say(api, "one")
    await say(api, "two")

    assert len(await stage.runs()) == 2


async def test_the_same_key_with_another_request_is_a_conflict(api: Api, stage: Stage) -> None:
    await say(api, "one")

    for answer in (
        await say(api, "one", {**HELLO, "text": "bye"}),
        await api.post("/api/v1/manifests/validate", HELLO, headers={"Idempotency-Key": "one"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")
    assert len(await stage.runs()) == 1


async def test_a_key_belongs_to_its_principal(api: Api, stage: Stage) -> None:
    await say(api, "one", by="operator")
    await say(api, "one", by="admin")

    assert len(await stage.runs()) == 2


async def test_a_key_belongs_to_its_workspace(api: Api, database: Database, stage: Stage) -> None:
    await say(api, "one")
    other = await apply.ensure_workspace(database, "other")
    await make.applied_workspace(database, other, {"integrations": None}, name="other")

    async with open_api(database, other) as theirs:
        answer = await say(theirs, "one", {**HELLO, "agent": "nobody"})

    assert answer.status_code == 404


async def test_a_refused_request_leaves_its_key_free(api: Api, stage: Stage) -> None:
    assert (await say(api, "one", {**HELLO, "agent": "nobody"})).status_code == 404
    assert (await say(api, "one", {"agent": "dev-platform"})).status_code == 422

    assert (await say(api, "one")).status_code == 202
    assert len(await stage.runs()) == 1


async def test_of_two_at_once_one_is_done(
    api: Api, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    take = api.app.state.kit.intake.take

    async def slow(*arguments: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await take(*arguments)

    monkeypatch.setattr(api.app.state.kit.intake, "take", slow)
    first = asyncio.create_task(say(api, "one"))
    async with asyncio.timeout(30):
        await begun.wait()
        second = await say(api, "one")
        go_on.set()
        assert (await first).status_code == 202

    assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_use")
    assert len(await stage.runs()) == 1


async def test_a_key_whose_process_died_is_taken_over_and_the_message_is_not_doubled(
    api: Api, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message was committed, and the process died before its answer was on record."""

    async def die(*_: object, **__: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "settle", die)
        assert (await say(api, "one")).status_code == 500
    assert (await say(api, "one")).json()["code"] == "idempotency_key_in_use"

    async with stage.tx() as tx:
        await tx.run("UPDATE idempotency_keys SET made_at = made_at - interval '61 seconds'")
    again = await say(api, "one")

    assert (again.status_code, again.json()["taken"]) == (202, "duplicate")
    assert len(await stage.runs()) == 1


async def test_a_key_is_forgotten_after_seven_days(api: Api, stage: Stage) -> None:
    await say(api, "one")
    async with stage.tx() as tx:
        await tx.run("UPDATE idempotency_keys SET made_at = made_at - interval '7 days'")

    again = await say(api, "one", {**HELLO, "text": "another"})
    async with stage.tx() as tx:
        await tx.run("UPDATE idempotency_keys SET made_at = made_at - interval '7 days'")
        swept = await idempotency.sweep(tx, limit=100)

    assert "idempotency-replayed" not in again.headers
    assert swept == 1


async def test_an_answer_with_a_secret_is_not_kept(api: Api, stage: Stage) -> None:
    new = {"principal": "ci", "role": "viewer", "name": "ci"}
    key = {"Idempotency-Key": "one"}

    first = await api.post("/api/v1/tokens", new, headers=key)
    second = await api.post("/api/v1/tokens", new, headers=key)

    assert first.status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_answer_not_kept")
    async with stage.tx() as tx:
        kept = await tx.tuples("SELECT status, answer FROM idempotency_keys")
    assert kept == [(201, None)]


async def test_an_answer_without_a_body_is_given_again(api: Api) -> None:
    minted = await api.post("/api/v1/tokens", {"principal": "ci", "role": "viewer", "name": "ci"})
    path, key = f"/api/v1/tokens/{minted.json()['id']}", {"Idempotency-Key": "one"}

    first, second = await api.delete(path, headers=key), await api.delete(path, headers=key)

    assert (first.status_code, second.status_code) == (204, 204)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é"])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}

    answer = await api.post(SAY, HELLO, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")


async def test_a_key_on_a_read_says_nothing(api: Api) -> None:
    for _ in range(2):
        answer = await api.get("/api/v1/runs", headers={"Idempotency-Key": "one"})
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)
