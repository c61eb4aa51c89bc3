"""Tokens that carry some rights of their role only, and people who are known by a login alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import tokens
from openloop.domain.audit import SYSTEM
from openloop.domain.login import RightNotOfRole, held_by_token, most_of_token, name_of
from openloop.domain.principal import RIGHTS, Principal, Right, Role
from openloop.storage import tokens as rows
from tests.actions.test_offboarding import TWO_OWNERS
from tests.api.browsing import SUBJECT, Browser, allow, make_issuer, with_issuer
from tests.api.test_access import ask

if TYPE_CHECKING:
    from collections.abc import Collection

    import httpx

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

NOT_OF_ROLE = (422, "right_not_of_role")
TOO_WIDE = (403, "token_too_wide")
LACKING = (403, "forbidden")
NEW = {"principal": "robot", "role": "viewer", "name": "ci"}


async def make_one(
    api: Api, role: str, *only: str, by: str = "owner", principal: str = "robot"
) -> str:
    """The text of a new token."""
    answer = await mint(api, by=by, role=role, principal=principal, only=only or None)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


async def own_one(stage: Stage, role: str, *only: str) -> str:
    """The text of a token of Anna's, made on the server's machine."""
    return await tokens.create(
        stage.database,
        stage.workspace,
        principal="anna",
        role=Role(role),
        name="own",
        by=SYSTEM,
        only=frozenset(map(Right, only)) or None,
    )


async def mint(api: Api, *, by: str = "owner", **wanted: Any) -> httpx.Response:
    return await api.post("/api/v1/tokens", {**NEW, **wanted}, by=by)


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def rights(api: Api, token: str) -> list[str]:
    return (await api.get("/api/v1/me", by=token)).json()["rights"]


async def test_a_token_carries_what_it_names_of_its_role_and_no_more(api: Api) -> None:
    token = await make_one(api, "owner", "see", "run")
    assert await rights(api, token) == ["see", "run"]
    assert (await api.get("/api/v1/runs", by=token)).status_code == 200
    for operation in ("list_tokens", "list_audit_events", "pause", "erase_audit_texts"):
        lacking = await ask(api, operation, by=token)
        assert said(lacking) == LACKING
        assert lacking.json()["detail"] == (await ask(api, operation, by="viewer")).json()["detail"]


async def test_it_is_shown_with_what_it_carries(api: Api, stage: Stage) -> None:
    await make_one(api, "owner", "run", "see", "run")
    await make_one(api, "viewer")
    narrow, whole = sorted(
        (
            each
            for each in (await api.get("/api/v1/tokens")).json()["items"]
            if each["name"] == "ci"
        ),
        key=lambda each: each["only"] is None,
    )
    assert (narrow["role"], narrow["only"]) == ("owner", ["see", "run"])
    assert (whole["role"], whole["only"]) == ("viewer", None)
    made = [each.detail["only"] for each in await stage.audit("token.created")]
    assert [only for only in made if only is not None] == [["see", "run"]]


@pytest.mark.parametrize(
    ("role", "only", "has"),
    [
        ("viewer", ["see", "run"], "see;"),
        ("operator", ["vote"], "see, run;"),
        ("approver", ["run"], "see, vote, audit;"),
        ("sync", ["configure"], "see, sync;"),
    ],
)
async def test_a_right_that_the_role_does_not_have_is_refused_with_those_it_has(
    api: Api, role: str, only: list[str], has: str
) -> None:
    answer = await mint(api, role=role, only=only)
    assert said(answer) == NOT_OF_ROLE
    assert f"carries at most {has}" in answer.json()["detail"]
    listed = (await api.get("/api/v1/tokens")).json()["items"]
    assert NEW["name"] not in [each["name"] for each in listed]


@pytest.mark.parametrize("only", [[], ["fly"], "see", [1], ["see"] * 100])
async def test_what_is_no_list_of_rights_is_refused(api: Api, only: object) -> None:
    assert said(await mint(api, only=only)) == (422, "request_invalid")


async def test_no_right_at_all_is_refused_below_the_api_too(
    database: Database, stage: Stage
) -> None:
    with pytest.raises(RightNotOfRole):
        await tokens.create(
            database,
            stage.workspace,
            principal="robot",
            role=Role.VIEWER,
            name="t",
            by=SYSTEM,
            only=(),
        )


# --- what it makes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "only", "answered"),
    [
        ("viewer", None, 201),
        ("viewer", ["see"], 201),
        ("owner", ["see", "tokens"], 201),
        ("operator", ["see"], 201),
        ("operator", None, 403),
        ("operator", ["see", "run"], 403),
        ("owner", None, 403),
        ("owner", ["erase"], 403),
        ("approver", ["see", "vote"], 403),
        ("sync", None, 403),
    ],
)
@pytest.mark.parametrize("way", ["token", "link"])
async def test_a_token_makes_none_that_is_wider_than_itself(
    api: Api, role: str, only: list[str] | None, answered: int, way: str
) -> None:
    token = await make_one(api, "owner", "see", "tokens")
    wanted = {**NEW, "principal": "another", "role": role, "only": only}
    if way == "token":
        answer = await api.post("/api/v1/tokens", wanted, by=token)
    else:
        answer = await (await by_link(api, token)).post("/api/v1/tokens", wanted)
    assert answer.status_code == answered
    if answered == 403:
        assert said(answer) == TOO_WIDE
        assert "carries see, tokens" in answer.json()["detail"]


async def by_link(api: Api, token: str) -> Browser:
    browser = Browser(api)
    await browser.get((await api.post("/api/v1/login-links", by=token)).json()["path"])
    return browser


async def test_the_login_of_a_link_carries_what_its_token_does(api: Api) -> None:
    browser = await by_link(api, await make_one(api, "owner", "see", "audit"))
    assert (await browser.get("/api/v1/me")).json()["rights"] == ["see", "audit"]
    assert (await browser.get("/api/v1/tokens")).status_code == 403


async def test_who_holds_a_part_of_a_person_does_not_link_themselves_to_all_of_it(
    api: Api, stage: Stage
) -> None:
    """An id on a surface votes and asks as that person does."""
    narrow, lent = await own_one(stage, "operator", "see"), await own_one(stage, "viewer")
    whole = await own_one(stage, "operator")
    body = {"surface": "hello"}
    assert (await api.post("/api/v1/links", body, by=whole)).status_code == 201
    assert said(await api.post("/api/v1/links", body, by=lent)) == LACKING
    assert said(await api.post("/api/v1/links", body, by=narrow)) == LACKING
    assert said(await (await by_link(api, narrow)).post("/api/v1/links", body)) == LACKING
    confirm = await api.post("/api/v1/links/confirm", {"code": "AAAAA-AAAAA"}, by=narrow)
    assert said(confirm) == LACKING
    assert said(await api.delete("/api/v1/links/hello", by=narrow)) == LACKING


# --- votes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only", "status"),
    [(("see", "run"), 403), (("see", "audit"), 403), (("see", "vote"), 200)],
)
@pytest.mark.parametrize("way", ["token", "link"])
async def test_an_approver_votes_with_what_carries_the_vote_only(
    api: Api, stage: Stage, only: tuple[str, ...], status: int, way: str
) -> None:
    """Anna is an approver in any case: what she lent somebody for reading decides nothing."""
    ref, _ = await stage.hold()
    path = f"/api/v1/approvals/{(await stage.approval(ref)).id}/vote"
    token = await own_one(stage, "operator", *only)
    if way == "token":
        answer = await api.post(path, {"decision": "approve"}, by=token)
    else:
        answer = await (await by_link(api, token)).post(path, {"decision": "approve"})
    assert answer.status_code == status, answer.text


# --- people --------------------------------------------------------------------------------------


async def test_nobody_makes_a_token_for_somebody_else(api: Api, stage: Stage) -> None:
    """They would ask as one person and decide as another."""
    for name in ("anna", "ben"):
        assert said(await mint(api, principal=name)) == (403, "token_of_another")
    await stage.revise_workspace(TWO_OWNERS)
    own = await own_one(stage, "owner")
    assert (await mint(api, by=own, principal="anna", role="operator")).status_code == 201
    assert said(await mint(api, by=own, principal="priya")) == (403, "token_of_another")


# --- people who are known by a login alone -------------------------------------------------------


async def test_who_is_known_by_a_login_alone_is_given_no_token(
    database: Database, stage: Stage
) -> None:
    """What their groups grant ends with their stay at the provider; a token would not."""
    issuer = make_issuer()
    await allow(stage)
    async with with_issuer(database, stage, issuer) as (api, _):
        await Browser(api).log_in(issuer)
        name = name_of(issuer.url, SUBJECT)
        refused = await mint(api, principal=name)
        assert said(refused) == (422, "principal_known_by_login")
        assert "Workspace manifest" in refused.json()["detail"]
        # Nor is a service made under such a name, for whoever comes to have it.
        assert said(await mint(api, principal="login:0000000000000000"))[0] == 422


async def test_a_token_that_such_a_person_has_gives_nothing(
    database: Database, stage: Stage
) -> None:
    """Not even while they are logged in with a group that approves."""
    issuer = make_issuer()
    await allow(stage, {"login": {"roles": {"engineering": ["owner", "approver"]}}})
    async with with_issuer(database, stage, issuer) as (api, _):
        browser = Browser(api)
        await browser.log_in(issuer)
        token = await old_token(database, stage, api, name_of(issuer.url, SUBJECT))
        ref, _ = await stage.hold()
        approval = f"/api/v1/approvals/{(await stage.approval(ref)).id}"

        assert await rights(api, token) == []
        assert said(await api.get("/api/v1/runs", by=token)) == LACKING
        assert said(await mint(api, by=token)) == LACKING
        vote = await api.post(f"{approval}/vote", {"decision": "approve"}, by=token)
        assert said(vote) == LACKING
        linked = await by_link(api, token)
        assert (await linked.get("/api/v1/me")).json()["rights"] == []
        assert (await browser.get("/api/v1/runs")).status_code == 200


async def old_token(database: Database, stage: Stage, api: Api, name: str) -> str:
    """One that was made before such tokens were refused."""
    text = await make_one(api, "owner", principal="robot")
    person = await stage.principal(name)
    async with stage.tx() as tx:
        (robots,) = [each for each in await rows.list_all(tx) if each.name == "ci"]
        await rows.hand_over(tx, before=robots.principal_id, after=person.id)
    return text


# --- the rule ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("kind", ["person", "service"])
def test_what_a_token_names_takes_away_and_adds_nothing(role: Role, kind: Any) -> None:
    for roles in ((), *((each,) for each in Role), tuple(Role)):
        one = Principal(id=Any, name="anna", kind=kind, roles=roles)  # pyright: ignore
        whole = held_by_token(one, role)
        assert whole <= most_of_token(kind, role)
        for only in subsets(RIGHTS[Role.OWNER] | RIGHTS[Role.APPROVER]):
            assert held_by_token(one, role, only) == whole & frozenset(only)


def subsets(rights: Collection[Right]) -> list[tuple[Right, ...]]:
    """Each right alone, each but one, all, and none."""
    listed = tuple(rights)
    return [
        (),
        listed,
        *((each,) for each in listed),
        *(tuple(other for other in listed if other is not each) for each in listed),
    ]
