"""What a manifest says of one resource: its own terms, its tool's, and the workspace's above both."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import RunFacts
from openloop.domain.policy import Allow, Call, Deny, Hold, is_granted, terms_of
from openloop.domain.rights import Terms
from openloop.domain.tool import Effect
from tests import make
from tests.domain.judging import READ, WORKSPACE, WRITE, agent, judge

Rights = Literal["grant", "own"]


def tooled(**changes: Any) -> Any:
    tool = {"name": "github", "type": "native", "permissions": ["issues:read"], **changes}
    return make.agent_manifest({"tools": [tool], "approvals": {"approvers": ["@maintainers"]}})


def terms(manifest: Any, **policy: Any) -> Terms:
    workspace = make.workspace_manifest({"policy": policy})
    found = terms_of(READ, manifest, workspace)
    assert found is not None
    return found


def test_a_resource_that_says_one_thing_takes_the_other_from_its_tool() -> None:
    shown = tooled(
        visible_in="guests",
        requester_rights="grant",
        resources={"acme/platform": {"requester_rights": "own"}},
    )
    found = terms(shown)
    assert (found.visible_in, found.requester_rights) == (PlaceClass.GUESTS, "own")
    owned = tooled(
        visible_in="guests",
        requester_rights="own",
        resources={"acme/platform": {"visible_in": "private"}},
    )
    found = terms(owned)
    assert (found.visible_in, found.requester_rights) == (PlaceClass.PRIVATE, "own")
    assert found.where == "spec.tools[0].resources[acme/platform]"


def test_the_first_of_its_names_decides() -> None:
    found = terms(
        tooled(
            repos=["acme/*"],
            resources={
                "acme/platform": {"visible_in": "private"},
                "acme/*": {"visible_in": "public", "requester_rights": "own"},
            },
        )
    )
    assert (found.visible_in, found.requester_rights) == (PlaceClass.PRIVATE, None)


@pytest.mark.parametrize("own", ["grant", "own", None])
def test_a_workspace_that_wants_the_rights_of_whoever_asks_gets_that(own: Rights | None) -> None:
    manifest = tooled(**({} if own is None else {"requester_rights": own}))
    assert terms(manifest, requester_rights="own").requester_rights == "own"
    assert terms(manifest).requester_rights == own


def test_the_workspace_narrows_what_may_be_shown_and_never_widens_it() -> None:
    assert terms(tooled(visible_in="public"), visible_in="guests").visible_in is PlaceClass.GUESTS
    assert terms(tooled(visible_in="private"), visible_in="guests").visible_in is PlaceClass.PRIVATE
    assert terms(tooled(), visible_in="guests").visible_in is PlaceClass.GUESTS
    assert terms(tooled(visible_in="public")).visible_in is PlaceClass.PUBLIC
    assert terms(tooled()).visible_in is PlaceClass.INTERNAL


# --- who speaks for whoever asks -----------------------------------------------------------------


@pytest.mark.parametrize("surface", ["slack", "github"])
@pytest.mark.parametrize("place", [*PlaceClass, None])
def test_a_manifest_speaks_for_full_members_among_themselves_and_not_on_github(
    surface: str, place: PlaceClass | None
) -> None:
    facts = RunFacts(requesters=(), surface=surface, place=place)
    usual = Terms(where="spec.tools[0]")
    among_members = place in (PlaceClass.PRIVATE, PlaceClass.INTERNAL)
    assert usual.asks_service(facts) is (surface == "github" or not among_members)
    assert Terms(where="spec.tools[0]", requester_rights="own").asks_service(facts)
    assert not Terms(where="spec.tools[0]", requester_rights="grant").asks_service(facts)


# --- grants --------------------------------------------------------------------------------------


def mcp(permission: str) -> Any:
    server = "https://mcp.acme.example"
    tool = {"name": "mail", "type": "mcp", "server": server, "permissions": [permission]}
    return make.agent_manifest({"tools": [tool], "approvals": {"approvers": ["@maintainers"]}})


def test_a_permission_to_write_grants_reading_and_nothing_third() -> None:
    destroy = Call(
        toolset="github",
        permission="issues:destroy",
        effect=Effect.DESTROY,
        resource="acme/platform",
    )
    assert isinstance(judge(destroy, agent("issues:write"), WORKSPACE), Deny)
    assert not is_granted("github", "issues:destroy", agent("issues:write"))


def test_memory_needs_no_tool() -> None:
    assert is_granted("memory", "memory:note", agent())
    call = Call(toolset="memory", permission="memory:note", effect=Effect.NOTE)
    assert judge(call, agent(), WORKSPACE) == Allow(rule="spec.memory")


def test_a_tool_of_a_server_is_granted_no_resources() -> None:
    call = Call(
        toolset="mail", permission="send", effect=Effect.WRITE, resource="acme/x", kind="repo"
    )
    verdict = judge(call, mcp("send"), WORKSPACE)
    assert verdict == Deny(rule="spec.tools[0].repos: empty", reason="mail is granted no repos")


def test_a_rule_of_its_own_says_alone_how_long_people_have() -> None:
    matched = {"permission": "github.issues:write"}
    rules = [{"match": matched, "approvers": ["@anna"], "expires_hours": 100}]
    verdict = judge(WRITE, agent("issues:write", rules=rules, expires_hours=24), WORKSPACE)
    assert isinstance(verdict, Hold)
    assert verdict.expires_hours == 100
