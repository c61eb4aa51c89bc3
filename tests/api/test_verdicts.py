"""`explain`: the verdict of a call that somebody might make, and the line that decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.audience import PlaceClass
from tests import make
from tests.api.conftest import open_api
from tests.runtime.fakes import FakeSurface

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

URL = "/api/v1/agents/dev-platform/explain"
WRITE = {"call": "github.issues:write", "resource": "acme/platform"}
RULE: dict[str, Any] = {
    "match": {"permission": "github.issues:write"},
    "approvers": ["@maintainers"],
    "quorum": 2,
}


async def asked(api: Api, **query: str) -> dict[str, Any]:
    answer = await api.get(URL, params=query, by="viewer")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_held_call_says_who_decides_and_where_that_is_written(
    stage: Stage, api: Api
) -> None:
    await stage.revise({"approvals": {"approvers": ["@priya"], "rules": [RULE]}})
    said = await asked(api, **WRITE)
    assert (said["verdict"], said["rule"]) == ("hold", "writes are held: github.issues:write")
    assert said["written"] is None
    [decides] = said["demands"]
    assert decides["people"] == ["anna", "priya"]
    assert decides["demand"]["quorum"] == 2
    assert decides["written"]["manifest"] == "Agent dev-platform"
    assert decides["written"]["revision"] == 2


@pytest.mark.parametrize(
    ("query", "rule", "line"),
    [
        (WRITE, "spec.approvals.require_for: github.issues:write", '"github.issues:write"'),
        ({**WRITE, "resource": "acme/secret"}, "spec.tools[0].repos", "{"),
        ({**WRITE, "call": "github.issues:read"}, "spec.tools[0].permissions: issues:read", ""),
        ({"call": "github.pulls:read"}, "spec.tools: not granted", '"tools": ['),
    ],
)
async def test_the_rule_is_shown_with_its_line(
    stage: Stage, api: Api, query: dict[str, str], rule: str, line: str
) -> None:
    said = await asked(api, **query)
    assert said["rule"] == rule
    written: dict[str, Any] = said["written"]
    source = make.agent_yaml().splitlines()
    number: int = written["line"]
    assert source[number - 1].strip() == written["text"]
    assert line in written["text"]


async def test_a_rule_of_the_workspace_is_found_in_the_workspace(stage: Stage, api: Api) -> None:
    await stage.revise_workspace({"policy": {"require_for": ["github.issues:read"]}})
    said = await asked(api, call="github.issues:read", resource="acme/platform")
    assert said["verdict"] == "hold"
    assert said["written"]["manifest"] == "Workspace acme"
    assert "github.issues:read" in said["written"]["text"]


@pytest.mark.parametrize("solo_mode", [True, False])
async def test_in_solo_mode_nobody_is_said_to_be_barred(
    stage: Stage, api: Api, *, solo_mode: bool
) -> None:
    await stage.revise_workspace({"solo_mode": solo_mode})
    [decides] = (await asked(api, **WRITE))["demands"]
    assert decides["demand"]["not_requester"] is not solo_mode


async def test_what_is_assumed_is_said(stage: Stage, api: Api) -> None:
    await stage.revise_workspace(
        {
            "people": {
                "ben": {"slack": "U0BEN", "github": 4712},
                "priya": {"slack": "U0PRIYA"},
                "anna": {"slack": "U0ANNA", "github": "anna"},
            }
        }
    )
    tool = {"name": "github", "type": "native", "permissions": ["issues:write"]}
    await stage.revise({"tools": [{**tool, "requester_rights": "own"}]})
    linked = await asked(api, **WRITE, **{"as": "@ben"})
    assert linked["verdict"] == "hold"
    assert "github says that ben may write acme/platform" in linked["assumes"]
    for who, why in (("priya", "is not linked to github"), ("anna", "which no login is")):
        unlinked = await asked(api, **WRITE, **{"as": who})
        assert unlinked["verdict"] == "deny"
        assert f"{who} is not linked to github" in unlinked["reason"]
        assert why in unlinked["reason"]


async def test_a_standing_rule_says_what_it_counts_on(stage: Stage, api: Api) -> None:
    mail = {"name": "mail", "type": "mcp", "server": "https://mcp.acme.example"}
    await stage.revise(
        {
            "tools": [
                {"name": "github", "type": "native", "permissions": ["issues:write"]},
                {**mail, "permissions": ["send"]},
            ],
            "approvals": {
                "approvers": ["@maintainers"],
                "allow": [
                    {"permission": "github.issues:write", "repos": ["acme/platform"]},
                    {"permission": "mail.send"},
                ],
            },
        }
    )
    declared, undeclared = await asked(api, **WRITE), await asked(api, call="mail.send")
    assert (declared["verdict"], undeclared["verdict"]) == ("allow", "allow")
    assert declared["assumes"][-1].startswith("its recipients, targets and links were typed")
    assert undeclared["assumes"][-1].startswith("each of its arguments was typed by whoever asks")


async def test_a_class_of_place_decides_as_such_a_place_would(stage: Stage, api: Api) -> None:
    for place, verdict in (("private", "allow"), ("internal", "allow"), ("shared", "deny")):
        said = await asked(api, call="github.issues:read", resource="acme/platform", place=place)
        assert (said["verdict"], said["place"]) == (verdict, place)


async def test_a_place_of_the_agent_is_looked_up(database: Database, stage: Stage) -> None:
    surface = FakeSurface(place_class=PlaceClass.SHARED)
    async with open_api(database, stage.workspace, surfaces={"slack": surface}) as api:
        said = await asked(api, call="github.issues:read", resource="acme/platform", place="#DEV")
        assert (said["verdict"], said["place"]) == ("deny", "shared")
        assert surface.audiences_asked == ["DEV"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({**WRITE, "as": "mallory"}, 404, "not_found"),
        ({**WRITE, "place": "#elsewhere"}, 422, "place_unknown"),
        ({"call": "issues"}, 422, "permission_invalid"),
        ({"call": ".issues:write"}, 422, "permission_invalid"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    stage: Stage, api: Api, query: dict[str, str], status: int, code: str
) -> None:
    answer = await api.get(URL, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
