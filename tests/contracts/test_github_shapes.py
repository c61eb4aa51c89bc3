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
    JobPlan,
    PrimaryLimit,
    SecondaryLimit,
)
from openloop.testing.rigs.github.operations import ROUTES
from tests.contracts.github_shapes.caller import Caller
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.testing.rigs.github.rows import Level

DELETE_COMMENT = "DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}"
GET_ISSUE = "GET /repos/{owner}/{repo}/issues/{issue_number}"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle.load_or_skip()


async def tour(rig: GitHubRig, call: Caller) -> None:
    """Use every operation, and be refused in every way."""
    await _threads(rig, call)
    await _reviews(rig, call)
    await _code(rig, call)
    await _ci(rig, call)
    await _issues_and_refusals(rig, call)


async def _threads(rig: GitHubRig, call: Caller) -> None:
    state, repository = rig.state, rig.state.add_repository("acme/threads")
    anna = state.add_user("anna")
    issue = state.add_issue(repository, "A", by=anna, body="B")
    comment = state.add_comment(issue, "C", by=anna)
    one = "/repos/acme/threads/issues/1"
    said = f"/repos/acme/threads/issues/comments/{comment.id}"
    await call("PATCH", one, {"title": "D", "body": "E", "assignees": ["anna"], "state": "closed"})
    await call("PATCH", one, {"state": "open"})
    await call("PATCH", one, {"title": ""})
    await call("POST", f"{one}/labels", {"labels": ["good first issue", "bug"]})
    await call("GET", "/repos/acme/threads/labels?per_page=1")
    await call("DELETE", f"{one}/labels/good%20first%20issue")
    await call("DELETE", f"{one}/labels/none")
    await call("GET", said)
    await call("PATCH", said, {"body": "F"})
    for thing in (one, said):
        for _ in range(2):
            await call("POST", f"{thing}/reactions", {"content": "eyes"})
        await call("GET", f"{thing}/reactions?content=eyes")
    await call("DELETE", said)
    await call("GET", said)
    for query in ("is:issue%20E%20repo:acme/threads", "E"):
        await call("GET", f"/search/issues?q={query}&per_page=5")


async def _reviews(rig: GitHubRig, call: Caller) -> None:
    state, repository = rig.state, rig.state.add_repository("acme/reviews")
    anna = state.add_user("anna")
    fork = state.add_repository("ben/reviews", is_fork=True)
    state.commits.add(repository, "First", by=anna, files={"a.py": "a = 1\n"})
    state.commits.add(repository, "Second", by=anna, files={"a.py": "a = 2\n"}, branch="fix")
    state.commits.add(fork, "Theirs", by=anna, files={"a.py": "a = 3\n"}, branch="theirs")
    pulls = "/repos/acme/reviews/pulls"
    wanted = {"title": "Fix", "body": "Why", "head": "fix", "base": "main", "draft": True}
    _, made, _ = await call("POST", pulls, wanted)
    await call("POST", pulls, wanted)
    await call("POST", pulls, wanted | {"head": "none"})
    theirs = state.add_pull(repository, "Theirs", by=anna, head="theirs", fork=fork)
    state.add_review(repository.issues[1], by=anna, body="Well", state="APPROVED")
    await call("GET", f"{pulls}?head=acme:fix&state=all")
    await call("GET", f"{pulls}/{theirs.number}")
    await call("GET", f"{pulls}/1", Accept="application/vnd.github.diff")
    line = {"body": "L", "commit_id": made["head"]["sha"], "path": "a.py", "line": 1}
    _, first, _ = await call("POST", f"{pulls}/1/comments", line)
    _, reply, _ = await call("POST", f"{pulls}/1/comments", line | {"in_reply_to": first["id"]})
    await call("POST", f"{pulls}/1/comments", line | {"in_reply_to": reply["id"]})
    await call("GET", f"{pulls}/1/comments?sort=created&direction=asc&since=2020-01-01T00:00:00Z")
    await call("GET", f"{pulls}/1/reviews?per_page=1")
    said = f"{pulls}/comments/{reply['id']}"
    await call("GET", said)
    await call("PATCH", said, {"body": "M"})
    await call("POST", f"{said}/reactions", {"content": "+1"})
    await call("GET", f"{said}/reactions")


async def _code(rig: GitHubRig, call: Caller) -> None:
    state, repository = rig.state, rig.state.add_repository("acme/code")
    anna, where = state.add_user("anna"), "/repos/acme/code"
    await call("GET", f"{where}/commits")
    files = {"src/app.py": "a = 1\n", "README.md": "# A\n", "logo.png": b"\x89\0"}
    first = state.commits.add(repository, "First", by=anna, files=files)
    state.commits.add(repository, "Aside", by=anna, files={"src/b.py": "b\n"}, branch="aside")
    changed = {"src/app.py": "a = 2\n", "logo.png": b"\x89\0\1", "README.md": None}
    last = state.commits.add(repository, "Last", by=anna, files=changed)
    state.add_pull(repository, "Aside", by=anna, head="aside")
    aside = repository.history.branches["aside"]
    for path in (
        "commits?sha=main&path=src&per_page=1",
        "commits?since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z",
        "commits/main",
        f"commits/{last.sha}?per_page=1&page=2",
        "commits/none",
        f"commits/{aside}/pulls",
        f"commits/{aside}/branches-where-head",
        f"compare/{first.sha}...main?per_page=1",
        "compare/main...aside",
        f"compare/main...{first.sha}",
        "compare/main...main?page=2",
        "contents/src/app.py?ref=main",
        "contents/src",
        "contents/",
        "contents/none",
        "git/trees/main?recursive=1",
        f"git/trees/{first.sha}",
    ):
        await call("GET", f"{where}/{path}")
    for accept in ("*/*", "application/vnd.github.text-match+json"):
        await call("GET", "/search/code?q=a%20repo:acme/code&per_page=3", Accept=accept)
    await call("GET", "/search/code?q=repo:acme/code")


async def _ci(rig: GitHubRig, call: Caller) -> None:
    state, repository = rig.state, rig.state.add_repository("acme/ci")
    anna, where = state.add_user("anna"), "/repos/acme/ci"
    commit = state.commits.add(repository, "First", by=anna, files={"a.py": "a\n"})
    state.add_user("openloop[bot]", kind="Bot")
    permissions: dict[str, Level] = {"metadata": "read", "checks": "write"}
    state.add_token("ghs_app", login="openloop[bot]", permissions=permissions)
    jobs = [JobPlan(name="test", conclusion="failure", log=b"E"), JobPlan(name="lint", log=None)]
    run = state.ci.run(repository, commit.sha, jobs=jobs, by=anna)
    state.ci.rerun(repository, run, jobs=[JobPlan(name="test"), JobPlan(name="lint", log=None)])
    failed, gone = run.jobs[:2]
    wanted = {
        "name": "openloop",
        "head_sha": commit.sha,
        "status": "in_progress",
        "external_id": "x",
        "output": {"title": "A", "summary": "B", "text": "C"},
        "actions": [{"label": "Approve", "description": "Let it", "identifier": "approve"}],
    }
    _, check, _ = await call("POST", f"{where}/check-runs", wanted, token="ghs_app")
    await call("POST", f"{where}/check-runs", wanted)
    one = f"{where}/check-runs/{check['id']}"
    await call("PATCH", one, {"conclusion": "neutral"}, token="ghs_app")
    await call("GET", one)
    await call("PATCH", f"{where}/check-runs/{failed.check.id}", {}, token="ghs_app")
    for path in (
        f"commits/{commit.sha}/check-runs?filter=all&per_page=1",
        "commits/main/check-runs?check_name=test&status=completed",
        "commits/main/check-suites",
        f"actions/runs?head_sha={commit.sha}&branch=main&event=push&status=success",
        f"actions/workflows/{run.workflow_id}/runs?per_page=1",
        f"actions/runs/{run.id}",
        f"actions/runs/{run.id}/jobs?filter=all&per_page=3",
        f"actions/runs/{run.id}/logs",
        f"actions/jobs/{failed.id}",
        f"actions/jobs/{failed.id}/logs",
        f"actions/jobs/{gone.id}/logs",
        "actions/runs/1",
    ):
        await call("GET", f"{where}/{path}")
    await call("GET", "/user", token="ghs_app")


async def _issues_and_refusals(rig: GitHubRig, call: Caller) -> None:
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
        "/users/anna",
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


@pytest.mark.oracle
async def test_in_the_answer_of_every_operation_an_invention_is_found(
    oracle: Oracle, rig: GitHubRig, call: Caller
) -> None:
    await tour(rig, call)
    told = {made.operation: made for made in rig.calls if made.status in {200, 201} and made.answer}
    silent = {route.operation for route in ROUTES} - set(told)

    assert {operation for operation in silent if not _has_no_answer(operation)} == set()
    for made in told.values():
        spoiled = copy.deepcopy(made)
        _first_object(spoiled.answer)["priority"] = "high"
        assert oracle.deviations(spoiled) != [], made.operation


def _has_no_answer(operation: str) -> bool:
    return operation.endswith("/logs") or operation == DELETE_COMMENT


def _first_object(answer: object) -> Json:
    """The answer, or the first one in its list; of a wrapped list, the first one in that."""
    if isinstance(answer, list):
        return cast("list[Json]", answer)[0]
    whole = cast("Json", answer)
    if "total_count" not in whole:
        return whole
    (items,) = (cast("list[Json]", found) for found in whole.values() if isinstance(found, list))
    return items[0]


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
