"""The outermost layer: names, origins, headers, time, and faults of ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from openloop.api.kit import Pace
from openloop.domain.errors import (
    AlreadyDecided,
    Forbidden,
    Invalid,
    NotFound,
    OpenLoopError,
    TryLater,
    Unavailable,
)
from tests.api.conftest import open_api

if TYPE_CHECKING:
    from fastapi import FastAPI

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage


async def raises(app: FastAPI, error: BaseException) -> None:
    """Give the API a route that fails."""

    async def fail() -> None:
        raise error

    app.add_api_route("/api/v1/fail", fail)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "[::1]"]
)
async def test_this_machine_is_known_under_its_own_names(api: Api, host: str) -> None:
    assert (await api.get("/api/v1/runs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example@127.0.0.1:8000x",
        "",
        "[::1",
        "\xe9",
    ],
)
async def test_a_foreign_host_is_refused_before_anything_else(api: Api, host: str) -> None:
    """DNS rebinding: a page of evil.example is given our address, and keeps its own name."""
    for path in ("/api/v1/runs", "/healthz", "/openapi.json"):
        answer = await api.get(path, headers={"Host": host.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (400, "host_not_allowed")


async def test_a_configured_host_is_known(database: Database, stage: Stage) -> None:
    async with open_api(
        database, stage.workspace, allowed_hosts=frozenset({"Agents.acme.example"})
    ) as api:
        answer = await api.get("/api/v1/runs", headers={"Host": "agents.acme.example"})
    assert answer.status_code == 200


async def test_a_page_of_another_site_may_not_write(api: Api) -> None:
    for origin in (
        "https://evil.example",
        "http://127.0.0.1:3000",
        "http://localhost:8000",
        "null",
        "",
        "file://127.0.0.1:8000",
    ):
        answer = await api.post("/api/v1/tokens", {}, headers={"Origin": origin})
        assert (origin, answer.status_code) == (origin, 403)
        assert answer.json()["code"] == "origin_not_allowed"
    same = await api.post("/api/v1/tokens", {}, headers={"Origin": "http://127.0.0.1:8000"})
    assert same.status_code == 422


async def test_no_other_site_is_ever_let_in(api: Api) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    before = await api.call("OPTIONS", "/api/v1/runs", by=None, headers=asked)
    read = await api.get("/api/v1/runs", headers={"Origin": "https://evil.example"})

    assert before.status_code == 401
    for answer in (before, read):
        assert not any(name.startswith("access-control") for name in answer.headers)


async def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path, by in (("/healthz", None), ("/api/v1/runs", "viewer"), ("/api/v1/runs", None)):
        answer = await api.get(path, by=by)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("There is no such thing"), 404, "not_found"),
        (AlreadyDecided("Too late"), 409, "approval_already_decided"),
        (Forbidden("You may not"), 403, "forbidden"),
        (Invalid("Wrong", problems=["a", "b"]), 422, "invalid"),
        (Unavailable("Gone"), 503, "unavailable"),
        (TryLater("Busy"), 503, "try_later"),
        (OpenLoopError("Odd"), 500, "error"),
    ],
)
async def test_errors_of_ours_are_mapped_by_family(
    api: Api, error: OpenLoopError, status: int, code: str
) -> None:
    await raises(api.app, error)

    answer = await api.get("/api/v1/fail")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert problem["detail"] == str(error)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert problem["problems"] == (["a", "b"] if isinstance(error, Invalid) else [])


@pytest.mark.parametrize("error", [ZeroDivisionError("xoxb-secret"), TimeoutError("xoxb-secret")])
async def test_a_fault_of_ours_shows_an_id_and_nothing_of_its_text(
    api: Api, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    await raises(api.app, error)

    answer = await api.get("/api/v1/fail")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    fault = answer.json()["detail"].split()[-1]
    logged = capsys.readouterr()
    assert fault in logged.out + logged.err


async def test_a_fault_behind_a_one_time_link_leaves_the_link_out_of_the_log(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("openloop.api.entrance.login.log_in_by_link", breaks)
    with capture_logs() as logged:
        answer = await api.get("/login/link/very-secret-link", by=None)
    assert answer.status_code == 500
    assert [each["path"] for each in logged] == ["/login/link/..."]
    assert "very-secret-link" not in str(logged)


async def test_a_request_that_takes_too_long_is_answered(database: Database, stage: Stage) -> None:
    pace = Pace(request_seconds=0.05)
    async with open_api(database, stage.workspace, pace=pace) as api:

        async def never() -> None:
            await asyncio.Event().wait()

        api.app.add_api_route("/api/v1/never", never)
        answer = await api.get("/api/v1/never")

    assert (answer.status_code, answer.json()["code"]) == (503, "timed_out")


async def test_a_websocket_is_closed(api: Api) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope: dict[str, object] = {"type": "websocket", "path": "/api/v1/events", "headers": []}
    await api.app(scope, receive, send)  # pyright: ignore[reportArgumentType]

    assert sent == [{"type": "websocket.close", "code": 1008}]
