"""Votes on what destroys, and glasses: under a login whose person was authenticated a moment ago."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.tool import Effect
from openloop.runtime.builtin.memory import memory_toolset
from openloop.tools.registry import Registry
from tests import make
from tests.api.browsing import SUBJECT, Browser, make_issuer, renew, with_issuer
from tests.api.conftest import person_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from openloop.testing.rigs.oidc import Issuer
    from tests.api.conftest import Api
    from tests.make import Clock, Stage

PEOPLE: dict[str, Any] = {
    "people": {
        "priya": {"slack": "U0PRIYA"},
        "anna": {"slack": "U0ANNA", "login": SUBJECT},
        "ben": {"slack": "U0BEN"},
    },
    "groups": {"maintainers": ["@priya", "@anna"]},
    "roles": {"owner": ["@priya", "@anna"], "approver": ["@maintainers"], "operator": ["@ben"]},
}
APPROVE = {"decision": "approve"}
AGAIN = "/login?again=true&workspace=acme"


@pytest.fixture
def issuer() -> Issuer:
    """Where people log in."""
    return make_issuer()


@pytest.fixture
async def stage(database: Database) -> Stage:
    """A workspace with two approvers, and a tracker whose writes destroy something."""
    stage = await make.stage(database, workspace=PEOPLE)
    return with_effect(stage, Effect.DESTROY)


def with_effect(stage: Stage, effect: Effect) -> Stage:
    tracker = stage.tracker.toolset()
    tools = tuple(
        replace(tool, effect=effect) if tool.name == "create_issue" else tool
        for tool in tracker.tools
    )
    stage.registry = Registry((replace(tracker, tools=tools), memory_toolset()))
    return stage


async def held(stage: Stage) -> tuple[ConversationRef, str]:
    """A held call that Ben has asked for, and where it is voted on."""
    root = f"root-{await stage.count('runs')}"
    ref, _ = await stage.hold(await stage.mention(by="ben", root=root))
    return ref, f"/api/v1/approvals/{(await stage.approval(ref)).id}"


@asynccontextmanager
async def asked(
    database: Database, stage: Stage, issuer: Issuer
) -> AsyncGenerator[tuple[Browser, str]]:
    """Anna's browser, right after her login, and where it votes on a held call."""
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        _, path = await held(stage)
        yield browser, path


async def vote(browser: Browser, path: str, decision: str = "approve") -> tuple[int, str]:
    """What a vote is answered: the status, and the code or the state."""
    answer = await browser.post(f"{path}/vote", {"decision": decision})
    said = answer.json()
    return answer.status_code, said.get("code") or said["state"]


TOO_OLD = (403, "login_too_old")


async def test_what_destroys_is_approved_within_ten_minutes_of_a_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    issuer.authenticated_at = time.time()
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        _, early = await held(stage)
        _, late = await held(stage)

        await clock.advance(minutes=9, seconds=50)
        assert await vote(browser, early) == (200, "approved")
        await clock.advance(seconds=11)
        refused = await browser.post(f"{late}/vote", APPROVE)

        assert (refused.status_code, refused.json()["code"]) == TOO_OLD
        assert AGAIN in refused.json()["detail"]
        assert (await api.get(late)).json()["votes"] == []


async def test_logging_in_again_is_what_it_needs(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    async with asked(database, stage, issuer) as (browser, path):
        await clock.advance(minutes=20)
        assert await vote(browser, path) == TOO_OLD

        issuer.authenticated_at = time.time() + 20 * 60
        assert (await log_in_again(browser, issuer)).status_code == 200

        assert await vote(browser, path) == (200, "approved")


async def test_a_provider_that_does_not_say_when_is_asked_again(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    """Its person may have been logged in there for days."""
    async with asked(database, stage, issuer) as (browser, path):
        assert await vote(browser, path) == TOO_OLD
        assert (await log_in_again(browser, issuer)).status_code == 200
        assert await vote(browser, path) == (200, "approved")


async def log_in_again(browser: Browser, issuer: Issuer, path: str = AGAIN) -> Any:
    """To the provider and back, as the refusal says; the provider is told how old is too old."""
    sent = await browser.get(path)
    assert parse_qs(urlsplit(sent.headers["location"]).query)["max_age"] == ["600"]
    back = urlsplit(issuer.visit(sent.headers["location"]))
    return await browser.get(f"{back.path}?{back.query}")


async def test_rejecting_is_always_possible(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    async with asked(database, stage, issuer) as (browser, path):
        await clock.advance(minutes=20)
        assert await vote(browser, path, "deny") == (200, "denied")


async def test_what_only_writes_needs_no_new_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    with_effect(stage, Effect.WRITE)
    async with asked(database, stage, issuer) as (browser, path):
        await clock.advance(minutes=20)
        assert await vote(browser, path) == (200, "approved")


async def test_trying_again_what_may_have_been_destroyed_needs_one_and_saying_so_does_not(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    issuer.authenticated_at = time.time()
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        ref, path = await held(stage)
        stage.tracker.next, stage.tracker.knows = ["lost"], False
        await vote(browser, path)
        await stage.work(ref)
        assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN
        await clock.advance(minutes=20)
        assert await vote(browser, path, "retry") == TOO_OLD
        assert await vote(browser, path, "happened") == (200, "executed")


async def test_a_stay_at_the_provider_that_began_long_ago_is_no_fresh_login(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    """The browser has just come back; its person typed nothing there for an hour."""
    issuer.authenticated_at = time.time() - 3600
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        assert (await browser.log_in(issuer)).status_code == 200
        _, path = await held(stage)
        assert await vote(browser, path) == TOO_OLD


async def test_a_time_that_has_not_come_lends_no_minute_more(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    issuer.authenticated_at = time.time() + 3600
    async with asked(database, stage, issuer) as (browser, path):
        await clock.advance(minutes=10, seconds=1)
        assert await vote(browser, path) == TOO_OLD


@pytest.mark.parametrize(
    "odd", ["yesterday", True, -1, 10**18, float("inf"), [1], {"at": 1}, "1764000000", 0, ""]
)
async def test_a_time_that_is_none_is_not_believed(
    database: Database, stage: Stage, issuer: Issuer, odd: Any
) -> None:
    issuer.claims = {"auth_time": odd}
    async with with_issuer(database, stage, issuer) as (api, _):
        answer = await Browser(api).log_in(issuer)
    assert (answer.status_code, await stage.count("logins")) == (403, 0)


@pytest.mark.parametrize("age", [None, 601, 3600])
async def test_a_provider_that_does_not_ask_its_person_again_is_refused(
    database: Database, stage: Stage, issuer: Issuer, age: int | None
) -> None:
    """After `max_age` an answer has to say when; the login that there is stays as it was."""
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        before = dict(browser.kept)
        issuer.authenticated_at, issuer.heeds_max_age = None, False
        if age is not None:
            issuer.authenticated_at = time.time() - age

        answer = await log_in_again(browser, issuer)

        assert answer.status_code == 403
        assert browser.kept == before
        assert (await browser.get("/api/v1/me")).status_code == 200
    assert await stage.kinds("login.") == ["login.begun", "login.refused"]
    assert await stage.count("logins") == 1


async def test_nobody_gets_around_that_by_coming_back_from_another_way(
    database: Database, stage: Stage, issuer: Issuer
) -> None:
    """What was asked for is ours to remember: the address that comes back says nothing of it."""
    issuer.authenticated_at, issuer.heeds_max_age = time.time() - 3600, False
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        sent = await browser.get(AGAIN)
        plain = sent.headers["location"].replace("&max_age=600", "")
        assert plain != sent.headers["location"]
        back = urlsplit(issuer.visit(plain))
        assert (await browser.get(f"{back.path}?{back.query}")).status_code == 403


async def test_being_vouched_for_again_is_no_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """A refresh token renews a login without its person."""
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        _, path = await held(stage)
        await clock.advance(minutes=11)
        issuer.authenticated_at = time.time() + 11 * 60
        await renew(api)
        assert "/token" in issuer.requests[-1]
        assert await vote(browser, path) == TOO_OLD


async def test_a_token_and_a_card_have_no_login_to_be_old(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    async with with_issuer(database, stage, issuer) as (api, _):
        by_token, path = await held(stage)
        by_card, _ = await held(stage)
        button = stage.token()
        token = await person_token(database, stage.workspace, "anna")
        await clock.advance(minutes=20)
        assert (await api.post(f"{path}/vote", APPROVE, by=token)).status_code == 200
        await stage.press("approve", by="anna", token=button, root="root-1")
    assert (await stage.approval(by_token)).state is ApprovalState.APPROVED
    assert (await stage.approval(by_card)).state is ApprovalState.APPROVED


async def test_a_one_time_link_counts_from_when_it_was_used(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    async with with_issuer(database, stage, issuer) as (api, _):
        token = await person_token(database, stage.workspace, "anna")
        browser = await by_link(api, token)
        _, path = await held(stage)
        await clock.advance(minutes=10, seconds=1)
        refused = await browser.post(f"{path}/vote", APPROVE)
        assert (refused.status_code, refused.json()["code"]) == TOO_OLD
        assert "`openloop login`" in refused.json()["detail"]
        assert await vote(await by_link(api, token), path) == (200, "approved")


async def by_link(api: Api, token: str) -> Browser:
    browser = Browser(api)
    await browser.get((await api.post("/api/v1/login-links", by=token)).json()["path"])
    return browser


async def test_a_stranger_learns_nothing_of_it(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """Who may decide comes first: a login that may not is not sent to log in again."""
    people = {**PEOPLE, "groups": {"maintainers": ["@priya"]}}
    await stage.revise_workspace({**people, "roles": {**PEOPLE["roles"], "approver": ["@anna"]}})
    async with asked(database, stage, issuer) as (browser, path):
        await clock.advance(minutes=20)
        assert await vote(browser, path) == (403, "not_an_approver")


async def test_a_glass_is_broken_under_a_fresh_login_only(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """Whatever the call does: a glass is the greatest thing that one person can do alone."""
    with_effect(stage, Effect.WRITE)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        ref, path = await held(stage)
        await clock.advance(minutes=20)
        refused = await browser.post(f"{path}/break-glass", {"reason": "it burns"})
        assert (refused.status_code, refused.json()["code"]) == TOO_OLD
        assert await stage.count("broken_glasses") == 0
        assert (await stage.approval(ref)).state is ApprovalState.PENDING

        issuer.authenticated_at = time.time() + 20 * 60
        await log_in_again(browser, issuer)
        broken = await browser.post(f"{path}/break-glass", {"reason": "it burns"})
        assert (broken.status_code, broken.json()["state"]) == (202, "approved")


async def test_an_old_login_makes_nothing_that_would_vote_in_its_place(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """A token has no moment at which its person was there, and neither has a click on a platform."""
    token = {"principal": "anna", "role": "operator", "name": "t"}
    link = {"surface": "hello"}
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        await clock.advance(minutes=20)
        for path, body in (("tokens", token), ("links", link)):
            refused = await browser.post(f"/api/v1/{path}", body)
            assert (refused.status_code, refused.json()["code"]) == TOO_OLD
        assert await stage.count("identity_links") == 0

        issuer.authenticated_at = time.time() + 20 * 60
        await log_in_again(browser, issuer)
        for path, body in (("tokens", token), ("links", link)):
            assert (await browser.post(f"/api/v1/{path}", body)).status_code == 201
