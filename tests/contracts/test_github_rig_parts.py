"""The fake GitHub in its reviews, builds, code, search and logs, and what it tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from openloop.testing.rigs.github import GitHubRig, Happened, JobPlan

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import Commit, Level, Repository, User
    from tests.contracts.github_shapes.caller import Caller

APP = "ghs_app_0123456789"
WHERE = "/repos/acme/platform"

Json = dict[str, Any]


@pytest.fixture
def repository(rig: GitHubRig) -> Repository:
    return rig.state.repositories["acme/platform"]


@pytest.fixture
def anna(rig: GitHubRig) -> User:
    return rig.state.add_user("anna")


@pytest.fixture
def first(rig: GitHubRig, repository: Repository, anna: User) -> Commit:
    return rig.state.commits.add(repository, "First", by=anna, files={"src/a.py": "a = 1\n"})


@pytest.fixture
def app(rig: GitHubRig, repository: Repository) -> str:
    bot = rig.state.add_user("openloop[bot]", kind="Bot")
    repository.roles[bot.id] = "write"
    permissions: dict[str, Level] = dict.fromkeys(
        ("metadata", "checks", "actions", "contents", "issues"), "write"
    )
    rig.state.add_token(APP, login=bot.login, permissions=permissions)
    return APP


async def test_whatever_changes_is_told_in_order(
    rig: GitHubRig, repository: Repository, anna: User, call: Caller
) -> None:
    told: list[Happened] = []
    rig.state.watchers.append(told.append)

    await call("POST", f"{WHERE}/issues", {"title": "A", "labels": ["bug"]})
    await call("POST", f"{WHERE}/issues/1/comments", {"body": "B"})
    comment = repository.issues[1].comments[0]
    await call("PATCH", f"{WHERE}/issues/comments/{comment.id}", {"body": "C"})
    await call("POST", f"{WHERE}/issues/1/labels", {"labels": ["bug", "ui"]})
    await call("PATCH", f"{WHERE}/issues/1", {"assignees": ["anna"], "state": "closed"})
    pull = rig.state.add_pull(repository, "Fix", by=anna, head="fix")
    rig.state.add_review_comment(pull, "Why?", by=anna)

    assert [(one.event, one.action, one.sender.login) for one in told] == [
        ("issues", "opened", "openloop-bot"),
        ("issue_comment", "created", "openloop-bot"),
        ("issue_comment", "edited", "openloop-bot"),
        ("issues", "labeled", "openloop-bot"),
        ("issues", "assigned", "openloop-bot"),
        ("issues", "closed", "openloop-bot"),
        ("pull_request", "opened", "anna"),
        ("pull_request_review", "submitted", "anna"),
        ("pull_request_review_comment", "created", "anna"),
    ]
    assert (told[2].before, told[3].label and told[3].label.name) == ("B", "ui")


async def test_a_build_is_told_from_its_jobs_to_its_suite(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit
) -> None:
    told: list[Happened] = []
    rig.state.watchers.append(told.append)
    jobs = [JobPlan(name="test", conclusion="failure"), JobPlan(name="lint")]

    run = rig.state.ci.run(repository, first.sha, jobs=jobs, by=anna)

    assert [one.event for one in told if one.event != "check_run"] == [
        *("workflow_job", "workflow_job", "workflow_run", "check_suite")
    ]
    assert (run.conclusion, run.suite.conclusion) == ("failure", "failure")
    rig.state.ci.rerun(repository, run, jobs=[JobPlan(name="test")])
    assert (run.attempt, run.conclusion, run.suite.conclusion) == (2, "success", "success")


async def test_only_an_app_reports_checks_and_changes_only_its_own(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit, app: str, call: Caller
) -> None:
    wanted = {"name": "openloop", "head_sha": first.sha}
    assert (await call("POST", f"{WHERE}/check-runs", wanted))[0] == 403
    status, made, _ = await call("POST", f"{WHERE}/check-runs", wanted, token=app)
    assert (status, made["status"], made["app"]["slug"]) == (201, "queued", "openloop")
    one = f"{WHERE}/check-runs/{made['id']}"
    _, done, _ = await call("PATCH", one, {"conclusion": "success"}, token=app)
    assert (done["status"], done["conclusion"]) == ("completed", "success")

    run = rig.state.ci.run(repository, first.sha, jobs=[JobPlan(name="test")], by=anna)
    theirs = f"{WHERE}/check-runs/{run.jobs[0].check.id}"
    assert (await call("PATCH", theirs, {}, token=app))[0] == 403
    four = [{"label": "a", "description": "b", "identifier": str(number)} for number in range(4)]
    assert (await call("PATCH", one, {"actions": four}, token=app))[0] == 422


async def test_a_persons_token_reads_no_checks_of_a_private_repository(
    rig: GitHubRig, repository: Repository, first: Commit, app: str, call: Caller
) -> None:
    repository.private = True
    path = f"{WHERE}/commits/{first.sha}/check-runs"
    assert (await call("GET", path))[0] == 403
    assert (await call("GET", path, token=app))[0] == 200
    assert (await call("GET", f"{WHERE}/actions/runs"))[0] == 200
    assert (await call("GET", "/user", token=app))[0] == 403


async def test_of_each_check_the_newest_is_listed(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit, call: Caller
) -> None:
    failed = [JobPlan(name="test", conclusion="failure")]
    run = rig.state.ci.run(repository, first.sha, jobs=failed, by=anna)
    rig.state.ci.rerun(repository, run, jobs=[JobPlan(name="test")])

    _, latest, _ = await call("GET", f"{WHERE}/commits/main/check-runs")
    _, every, _ = await call("GET", f"{WHERE}/commits/main/check-runs?filter=all")

    assert [one["conclusion"] for one in latest["check_runs"]] == ["success"]
    assert (latest["total_count"], every["total_count"]) == (1, 2)


async def test_logs_are_elsewhere_for_whoever_brings_no_token(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit, call: Caller
) -> None:
    jobs = [JobPlan(name="test", log=b"E\n"), JobPlan(name="gone", log=None)]
    run = rig.state.ci.run(repository, first.sha, jobs=jobs, by=anna)
    kept, gone = run.jobs

    status, _, headers = await call("GET", f"{WHERE}/actions/jobs/{kept.id}/logs")
    assert status == 302
    address = headers["Location"]
    assert address.startswith(f"http://{rig.log_host.host}/")
    assert rig.log_host.host not in rig.api_url
    async with aiohttp.ClientSession() as http:
        async with http.get(address) as answered:
            assert await answered.read() == b"E\n"
        async with http.get(address, headers={"Authorization": "Bearer x"}) as answered:
            assert answered.status == 400
        async with http.get(address.partition("?")[0]) as answered:
            assert answered.status == 404
    assert [one.status for one in rig.log_host.downloads] == [200, 400, 404]
    assert (await call("GET", f"{WHERE}/actions/jobs/{gone.id}/logs"))[0] == 410


async def test_a_pull_request_needs_two_branches_that_differ_and_is_opened_once(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit, call: Caller
) -> None:
    rig.state.commits.add(repository, "Fix", by=anna, files={"src/a.py": "a = 2\n"}, branch="fix")
    repository.history.branches["same"] = first.sha
    wanted = {"title": "Fix", "base": "main"}
    for head, status in (("same", 422), ("none", 422), ("fix", 201), ("fix", 422)):
        assert (await call("POST", f"{WHERE}/pulls", wanted | {"head": head}))[0] == status
    _, files, _ = await call("GET", f"{WHERE}/pulls/1/files")
    assert [(one["filename"], one["additions"]) for one in files] == [("src/a.py", 1)]


async def test_only_the_first_comment_of_a_thread_is_answered(
    rig: GitHubRig, repository: Repository, anna: User, call: Caller
) -> None:
    pull = rig.state.add_pull(repository, "Fix", by=anna, head="fix")
    asked = rig.state.add_review_comment(pull, "Why?", by=anna)
    reply = {"body": "Because", "commit_id": "0" * 40, "path": "a", "in_reply_to": asked.id}
    status, made, _ = await call("POST", f"{WHERE}/pulls/1/comments", reply)
    assert (status, made["in_reply_to_id"]) == (201, asked.id)
    again = reply | {"in_reply_to": made["id"]}
    assert (await call("POST", f"{WHERE}/pulls/1/comments", again))[0] == 422


async def test_a_reaction_counts_once_from_everybody(
    rig: GitHubRig, repository: Repository, anna: User, call: Caller
) -> None:
    issue = rig.state.add_issue(repository, "A", by=anna)
    rig.state.react(issue, "eyes", by=anna)
    answers = [
        (await call("POST", f"{WHERE}/issues/1/reactions", {"content": "eyes"}))[0]
        for _ in range(2)
    ]
    assert answers == [201, 200]
    assert [one.author.login for one in issue.reactions] == ["anna", "openloop-bot"]
    assert (await call("POST", f"{WHERE}/issues/1/reactions", {"content": "tada"}))[0] == 422


async def test_who_may_not_write_changes_only_what_is_their_own(
    rig: GitHubRig, repository: Repository, anna: User, call: Caller
) -> None:
    bot = rig.state.add_user("openloop-bot")
    repository.roles[bot.id] = "read"
    theirs = rig.state.add_issue(repository, "Theirs", by=anna)
    said = rig.state.add_comment(theirs, "B", by=anna)
    rig.state.add_issue(repository, "Ours", by=bot)

    assert (await call("PATCH", f"{WHERE}/issues/1", {"title": "C"}))[0] == 403
    assert (await call("PATCH", f"{WHERE}/issues/comments/{said.id}", {"body": "C"}))[0] == 403
    assert (await call("POST", f"{WHERE}/issues/2/labels", {"labels": ["bug"]}))[0] == 403
    status, ours, _ = await call(
        "PATCH", f"{WHERE}/issues/2", {"title": "D", "assignees": ["anna"]}
    )
    assert (status, ours["title"], ours["assignees"]) == (200, "D", [])


async def test_a_search_sees_what_its_token_sees_and_several_repositories(
    rig: GitHubRig, repository: Repository, anna: User, call: Caller
) -> None:
    vault = rig.state.add_repository("acme/vault", private=True)
    hidden = rig.state.add_repository("acme/hidden", private=True, roles={"anna": "admin"})
    for one in (repository, vault, hidden):
        rig.state.add_issue(one, "Login", by=anna)

    async def found(query: str) -> list[str]:
        _, answer, _ = await call("GET", f"/search/issues?q={query}")
        return [one["repository_url"].rpartition("/")[2] for one in answer["items"]]

    assert await found("login%20is:issue") == ["platform", "vault"]
    both = "login%20is:issue%20repo:acme/platform%20repo:acme/vault"
    assert await found(both) == ["platform", "vault"]
    assert await found("login%20is:issue%20repo:acme/hidden") == []
    assert await found("login%20is:pull-request") == []


async def test_code_has_a_history_that_can_be_compared(
    rig: GitHubRig, repository: Repository, anna: User, first: Commit, call: Caller
) -> None:
    rig.state.commits.add(repository, "Aside", by=anna, files={"b.py": "b\n"}, branch="aside")
    last = rig.state.commits.add(repository, "Last", by=anna, files={"src/a.py": None, "c": "c\n"})

    _, ahead, _ = await call("GET", f"{WHERE}/compare/{first.sha}...main")
    assert (ahead["status"], ahead["ahead_by"], ahead["behind_by"]) == ("ahead", 1, 0)
    assert {one["filename"]: one["status"] for one in ahead["files"]} == {
        "c": "added",
        "src/a.py": "removed",
    }
    _, aside, _ = await call("GET", f"{WHERE}/compare/main...aside")
    assert (aside["status"], [one["filename"] for one in aside["files"]]) == ("diverged", ["b.py"])
    _, history, _ = await call("GET", f"{WHERE}/commits?path=src")
    assert [one["sha"] for one in history] == [last.sha, first.sha]
    assert (await call("GET", f"{WHERE}/contents/src/a.py?ref={first.sha[:8]}"))[0] == 200
    assert (await call("GET", f"{WHERE}/contents/src/a.py"))[0] == 404
