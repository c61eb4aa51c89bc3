"""Logins in browsers: whom the identity provider vouches for gets in, and nobody else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import ECKey, OctKey

from openloop.api.oidc_settings import read_settings
from openloop.domain.errors import Misconfigured
from openloop.domain.login import name_of
from tests import make
from tests.api.browsing import GROUPS, SUBJECT, Browser, allow, make_issuer, with_issuer

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from openloop.testing.rigs.oidc import Issuer
    from tests.api.conftest import Api
    from tests.make import Clock, Stage


@pytest.fixture
def issuer() -> Issuer:
    """Where people log in."""
    return make_issuer()


# --- who gets in ---------------------------------------------------------------------------------


async def test_a_person_of_a_group_gets_the_roles_that_the_manifest_grants_it(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)

        answer = await browser.log_in(issuer)

        me = (await browser.get("/api/v1/me")).json()
        assert (answer.status_code, me["rights"]) == (200, ["see", "run"])
        assert me["name"] == name_of(issuer.url, SUBJECT)
        assert (await browser.get("/api/v1/runs")).status_code == 200
        assert (await browser.get("/api/v1/tokens")).status_code == 403
    assert await stage.kinds("login.") == ["login.begun"]


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": None},
        {"groups": []},
        {"groups": ["sales"]},
        {"groups": {"engineering": True}},
        {"groups": [["engineering"]]},
        {"groups": 7},
        {"groups": None, "group": ["engineering"]},
        {"email_verified": None},
        {"email_verified": False},
        {"email_verified": "true"},
    ],
)
async def test_a_missing_or_odd_claim_grants_nothing(
    database: Database, stage: Stage, issuer: Issuer, claims: dict[str, Any]
) -> None:
    await allow(stage)
    issuer.claims = claims
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        answer = await browser.log_in(issuer)
        assert (answer.status_code, browser.kept) == (403, {})
    assert await stage.count("logins") == 0
    assert await stage.kinds("login.") == ["login.refused"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"iss": "https://other.example"}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": ["openloop", "another"], "azp": "another"}},
        {"claims": {"nonce": "of another login"}},
        {"claims": {"nonce": None}},
        {"claims": {"sub": None}},
        {"claims": {"exp": 1_000_000}},
        {"claims": {"exp": None}},
        {"signs_with": ECKey.generate_key("P-256")},
        {
            "signs_with": OctKey.import_key("a-client-secret-of-32-characters!"),
            "header": {"alg": "HS256"},
        },
    ],
)
async def test_a_token_that_is_not_what_it_has_to_be_is_not_believed(
    database: Database, stage: Stage, issuer: Issuer, wrong: dict[str, Any]
) -> None:
    await allow(stage)
    for name, value in wrong.items():
        setattr(issuer, name, value)
    async with with_issuer(database, stage, issuer) as (api, _):
        answer = await Browser(api).log_in(issuer)
    assert (answer.status_code, await stage.count("logins")) == (403, 0)
    assert await stage.kinds("login.") == ["login.refused"]


async def test_nobody_is_recognised_by_an_address_or_a_name(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    people = {**make.WORKSPACE["people"], "priya": {"slack": "U0PRIYA", "email": "p@acme.example"}}
    await stage.revise_workspace({"people": people, "access": GROUPS})
    issuer.claims = {"email": "p@acme.example", "preferred_username": "priya", "name": "priya"}
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        me = (await browser.get("/api/v1/me")).json()
    assert me["principal_id"] != str((await stage.principal("priya")).id)
    assert me["rights"] == ["see", "run"]


async def test_a_subject_that_the_manifest_names_is_that_person(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    people = {**make.WORKSPACE["people"], "priya": {"slack": "U0PRIYA", "login": SUBJECT}}
    await stage.revise_workspace({"people": people})
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        me = (await browser.get("/api/v1/me")).json()
    assert me["name"] == "priya"
    assert "tokens" in me["rights"]
    assert "vote" in me["rights"]


# --- the way -------------------------------------------------------------------------------------


async def test_an_answer_is_taken_once_and_by_the_browser_that_asked(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        mine, other = Browser(api), Browser(api)
        sent = await mine.get("/login")
        back = urlsplit(issuer.visit(sent.headers["location"]))
        way = f"{back.path}?{back.query}"
        await other.get("/login")

        assert (await other.get(way)).status_code == 403
        assert (await Browser(api).get(way)).status_code == 403
        again = dict(mine.kept)
        assert (await mine.get(way)).status_code == 200
        mine.kept = again
        assert (await mine.get(way)).status_code == 403
    assert await stage.count("logins") == 1


async def test_a_login_that_took_too_long_begins_again(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        sent = await browser.get("/login")
        back = urlsplit(issuer.visit(sent.headers["location"]))
        await clock.advance(minutes=11)
        assert (await browser.get(f"{back.path}?{back.query}")).status_code == 403


async def test_strangers_who_begin_logins_keep_nobody_from_theirs(
    database: Database, stage: Stage, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openloop.storage.logins.MOST_ATTEMPTS", 3)
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        for _ in range(5):
            assert (await Browser(api).get("/login")).status_code == 303
        assert (await Browser(api).log_in(issuer)).status_code == 200
    assert await stage.count("login_attempts") == 2


async def test_what_the_provider_refuses_is_refused_here(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        state = re.search(r"state=([^&]+)", (await browser.get("/login")).headers["location"])
        assert state is not None
        answer = await browser.get(f"/login/callback?error=access_denied&state={state[1]}")
    assert (answer.status_code, "access_denied" in answer.text) == (403, True)
    assert [event.detail["reason"] for event in await stage.audit("login.")] == [
        "The identity provider refused: access_denied"
    ]


async def test_the_answer_of_another_provider_is_not_taken(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    """Mix-up: the browser comes back with a code, and says that another issuer gave it."""
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        back = urlsplit(issuer.visit((await browser.get("/login")).headers["location"]))
        query = back.query.replace("iss=https%3A%2F%2Fid.example", "iss=https%3A%2F%2Fx.example")
        assert query != back.query
        assert (await browser.get(f"{back.path}?{query}")).status_code == 403
    assert "/token" not in issuer.requests


async def test_a_code_without_its_verifier_is_worth_nothing(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    """Somebody read a code on its way and brings it into a login of their own."""
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        victim, thief = Browser(api), Browser(api)
        stolen = urlsplit(issuer.visit((await victim.get("/login")).headers["location"]))
        code = re.search(r"code=([^&]+)", stolen.query)
        own = urlsplit(issuer.visit((await thief.get("/login")).headers["location"]))
        assert code is not None
        query = re.sub(r"code=[^&]+", f"code={code[1]}", own.query)
        assert (await thief.get(f"{own.path}?{query}")).status_code == 403
    assert await stage.count("logins") == 0


async def test_a_provider_that_is_down_or_wrong_is_said_to_be(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    issuer.is_down = True
    async with with_issuer(database, stage, issuer) as (api, _):
        answer = await Browser(api).get("/login")
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unreachable")
        issuer.is_down, issuer.announces = False, {"issuer": "https://evil.example"}
        answer = await Browser(api).get("/login")
        assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_wrong")
        issuer.announces = {"token_endpoint": "http://evil.example/token"}
        assert (await Browser(api).get("/login")).status_code == 503


async def test_a_new_key_of_the_provider_is_looked_up(
    database: Database, stage: Stage, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await allow(stage)
    monkeypatch.setattr("openloop.api.oidc._KEYS_AGAIN_SECONDS", 0.0)
    async with with_issuer(database, stage, issuer) as (api, _):
        await Browser(api).log_in(issuer)
        issuer.key = ECKey.generate_key("P-256")
        assert (await Browser(api).log_in(issuer)).status_code == 200


async def test_without_a_provider_there_is_nothing_to_log_in_to(api: Api) -> None:
    answer = await Browser(api).get("/login")
    assert (answer.status_code, answer.json()["code"]) == (404, "identity_provider_not_configured")


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil", "/a b", "/;"]
)
async def test_one_goes_on_to_a_path_of_this_installation_only(
    database: Database, stage: Stage, issuer: Issuer, path: str
) -> None:
    async with with_issuer(database, stage, issuer) as (api, _):
        assert (await Browser(api).get("/login", params={"return_to": path})).status_code == 422


async def test_the_page_after_a_login_goes_on_by_itself(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        answer = await Browser(api).log_in(issuer, return_to="/runs?state=waiting")
    assert '<meta http-equiv="refresh" content="0;url=/runs?state=waiting">' in answer.text


@pytest.mark.parametrize(
    ("environ", "problems"),
    [
        ({"OPENLOOP_OIDC_CLIENT_ID": "x"}, 2),
        ({"OPENLOOP_OIDC_ISSUER": "https://a.example"}, 2),
        (
            {
                "OPENLOOP_OIDC_ISSUER": "http://a.example",
                "OPENLOOP_OIDC_CLIENT_ID": "x",
                "OPENLOOP_PUBLIC_URL": "http://b.example",
            },
            2,
        ),
    ],
)
def test_half_a_configuration_is_refused_with_every_problem(
    environ: dict[str, str], problems: int
) -> None:
    assert read_settings({}) is None
    with pytest.raises(Misconfigured) as refused:
        read_settings(environ)
    assert len(refused.value.problems) == problems
