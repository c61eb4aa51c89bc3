"""What a login is after it has begun: a cookie, its end, its secret, and one-time links."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from openloop.domain.login import name_of
from tests.api.browsing import SAME, SUBJECT, Browser, allow, make_issuer, renew, with_issuer
from tests.api.conftest import HOST, open_api

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from openloop.testing.rigs.oidc import Issuer
    from tests.api.conftest import Api
    from tests.make import Clock, Stage


@pytest.fixture
def issuer() -> Issuer:
    """Where people log in."""
    return make_issuer()


# --- the cookie ----------------------------------------------------------------------------------


async def test_the_cookies_are_host_only_secure_and_unreadable(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        sent = await browser.get("/login")
        back = urlsplit(issuer.visit(sent.headers["location"]))
        came = await browser.get(f"{back.path}?{back.query}")
    (way,) = sent.headers.get_list("set-cookie")
    login, gone = came.headers.get_list("set-cookie")
    assert way.startswith("__Host-openloop-login=")
    assert way.endswith("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax")
    assert login.startswith("__Host-openloop=")
    assert login.endswith("; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Strict")
    assert gone.startswith("__Host-openloop-login=; Path=/; Max-Age=0;")
    async with stage.tx() as tx:
        secret = login.split("=", 1)[1].split(";")[0]
        stored = await tx.value("SELECT encode(secret_sha256, 'hex') FROM logins")
    assert secret not in stored


async def test_a_write_needs_the_proof_of_our_own_page(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser, other = Browser(api), Browser(api)
        await browser.log_in(issuer)
        await other.log_in(issuer)
        csrf, foreign = await browser.csrf(), await other.csrf()
        say = {"agent": "dev-platform", "text": "hello"}
        path = "/api/v1/conversations"

        for headers, code in (
            ({}, "origin_not_allowed"),
            ({"X-OpenLoop-CSRF": csrf}, "origin_not_allowed"),
            ({"Origin": "https://evil.example", "X-OpenLoop-CSRF": csrf}, "origin_not_allowed"),
            ({"Origin": "null", "X-OpenLoop-CSRF": csrf}, "origin_not_allowed"),
            (SAME, "csrf_token_wrong"),
            ({**SAME, "X-OpenLoop-CSRF": foreign}, "csrf_token_wrong"),
            ({**SAME, "X-OpenLoop-CSRF": csrf[:-1]}, "csrf_token_wrong"),
        ):
            answer = await browser.call("POST", path, json=say, headers=headers)
            assert (headers, answer.status_code, answer.json()["code"]) == (headers, 403, code)
        good = await browser.call("POST", path, json=say, headers={**SAME, "X-OpenLoop-CSRF": csrf})
        assert good.status_code == 202


async def test_a_login_ends_when_it_was_idle_for_eight_hours(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        for _ in range(2):
            await clock.advance(hours=7)
            await renew(api)
            assert (await browser.get("/api/v1/runs")).status_code == 200
        await clock.advance(hours=8, seconds=1)
        await renew(api)
        assert (await browser.get("/api/v1/runs")).status_code == 401


async def test_a_login_ends_after_a_day_however_busy_it_was(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        for _ in range(4):
            await clock.advance(hours=5)
            await renew(api)
            assert (await browser.get("/api/v1/runs")).status_code == 200
        await clock.advance(hours=4, seconds=1)
        await renew(api)
        assert (await browser.get("/api/v1/runs")).status_code == 401


async def test_a_change_of_roles_gives_the_login_another_secret(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        before = dict(browser.kept)
        await browser.get("/api/v1/runs")
        assert browser.kept == before

        await allow(stage, {"login": {"roles": {"engineering": ["viewer"]}}})
        assert (await browser.get("/api/v1/me")).json()["rights"] == ["see"]

        assert browser.kept != before
        old = Browser(api)
        old.kept = dict(before)
        assert (await old.get("/api/v1/me")).json()["rights"] == ["see"]  # a request under way
        assert old.kept == before
        await clock.advance(seconds=11)
        assert (await old.get("/api/v1/me")).status_code == 401
        assert (await browser.get("/api/v1/me")).status_code == 200


async def test_of_several_requests_at_once_none_is_thrown_out_by_a_change_of_roles(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        await allow(stage, {"login": {"roles": {"engineering": ["admin"]}}})
        before = dict(browser.kept)

        async def ask() -> httpx.Response:
            one = Browser(api)
            one.kept = dict(before)
            return await one.get("/api/v1/runs")

        answers = await asyncio.gather(*(ask() for _ in range(6)))

    assert {answer.status_code for answer in answers} == {200}
    assert sum("set-cookie" in answer.headers for answer in answers) == 1


async def test_logging_out_ends_it_for_whoever_copied_the_cookie(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        copied = Browser(api)
        copied.kept = dict(browser.kept)

        assert (await browser.post("/api/v1/logout", {})).status_code == 204

        assert browser.kept == {}
        assert (await copied.get("/api/v1/runs")).status_code == 401
    assert await stage.kinds("login.") == ["login.begun", "login.ended"]


async def test_an_owner_sees_and_ends_logins(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        (listed,) = (await api.get("/api/v1/logins")).json()["items"]
        assert (listed["method"], listed["principal"]) == ("oidc", name_of(issuer.url, SUBJECT))

        assert (await api.delete(f"/api/v1/logins/{listed['id']}")).status_code == 204

        assert (await browser.get("/api/v1/runs")).status_code == 401
        assert (await api.get("/api/v1/logins")).json()["items"] == []


@pytest.mark.parametrize("cookie", ["", "x", "0" * 32 + "." + "a" * 43, "é" * 40, "a;b"])
async def test_a_cookie_that_is_none_of_ours_is_nobody(api: Api, cookie: str) -> None:
    header = f"__Host-openloop={cookie}".encode()
    answer = await api.http.get("/api/v1/runs", headers={b"Cookie": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_two_cookies_of_one_name_are_refused(api: Api) -> None:
    answer = await api.http.get(
        "/api/v1/runs", headers={"Cookie": "__Host-openloop=a; __Host-openloop=b"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")


async def test_whoever_is_refused_later_loses_the_logins_there_are(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.claims = {"email_verified": False}
        assert (await Browser(api).log_in(issuer)).status_code == 403
        assert (await browser.get("/api/v1/runs")).status_code == 401


# --- one-time links ------------------------------------------------------------------------------


async def link_of(api: Api, by: str = "owner") -> str:
    made = await api.post("/api/v1/login-links", by=by)
    assert made.status_code == 201
    return made.json()["path"]


async def test_a_link_makes_a_browser_on_this_machine_the_holder_of_a_token_once(
    api: Api,
) -> None:
    browser = Browser(api)
    path = await link_of(api, by="operator")

    assert (await browser.get(path)).status_code == 200

    assert (await browser.get("/api/v1/me")).json()["rights"] == ["see", "run"]
    assert (await Browser(api).get(path)).status_code == 403


async def test_the_login_of_a_link_ends_with_its_token(api: Api) -> None:
    browser = Browser(api)
    await browser.get(await link_of(api, by="viewer"))
    token_id = api.tokens["viewer"].split("_")[2]

    await api.delete(f"/api/v1/tokens/{token_id}")

    assert (await browser.get("/api/v1/runs")).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_link_is_not_good_from_elsewhere(api: Api, headers: dict[str, str]) -> None:
    path = await link_of(api)
    assert (await Browser(api).get(path, headers=headers)).status_code == 403
    assert (await Browser(api).get(path)).status_code == 200


async def test_a_link_is_not_good_under_a_public_name_or_from_another_machine(
    database: Database, stage: Stage
) -> None:
    hosts = frozenset({"agents.acme.example"})
    async with open_api(database, stage.workspace, allowed_hosts=hosts) as api:
        path = await link_of(api)
        named = await Browser(api).get(path, headers={"Host": "agents.acme.example"})
        far = httpx.ASGITransport(api.app, client=("203.0.113.7", 1234))
        async with httpx.AsyncClient(transport=far, base_url=f"http://{HOST}") as http:
            away = await http.get(path)
        assert (named.status_code, away.status_code) == (403, 403)


async def test_a_link_is_good_for_ten_minutes(api: Api, clock: Clock) -> None:
    path = await link_of(api)
    await clock.advance(minutes=10, seconds=1)
    assert (await Browser(api).get(path)).status_code == 403
