"""Every call of the fake GitHub is held against GitHub's official description of its API."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.testing.rigs.faults import ServerError, TooMany
from openloop.testing.rigs.github import (
    Call,
    ChangedFile,
    GitHubRig,
    PrimaryLimit,
    SecondaryLimit,
)
from openloop.testing.rigs.github.operations import ROUTES
from tests.contracts.github_shapes.caller import Caller
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Callable

GET_ISSUE = "GET /repos/{owner}/{repo}/issues/{issue_number}"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle.load_or_skip()


async def tour(rig: GitHubRig, call: Caller) -> None:
    """Use every operation, and be refused in every way."""
    state, repository = rig.state, rig.state.repositories["acme/platform"]
    anna = state.add_user("anna")
    state.add_repository("acme/secret", private=True, roles={"openloop-bot": "admin"})
    state.add_repository("acme/no-issues", has_issues=False)
    state.add_token("ghp_reader", login="openloop-bot", permissions={"metadata": "read"})
    files = [
        ChangedFile(filename="src/app.py", patch="@@ -1 +1 @@\n-a\n+b"),
        ChangedFile(filename="logo.png", status="added"),
    ]
    state.add_pull(repository, "Fix", by=anna, head="fix", body="Why", files=files)
    issues = "/repos/acme/platform/issues"
    wanted = {"title": "A", "body": "B", "labels": ["bug", {"name": "ui"}], "assignees": ["anna"]}
    await call("POST", issues, wanted)
    await call("POST", f"{issues}/2/comments", {"body": "C"})
    state.close(state.add_issue(repository, "Closed", by=anna))
    since = "since=2020-01-01T00:00:00Z"
    for path in (
        "/user",
        f"/user/{anna.id}",
        "/rate_limit",
        "/repos/acme/platform",
        "/repos/acme/platform/collaborators/openloop-bot/permission",
        "/repos/acme/platform/collaborators/anna/permission",
        f"{issues}?state=all&sort=updated&direction=asc&per_page=1&page=2&{since}",
        f"{issues}?creator=anna&labels=bug",
        f"{issues}/1",
        f"{issues}/2",
        f"{issues}/3",
        f"{issues}/comments?sort=created&direction=desc&per_page=5",
        f"{issues}/2/comments?{since}",
        "/repos/acme/platform/pulls?state=all&sort=updated&direction=desc",
        "/repos/acme/platform/pulls/1",
        "/repos/acme/platform/pulls/1/files?per_page=1",
        f"{issues}/99",
        "/repos/acme/none",
        "/repos/acme/no-issues/issues",
    ):
        await call("GET", path)
    await call("GET", "/user", token="ghp_wrong")
    await call("GET", "/repos/acme/secret/issues", token="ghp_reader")
    await call("POST", issues, {"title": ""})
    for fault in (SecondaryLimit(), PrimaryLimit(), TooMany(), ServerError(status=502)):
        rig.faults.fail(GET_ISSUE, with_=fault)
        await call("GET", f"{issues}/1")
    state.rename_repository(repository, "core")
    await call("GET", "/repos/acme/platform")


@pytest.mark.oracle
async def test_every_call_has_githubs_official_shape(
    oracle: Oracle, rig: GitHubRig, call: Caller
) -> None:
    await tour(rig, call)

    assert [found for made in rig.calls for found in oracle.deviations(made)] == []
    assert {made.operation for made in rig.calls} == {route.operation for route in ROUTES}
    assert {made.status for made in rig.calls} >= {200, 201, 301, 401, 403, 404, 410, 422, 429, 502}


def _without_number(made: Call) -> None:
    del _answer(made)["number"]


def _with_an_invention(made: Call) -> None:
    _answer(made)["priority"] = "high"


def _with_null_for_a_link(made: Call) -> None:
    _answer(made)["html_url"] = None


def _with_a_local_time(made: Call) -> None:
    _answer(made)["created_at"] = "2026-11-20 12:00:00"


def _with_an_invention_deep_inside(made: Call) -> None:
    _answer(made)["user"]["role"] = "admin"


def _with_an_undocumented_parameter(made: Call) -> None:
    made.query = {"limit": "5"}


def _with_a_wrong_body(made: Call) -> None:
    made.content = {"title": ["A"]}


def _with_an_undocumented_status(made: Call) -> None:
    made.status = 202


def _answer(made: Call) -> Json:
    return cast("Json", made.answer)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "spoil",
    [
        _without_number,
        _with_an_invention,
        _with_null_for_a_link,
        _with_a_local_time,
        _with_an_invention_deep_inside,
        _with_an_undocumented_parameter,
        _with_a_wrong_body,
        _with_an_undocumented_status,
    ],
)
async def test_a_planted_deviation_is_found(
    oracle: Oracle, rig: GitHubRig, call: Caller, spoil: Callable[[Call], None]
) -> None:
    await call("POST", "/repos/acme/platform/issues", {"title": "A"})
    made = copy.deepcopy(rig.calls[0])
    assert oracle.deviations(made) == []

    spoil(made)

    assert oracle.deviations(made) != []
