"""Logins are vouched for again while they last: whom the provider does not let in any more is out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import offboarding, secrets, tokens, vouching
from openloop.domain.audit import SYSTEM
from openloop.domain.login import name_of
from openloop.domain.principal import Role
from openloop.domain.sealed_secret import MasterKey
from tests import make
from tests.actions.deciding import decide
from tests.actions.keeping import Keys
from tests.api.browsing import SUBJECT, Browser, allow, make_issuer, renew, with_issuer
from tests.waiting import until

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from openloop.testing.rigs.oidc import Issuer
    from tests.api.conftest import Api
    from tests.make import Clock, Stage

ANNA: dict[str, Any] = {
    "people": {**make.WORKSPACE["people"], "anna": {"slack": "U0ANNA", "login": SUBJECT}}
}


@pytest.fixture
def issuer() -> Issuer:
    """Where people log in."""
    return make_issuer()


async def due(api: Api, clock: Clock, minutes: int = 11) -> None:
    await clock.advance(minutes=minutes)
    await renew(api)


async def rights(browser: Browser) -> list[str] | int:
    answer = await browser.get("/api/v1/me")
    return answer.json()["rights"] if answer.status_code == 200 else answer.status_code


def kept(api: Api) -> Keys:
    keys: Keys = api.app.state.kit.master_keys
    return keys


# --- what the provider says ----------------------------------------------------------------------


async def test_a_login_goes_on_while_the_provider_vouches_for_it(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        for _ in range(5):
            await due(api, clock)
            assert await rights(browser) == ["see", "run"]
    assert issuer.requests.count("/token") == 6
    assert await stage.kinds("login.") == ["login.begun"]


async def test_nobody_is_asked_more_often_than_every_ten_minutes(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        await Browser(api).log_in(issuer)
        for _ in range(4):
            await due(api, clock, 4)
    assert issuer.requests.count("/token") == 2


async def test_whom_the_provider_deactivates_loses_everything_at_once(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """Logins, tokens, undecided votes, and the writes they asked for."""
    await stage.revise_workspace({**ANNA, "groups": {"maintainers": ["@priya", "@anna"]}})
    anna = await tokens.create(
        database, stage.workspace, principal="anna", role=Role.APPROVER, name="t", by=SYSTEM
    )
    theirs, _ = await stage.hold(await stage.mention(by="anna"))
    others, _ = await stage.hold(await stage.mention(by="ben", root="root-2"))
    await decide(stage, others, "approve", by="anna")
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await due(api, clock)

        assert await rights(browser) == 401
        assert await tokens.authenticate(database, anna) is None
    assert (await stage.approval(theirs)).state == "withdrawn"
    await stage.work(others)
    assert stage.tracker.writes == []
    (event,) = await stage.audit("principal.")
    assert (event.kind, event.detail["principal"], event.detail["tokens"]) == (
        "principal.left",
        "anna",
        [anna.split("_")[2]],
    )
    assert event.detail["reason"] == "The identity provider does not vouch for them any more"


async def test_a_login_at_that_provider_brings_them_back_without_their_tokens(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await stage.revise_workspace(ANNA)
    old = await tokens.create(
        database, stage.workspace, principal="anna", role=Role.APPROVER, name="t", by=SYSTEM
    )
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await due(api, clock)
        assert (await browser.log_in(issuer)).status_code == 200
        assert await rights(browser) == ["see", "vote", "audit"]
    assert await tokens.authenticate(database, old) is None
    assert await stage.kinds("principal.") == ["principal.left", "principal.restored"]


async def test_no_login_brings_back_whom_somebody_here_or_a_platform_sent_away(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await stage.revise_workspace(ANNA)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await due(api, clock)
        assert (await api.post("/api/v1/principals/anna/offboard")).status_code == 200
        assert (await browser.log_in(issuer)).status_code == 403
        assert await rights(browser) == 401
    assert not (await stage.principal("anna")).active


async def test_whom_no_manifest_names_any_more_does_not_come_back_by_a_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await stage.revise_workspace(ANNA)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await due(api, clock)
        people = {"priya": ANNA["people"]["priya"], "ben": ANNA["people"]["ben"]}
        await stage.revise_workspace(
            {"people": people, "groups": {"maintainers": ["@priya"]}, "access": {}}
        )
        assert (await browser.log_in(issuer)).status_code == 403
    assert not (await stage.principal("anna")).active


async def test_what_ends_with_a_stay_at_the_provider_ends_the_login_and_no_more(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """A provider without `offline_access`: that somebody logged out there says nothing of them."""
    issuer.announces = {"scopes_supported": ["openid"]}
    await stage.revise_workspace(ANNA)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await due(api, clock)
        assert await rights(browser) == 401
    assert (await stage.principal("anna")).active
    assert await stage.kinds("login.") == ["login.begun", "login.refused"]


# --- groups --------------------------------------------------------------------------------------


async def test_groups_of_now_decide_and_a_claim_that_is_gone_grants_nothing(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await stage.revise_workspace({"access": {"login": {"roles": {"on call": ["admin"]}}}, **ANNA})
    issuer.claims = {"groups": ["on call"]}
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        before = await rights(browser)
        issuer.claims = {"groups": None}
        await due(api, clock)
        after = await rights(browser)
    assert isinstance(before, list)
    assert ("configure" in before, after) == (True, ["see", "vote", "audit"])
    (event,) = await stage.audit("login.regrouped")
    assert (event.detail["before"], event.detail["after"]) == (["on call"], [])


async def test_whoever_has_no_role_any_more_is_logged_out(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.claims = {"groups": ["sales"]}
        await due(api, clock)
        assert await rights(browser) == 401
    assert await stage.kinds("login.") == ["login.begun", "login.refused"]


@pytest.mark.parametrize("claims", [{"sub": "somebody-else"}, {"email_verified": False}])
async def test_whom_the_provider_now_says_otherwise_of_is_logged_out(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock, claims: dict[str, Any]
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.claims = claims
        await due(api, clock)
        assert await rights(browser) == 401


async def test_a_provider_that_repeats_no_token_leaves_the_groups_as_they_were(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    issuer.repeats_id_token = False
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        for _ in range(4):
            await due(api, clock)
        assert await rights(browser) == ["see", "run"]


# --- no answer -----------------------------------------------------------------------------------


async def test_a_login_is_not_taken_while_nobody_vouches_for_it(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """The provider is down: a while is borne, then nothing is, and it is as before afterwards."""
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.is_down = True
        await due(api, clock, 29)
        assert await rights(browser) == ["see", "run"]
        await due(api, clock, 2)
        assert await rights(browser) == 401
        issuer.is_down = False
        await due(api, clock, 2)
        assert await rights(browser) == ["see", "run"]


@pytest.mark.parametrize(
    "wrong", [{"claims": {"aud": "another-client"}}, {"client_secret": "another one"}]
)
async def test_an_answer_that_is_not_believed_is_none(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock, wrong: dict[str, Any]
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        for name, value in wrong.items():
            setattr(issuer, name, value)
        await due(api, clock)
        assert await rights(browser) == ["see", "run"]
        await due(api, clock, 20)
        assert await rights(browser) == 401
    assert await stage.kinds("principal.") == []


async def test_a_login_that_nobody_can_ask_about_lasts_an_hour(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    issuer.gives_renewals = False
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        await due(api, clock, 59)
        assert await rights(browser) == ["see", "run"]
        await due(api, clock, 2)
        assert await rights(browser) == 401


async def test_the_server_asks_by_itself(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        issuer.deactivate()
        await clock.advance(minutes=11)
        async with api.app.router.lifespan_context(api.app):
            await until(lambda: issuer.requests.count("/token") == 2)

            async def is_out() -> bool:
                return await rights(browser) == 401

            await until(is_out)


# --- what is kept --------------------------------------------------------------------------------


async def test_two_processes_do_not_use_the_same_secret(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """A provider takes it once, and takes a second use for theft."""
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        await Browser(api).log_in(issuer)
        await clock.advance(minutes=11)
        one = await vouching.take_due(database, stage.workspace, keys=kept(api))
        two = await vouching.take_due(database, stage.workspace, keys=kept(api))
    assert (len(one), len(two)) == (1, 0)


async def test_the_secret_is_sealed_and_forgotten_with_the_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        await clock.advance(minutes=11)
        (asked,) = await vouching.take_due(database, stage.workspace, keys=kept(api))
        assert asked.renewal is not None
        assert asked.renewal.secret not in repr(asked)
        async with stage.tx() as tx:
            assert asked.renewal.secret not in await tx.value("SELECT l::text FROM logins l")
        await browser.post("/api/v1/logout", {})
        await due(api, clock)
    async with stage.tx() as tx:
        assert await tx.value("SELECT count(renewal_sealed) FROM logins") == 0


async def test_a_secret_moved_to_another_login_does_not_open(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        for _ in range(2):
            await Browser(api).log_in(issuer)
        async with stage.tx() as tx:
            await tx.run(
                "UPDATE logins l SET renewal_sealed = o.renewal_sealed, "
                "renewal_wrapped_key = o.renewal_wrapped_key FROM logins o WHERE o.id <> l.id"
            )
        await clock.advance(minutes=11)
        asked = await vouching.take_due(database, stage.workspace, keys=kept(api))
    assert [each.renewal for each in asked] == [None, None]


async def test_a_new_master_key_wraps_it_and_an_unknown_one_ends_the_login(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser, keys = Browser(api), kept(api)
        await browser.log_in(issuer)
        keys.keys.append(MasterKey.new())
        await secrets.rewrap_all(database, keys=keys, by=SYSTEM)
        del keys.keys[0]
        await due(api, clock)
        assert await rights(browser) == ["see", "run"]

        keys.keys[:] = [MasterKey.new()]
        await due(api, clock, 29)
        await due(api, clock, 2)
        assert await rights(browser) == 401


async def test_an_offboarding_by_hand_is_not_undone_by_what_was_under_way(
    database: Database, stage: Stage, issuer: Issuer, clock: Clock
) -> None:
    """The provider still vouches when its answer comes; the login was ended meanwhile."""
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        browser, kit = Browser(api), api.app.state.kit
        await browser.log_in(issuer)
        await clock.advance(minutes=11)
        (asked,) = await vouching.take_due(database, stage.workspace, keys=kept(api))
        assert asked.renewal is not None
        again = await kit.identity_provider.vouch_again(asked.renewal, groups_claim="groups")
        person = name_of(issuer.url, SUBJECT)
        await offboarding.refused_by_provider(
            database, stage.workspace, (await stage.principal(person)).id, why="gone"
        )
        await vouching.vouched(
            database, kit.configuration, stage.workspace, asked.due, again, keys=kept(api)
        )
        assert await rights(browser) == 401
