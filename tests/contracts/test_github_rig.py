"""The fake GitHub behaves as GitHub does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from openloop.testing.rigs.faults import DropAnswer, DropRequest, ServerError, Slow, TooMany
from openloop.testing.rigs.github import (
    CutAnswer,
    GitHubRig,
    GitHubState,
    Hold,
    PrimaryLimit,
    SecondaryLimit,
)
from tests.contracts.github_shapes.caller import TOKEN, Caller

CREATE_ISSUE = "POST /repos/{owner}/{repo}/issues"
GET_ISSUE = "GET /repos/{owner}/{repo}/issues/{issue_number}"

Json = dict[str, Any]


async def test_issues_and_pulls_share_one_series_of_numbers(rig: GitHubRig, call: Caller) -> None:
    repository = rig.state.repositories["acme/platform"]
    rig.state.add_pull(repository, "Fix login", by=rig.state.add_user("anna"), head="fix")

    status, issue, _ = await call("POST", "/repos/acme/platform/issues", {"title": "Broken"})

    assert (status, issue["number"]) == (201, 2)
    _, listed, _ = await call("GET", "/repos/acme/platform/issues")
    assert [("pull_request" in one, one["number"]) for one in listed] == [(False, 2), (True, 1)]


async def test_what_was_written_is_read_back(rig: GitHubRig, call: Caller) -> None:
    await call(
        "POST", "/repos/acme/platform/issues", {"title": "A", "body": "B", "labels": ["bug"]}
    )
    await call("POST", "/repos/acme/platform/issues/1/comments", {"body": "C"})

    _, issue, _ = await call("GET", "/repos/acme/platform/issues/1")
    _, comments, _ = await call("GET", "/repos/acme/platform/issues/1/comments")

    assert (issue["title"], issue["body"], issue["comments"]) == ("A", "B", 1)
    assert issue["user"]["login"] == "openloop-bot"
    assert [label["name"] for label in issue["labels"]] == ["bug"]
    assert [comment["body"] for comment in comments] == ["C"]


async def test_names_are_not_case_sensitive(call: Caller) -> None:
    assert (await call("GET", "/repos/ACME/Platform"))[0] == 200


async def test_a_private_repository_does_not_exist_for_those_who_may_not_see_it(
    rig: GitHubRig, call: Caller
) -> None:
    rig.state.add_repository("acme/secret", private=True, roles={"anna": "admin"})

    assert (await call("GET", "/repos/acme/secret"))[0] == 404
    assert (await call("POST", "/repos/acme/secret/issues", {"title": "A"}))[0] == 404
    assert (await call("GET", "/repos/acme/none"))[0] == 404


async def test_a_token_does_only_what_it_was_given(rig: GitHubRig, call: Caller) -> None:
    rig.state.add_repository("acme/own", private=True, roles={"anna": "write"})
    rig.state.add_token(
        "ghp_reader", login="anna", repositories=["acme/own"], permissions={"metadata": "read"}
    )

    status, answer, headers = await call("GET", "/repos/acme/own/issues", token="ghp_reader")
    assert (status, answer["message"]) == (
        403,
        "Resource not accessible by personal access token",
    )
    assert headers["X-Accepted-GitHub-Permissions"] == "issues=read"
    assert (await call("GET", "/repos/acme/platform/issues", token="ghp_reader"))[0] == 200
    written = await call("POST", "/repos/acme/platform/issues", {"title": "A"}, token="ghp_reader")
    assert written[0] == 403


async def test_who_is_nobody_reads_only_what_is_public(rig: GitHubRig, call: Caller) -> None:
    rig.state.revoke_token(TOKEN)

    assert (await call("GET", "/repos/acme/platform"))[0] == 401
    assert (await call("GET", "/repos/acme/platform", token=None))[0] == 200
    assert (await call("GET", "/user", token=None))[0] == 401
    assert (await call("POST", "/repos/acme/platform/issues", {"title": "A"}, token=None))[0] == 401


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ({"title": ""}, 422, "missing_field"),
        ({}, 422, "missing_field"),
        ({"title": "A" * 257}, 422, "custom"),
        ({"title": "A", "body": "B" * 65_537}, 422, "custom"),
        ({"title": "A", "assignees": ["nobody"]}, 422, "invalid"),
        (["title"], 400, None),
        (b"{", 400, None),
    ],
)
async def test_a_wrong_issue_is_refused_and_not_made(
    rig: GitHubRig, call: Caller, content: object, status: int, code: str | None
) -> None:
    answered, answer, _ = await call("POST", "/repos/acme/platform/issues", content)

    assert answered == status
    assert [error["code"] for error in answer.get("errors", [])] == ([code] if code else [])
    assert not rig.state.repositories["acme/platform"].issues


async def test_closed_doors_have_their_own_answers(rig: GitHubRig, call: Caller) -> None:
    rig.state.add_repository("acme/no-issues", has_issues=False)
    rig.state.add_repository("acme/archived", archived=True)

    assert (await call("GET", "/repos/acme/no-issues/issues"))[0] == 410
    assert (await call("POST", "/repos/acme/no-issues/issues", {"title": "A"}))[0] == 410
    assert (await call("POST", "/repos/acme/archived/issues", {"title": "A"}))[0] == 403
    assert (await call("GET", "/user", User_Agent=""))[0] == 403
    assert (await call("GET", "/user", X_GitHub_Api_Version="1999-01-01"))[0] == 400
    assert (await call("GET", "/user", Accept="text/html"))[0] == 415


async def test_lists_are_turned_by_their_links(rig: GitHubRig, call: Caller) -> None:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    for title in "ABCDE":
        rig.state.add_issue(repository, title, by=anna)

    path, titles = "/repos/acme/platform/issues?per_page=2", list[str]()
    while path:
        _, issues, headers = await call("GET", path)
        titles += [issue["title"] for issue in issues]
        links = {
            link.rsplit('"', 2)[1]: link[1 : link.index(">")]
            for link in headers.get("Link", "").split(", ")
            if link
        }
        path = links.get("next", "").removeprefix(rig.api_url)

    assert titles == list("EDCBA")


async def test_since_counts_from_the_last_update() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    state = GitHubState(clock=lambda: now)
    rig = GitHubRig(token=TOKEN, state=state)
    repository, anna = state.add_repository("acme/platform"), state.add_user("anna")
    old, _ = (state.add_issue(repository, title, by=anna) for title in ("old", "older"))
    now += timedelta(hours=1)
    state.add_comment(old, "news", by=anna)

    async with rig, aiohttp.ClientSession() as http:
        path = "/repos/acme/platform/issues?since=2026-11-20T12:30:00Z"
        _, found, _ = await Caller(rig, http)("GET", path)

    assert [issue["title"] for issue in found] == ["old"]


async def test_a_list_can_be_narrowed_down(rig: GitHubRig, call: Caller) -> None:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    rig.state.add_issue(repository, "A", by=anna, labels=["bug", "ui"])
    rig.state.close(rig.state.add_issue(repository, "B", by=rig.state.add_user("ben")))
    rig.state.add_issue(repository, "C", by=anna, labels=["bug"])

    async def titles(query: str) -> list[str]:
        _, found, _ = await call("GET", f"/repos/acme/platform/issues?{query}")
        return [issue["title"] for issue in found]

    assert await titles("labels=bug,ui") == ["A"]
    assert await titles("state=all&creator=ben") == ["B"]
    assert await titles("direction=asc") == ["A", "C"]
    assert (await call("GET", "/repos/acme/platform/issues?state=half-open"))[0] == 422


async def test_a_renamed_repository_redirects_from_its_old_name(
    rig: GitHubRig, call: Caller
) -> None:
    rig.state.rename_repository(rig.state.repositories["acme/platform"], "core")

    status, _, headers = await call("GET", "/repos/acme/platform/issues?page=1")
    assert (status, headers["Location"]) == (301, f"{rig.api_url}/repos/acme/core/issues?page=1")
    assert (await call("POST", "/repos/acme/platform/issues", {"title": "A"}))[0] == 307


async def test_an_unchanged_answer_is_not_sent_again(call: Caller) -> None:
    _, _, headers = await call("GET", "/repos/acme/platform")
    assert (await call("GET", "/repos/acme/platform", If_None_Match=headers["ETag"]))[0] == 304


async def test_an_hour_has_only_so_many_requests() -> None:
    async with GitHubRig(token=TOKEN, hourly_limit=2) as rig, aiohttp.ClientSession() as http:
        call = Caller(rig, http)
        assert [(await call("GET", "/user"))[0] for _ in range(2)] == [200, 200]

        status, answer, headers = await call("GET", "/user")
        assert (status, headers["X-RateLimit-Remaining"]) == (403, "0")
        assert "rate limit exceeded" in answer["message"]
        _, rate, _ = await call("GET", "/rate_limit")
        assert rate["rate"]["remaining"] == 0


@pytest.mark.parametrize("fault", [DropAnswer(), CutAnswer(), ServerError(after_commit=True)])
async def test_a_fault_after_the_commit_leaves_the_issue_behind(
    rig: GitHubRig, call: Caller, fault: DropAnswer | CutAnswer | ServerError
) -> None:
    rig.faults.fail(CREATE_ISSUE, with_=fault)

    if isinstance(fault, ServerError):
        assert (await call("POST", "/repos/acme/platform/issues", {"title": "A"}))[0] == 500
    else:
        with pytest.raises(aiohttp.ClientError):
            await call("POST", "/repos/acme/platform/issues", {"title": "A"})

    assert list(rig.state.repositories["acme/platform"].issues) == [1]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (DropRequest(), None),
        (ServerError(status=502), 502),
        (TooMany(), 429),
        (SecondaryLimit(), 403),
        (PrimaryLimit(status=429), 429),
    ],
)
async def test_a_fault_before_the_commit_leaves_nothing_behind(
    rig: GitHubRig,
    call: Caller,
    fault: DropRequest | ServerError | TooMany | SecondaryLimit | PrimaryLimit,
    status: int | None,
) -> None:
    rig.faults.fail(CREATE_ISSUE, with_=fault)

    if status is None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call("POST", "/repos/acme/platform/issues", {"title": "A"})
    else:
        assert (await call("POST", "/repos/acme/platform/issues", {"title": "A"}))[0] == status

    assert not rig.state.repositories["acme/platform"].issues
    assert (await call("POST", "/repos/acme/platform/issues", {"title": "A"}))[0] == 201


async def test_a_test_can_step_between_a_request_and_its_answer(
    rig: GitHubRig, call: Caller
) -> None:
    hold = Hold()
    rig.faults.fail(CREATE_ISSUE, with_=hold)
    asked = asyncio.create_task(call("POST", "/repos/acme/platform/issues", {"title": "A"}))

    (waiting,) = await rig.until(lambda: rig.made(CREATE_ISSUE))
    assert (waiting.status, rig.state.repositories["acme/platform"].issues) == (None, {})
    hold.released.set()

    assert (await asked)[0] == 201
    assert waiting.status == 201


async def test_a_slow_answer_is_late_and_the_change_is_not(rig: GitHubRig, call: Caller) -> None:
    rig.faults.fail(CREATE_ISSUE, with_=Slow(seconds=60))
    asked = asyncio.create_task(call("POST", "/repos/acme/platform/issues", {"title": "A"}))

    await rig.until(lambda: rig.state.repositories["acme/platform"].issues)
    asked.cancel()


async def test_a_path_that_github_does_not_know_is_a_stray(rig: GitHubRig, call: Caller) -> None:
    assert (await call("GET", "/repos/acme/platform/wiki"))[0] == 404
    assert [stray.path for stray in rig.strays] == ["/repos/acme/platform/wiki"]


async def test_no_record_holds_a_token(rig: GitHubRig, call: Caller) -> None:
    await call("GET", "/user")
    assert rig.calls[0].login == "openloop-bot"
    assert TOKEN not in repr(rig.calls)


async def test_it_can_be_away_for_a_while(rig: GitHubRig, call: Caller) -> None:
    await rig.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await call("GET", "/repos/acme/platform")

    await rig.start()
    assert (await call("GET", "/repos/acme/platform"))[0] == 200


async def test_it_runs_apart_and_is_steered_from_outside() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "openloop.testing.rigs.github", "--control", "--repository", "acme/platform"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GITHUB_TOKEN": TOKEN},
    )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            assert process.stdout is not None
            url = json.loads(await process.stdout.readline())["url"]
            headers = {"Authorization": f"Bearer {TOKEN}"}
            dial = {"operation": CREATE_ISSUE, "fault": "ServerError", "with": {"status": 503}}
            async with http.post(f"{url}/control/faults", json=dial) as response:
                assert response.status == 204
            for status in (503, 201):
                issues, wanted = f"{url}/repos/acme/platform/issues", {"title": "A"}
                async with http.post(issues, json=wanted, headers=headers) as response:
                    assert response.status == status
            waiting = {"operation": CREATE_ISSUE, "count": "2"}
            async with http.get(f"{url}/control/calls", params=waiting) as response:
                assert [one["status"] for one in await response.json()] == [503, 201]
            async with http.get(f"{url}/control") as response:
                state = await response.json()
        issues = state["repositories"]["acme/platform"]["issues"]
        assert [(one["number"], one["title"]) for one in issues] == [(1, "A")]
        assert state["strays"] == []
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
