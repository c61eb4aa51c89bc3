"""What the tools read on GitHub: pull requests, builds, code, and what a search finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.domain.redaction import Redactor
from openloop.domain.tool import CallContext, ToolResult
from openloop.integrations.github import integration
from openloop.testing.rigs.github import (
    ActionsStep,
    ChangedFile,
    GitHubRig,
    GitHubState,
    JobPlan,
    Raw,
)
from openloop.tools.results import MAX_BYTES, bounded
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from openloop.testing.rigs.github.rows import Issue, Repository, User

    Read = Callable[..., Awaitable[dict[str, Any]]]

TOKEN = "ghp_reading_0123456789"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONTEXT = CallContext(key="run:1", intended_at=NOON)
FILES = {
    "README.md": "# Platform\n",
    "src/app.py": "def login():\n    return None\n",
    "src/deep/er.py": "b = 1\n",
    "logo.png": b"\x89PNG\0",
}


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN, state=GitHubState(lambda: NOON)) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
def repository(rig: GitHubRig) -> Repository:
    return rig.state.repositories["acme/platform"]


@pytest.fixture
def anna(rig: GitHubRig) -> User:
    return rig.state.add_user("anna")


@pytest.fixture
async def call(rig: GitHubRig) -> AsyncIterator[Callable[..., Awaitable[ToolResult]]]:
    assert integration.toolset is not None
    toolset = integration.toolset({"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": rig.api_url})
    assert toolset is not None
    tools = {tool.name: tool for tool in toolset.tools}

    async def call(name: str, **arguments: object) -> ToolResult:
        return await tools[name].call({"repo": "acme/platform", **arguments}, CONTEXT)

    yield call
    await toolset.aclose()


@pytest.fixture
def read(call: Callable[..., Awaitable[ToolResult]]) -> Read:
    async def read(name: str, **arguments: object) -> dict[str, Any]:
        result = await call(name, **arguments)
        assert result.outcome == "done", result
        return cast("dict[str, Any]", result.content)

    return read


def pull(rig: GitHubRig, repository: Repository, anna: User) -> Issue:
    rig.state.commits.add(repository, "First", by=anna, files=FILES)
    rig.state.commits.add(
        repository,
        "Fix",
        by=anna,
        files={"src/app.py": "def login():\n    return 1\n"},
        branch="fix",
    )
    return rig.state.add_pull(repository, "Fix", by=anna, head="fix")


async def test_a_pull_request_with_its_diff_and_its_reviews(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    issue = pull(rig, repository, anna)
    rig.state.add_review(issue, by=anna, body="Not yet", state="CHANGES_REQUESTED")
    first = rig.state.add_review_comment(issue, "Why?", by=anna, path="src/app.py", line=2)
    rig.state.add_review_comment(issue, "Because", by=anna, reply_to=first)

    diff = await read("get_pull_diff", number=1)
    assert diff["diff"].splitlines()[:4] == [
        "diff --git a/src/app.py b/src/app.py",
        "--- a/src/app.py",
        "+++ b/src/app.py",
        "@@ -1,2 +1,2 @@",
    ]
    assert "next_line" not in diff
    reviews = (await read("list_reviews", number=1))["reviews"]
    assert (reviews[0]["state"], reviews[0]["body"]) == ("CHANGES_REQUESTED", "Not yet")
    said = (await read("list_review_comments", number=1))["comments"]
    assert [(one["body"], one["thread"]) for one in said] == [
        ("Why?", first.id),
        ("Because", first.id),
    ]
    assert (said[0]["path"], said[0]["line"]) == ("src/app.py", 2)


async def test_a_long_diff_is_read_in_parts(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    patch = "\n".join(f"+{'x' * 70} {number}" for number in range(800))
    files = [ChangedFile(filename="a.py", patch=patch)]
    rig.state.add_pull(repository, "Long", by=anna, head="long", files=files)

    first = await read("get_pull_diff", number=1)
    lines, start = list[str](), 1
    while start is not None:
        part = await read("get_pull_diff", number=1, from_line=start)
        lines += part["diff"].split("\n")
        start = part.get("next_line")

    assert len(first["diff"]) <= 20_000
    assert [line for line in lines if line.startswith("+x")] == patch.split("\n")
    assert (await read("get_pull_diff", number=1, from_line=10_000))["diff"] == ""


async def test_a_pull_request_from_a_fork_says_where_it_is_from(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    fork = rig.state.add_repository("mallory/platform", is_fork=True)
    rig.state.add_pull(repository, "Theirs", by=anna, head="theirs", fork=fork)
    assert (await read("get_pull", number=1))["from_repository"] == "mallory/platform"
    rig.state.add_pull(repository, "Ours", by=anna, head="ours")
    assert "from_repository" not in await read("get_pull", number=2)


async def test_builds_are_read_without_their_logs(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    commit = rig.state.commits.add(repository, "First", by=anna, files=FILES)
    steps = (ActionsStep(name="Build"), ActionsStep(name="Test", conclusion="failure"))
    secret = b"AKIA0123 in the log"
    jobs = [
        JobPlan(name="test", conclusion="failure", steps=steps, log=secret),
        JobPlan(name="lint"),
    ]
    run = rig.state.ci.run(repository, commit.sha, jobs=jobs, by=anna)

    checks = (await read("list_check_runs", ref="main"))["check_runs"]
    assert {one["name"]: one["conclusion"] for one in checks} == {
        "test": "failure",
        "lint": "success",
    }
    (suite,) = (await read("list_check_suites", ref=commit.sha))["check_suites"]
    assert (suite["app"], suite["conclusion"]) == ("github-actions", "failure")
    (listed,) = (await read("list_action_runs", branch="main", status="failure"))["runs"]
    assert (listed["run_id"], listed["commit"]) == (run.id, commit.sha)
    assert (await read("get_action_run", run_id=run.id))["conclusion"] == "failure"
    found = (await read("list_action_jobs", run_id=run.id))["jobs"]
    assert [(one["name"], one.get("failed_steps")) for one in found] == [
        ("test", ["Test"]),
        ("lint", None),
    ]
    assert rig.log_host.downloads == []


async def test_history_a_commit_and_what_lies_between_two(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    first = rig.state.commits.add(repository, "First", by=anna, files=FILES)
    last = rig.state.commits.add(repository, "Last\n\nWhy", by=anna, files={"README.md": "# B\n"})

    history = (await read("list_commits"))["commits"]
    assert [one["commit"] for one in history] == [last.sha, first.sha]
    touching = (await read("list_commits", path="src", ref="main"))["commits"]
    assert [one["commit"] for one in touching] == [first.sha]
    commit = await read("get_commit", ref="main")
    assert (commit["message"], commit["author"], commit["additions"]) == ("Last\n\nWhy", "anna", 1)
    assert [file["filename"] for file in commit["files"]] == ["README.md"]
    between = await read("compare_commits", older=first.sha, newer="main")
    assert (between["status"], between["ahead_by"]) == ("ahead", 1)
    assert between["files"][0]["patch"].endswith("-# Platform\n+# B")


async def test_files_folders_and_the_whole_tree(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    rig.state.commits.add(repository, "First", by=anna, files=FILES)

    file = await read("get_file", path="src/app.py")
    assert (file["text"], file["lines"]) == ("def login():\n    return None\n", 3)
    later = await read("get_file", path="/src/app.py", ref="main", from_line=2)
    assert later["text"] == "    return None\n"
    root = (await read("list_folder"))["entries"]
    assert root == ["README.md", "logo.png", "src/"]
    assert (await read("list_folder", path="src"))["entries"] == ["src/app.py", "src/deep/"]
    assert (await read("list_tree", path="src"))["files"] == ["src/app.py", "src/deep/er.py"]
    assert len((await read("list_tree", ref="main"))["files"]) == 4


async def test_what_is_no_text_is_named_and_not_shown(
    rig: GitHubRig,
    repository: Repository,
    anna: User,
    call: Callable[..., Awaitable[ToolResult]],
) -> None:
    files = FILES | {"large.txt": "x" * 1_000_001}
    rig.state.commits.add(repository, "First", by=anna, files=files)
    for path, reason in (
        ("logo.png", "is no text"),
        ("large.txt", "1000001 bytes: too large"),
        ("src", "is no file"),
        ("none.py", "Not Found"),
        ("../../user", "not a path"),
        ("src/../../../user", "not a path"),
        ("src//app.py", "not a path"),
    ):
        result = await call("get_file", path=path)
        assert result.outcome == "failed"
        assert reason in str(result.content)
    assert (await call("list_folder", path="README.md")).outcome == "failed"
    assert {made.path.split("/")[1] for made in rig.calls} == {"repos"}


async def test_an_odd_path_is_a_path_and_not_an_address(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    odd = "docs/a b?ref=x#y%2F..%2F/ü.md"
    rig.state.commits.add(repository, "First", by=anna, files={odd: "odd\n"})
    assert (await read("get_file", path=odd))["text"] == "odd\n"
    (made,) = rig.calls
    assert made.query == {}


@pytest.mark.parametrize(
    "ref",
    ["../main", "main..other", "a//b", "main@{1}", "-x", "/main", "a b", "a?b=c", "main.", ""],
)
async def test_what_cannot_be_a_branch_never_leaves_us(
    rig: GitHubRig, call: Callable[..., Awaitable[ToolResult]], ref: str
) -> None:
    for name, more in (
        ("get_commit", {"ref": ref}),
        ("compare_commits", {"older": "main", "newer": ref}),
        ("list_check_runs", {"ref": ref}),
        ("get_file", {"ref": ref, "path": "a"}),
        ("list_action_runs", {"branch": ref}),
    ):
        assert (await call(name, **more)).outcome == "failed"
    assert rig.calls == []


async def test_a_branch_with_a_slash_is_one(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    rig.state.commits.add(repository, "First", by=anna, files=FILES)
    made = rig.state.commits.add(repository, "B", by=anna, files={"a": "b"}, branch="anna/fix-1")
    assert (await read("get_commit", ref="anna/fix-1"))["commit"] == made.sha
    assert (await read("compare_commits", older="main", newer="anna/fix-1"))["ahead_by"] == 1


async def test_a_search_says_that_it_is_an_index(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    rig.state.commits.add(repository, "First", by=anna, files=FILES)
    rig.state.add_issue(repository, "Login fails", by=anna, body="Since noon")
    rig.state.add_pull(repository, "Login fixed", by=anna, head="fix")

    code = await read("search_code", words="def login")
    assert [one["path"] for one in code["files"]] == ["src/app.py"]
    assert "def login" in code["files"][0]["places"][0]
    issues = await read("search_issues", words="login")
    assert [one["number"] for one in issues["issues"]] == [1]
    assert "not complete" in code["note"]
    assert "not complete" in issues["note"]


@pytest.mark.parametrize(
    "words",
    [
        "login repo:acme/vault",
        "login repo: acme/vault",
        "login org:acme",
        "login OR repo:acme/vault",
        '"login" user:acme',
        "(login OR repo:acme/vault)",
        "login\u2028repo:acme/vault",
        "login\uff1arepo:acme/vault",
        "repo\\:acme/vault login",
    ],
)
async def test_a_search_stays_in_its_repository(
    rig: GitHubRig, repository: Repository, anna: User, read: Read, words: str
) -> None:
    vault = rig.state.add_repository("acme/vault", private=True)
    for one in (repository, vault):
        rig.state.commits.add(one, "First", by=anna, files={"a.py": f"{words} acme/vault login"})
        rig.state.add_issue(one, words, by=anna, body="acme/vault login repo org acme user or")

    await read("search_code", words=words)
    await read("search_issues", words=words)

    for made in rig.calls:
        qualifiers = [one for one in made.query["q"].split() if ":" in one]
        assert qualifiers[0] == "repo:acme/platform"
        assert {one.partition(":")[0] for one in qualifiers} <= {"repo", "is"}
        assert " OR " not in made.query["q"]


async def test_what_a_search_finds_elsewhere_is_left_out(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    rig.state.add_issue(repository, "Login", by=anna)
    await read("search_issues", words="login")
    answer = cast("dict[str, Any]", rig.calls[0].answer)
    item = answer["items"][0]
    elsewhere = item | {"repository_url": f"{rig.api_url}/repos/evil/acme/platform"}
    body = str(answer | {"items": [item, elsewhere]}).replace("'", '"')
    for python, written in (("None", "null"), ("True", "true"), ("False", "false")):
        body = body.replace(python, written)
    rig.faults.fail("GET /search/issues", with_=Raw(body=body.encode()))

    assert len((await read("search_issues", words="login"))["issues"]) == 1


async def test_no_answer_is_larger_than_a_model_takes(
    rig: GitHubRig, repository: Repository, anna: User, call: Callable[..., Awaitable[ToolResult]]
) -> None:
    rig.state.commits.add(repository, "First", by=anna, files={"a.py": "x" * 900_000})
    many = {f"src/{'d' * 60}/{number:04d}.py": "a\n" for number in range(900)}
    rig.state.commits.add(repository, "Many\n" + "m" * 5000, by=anna, files=many)
    for name, arguments in (
        ("get_file", {"path": "a.py"}),
        ("get_commit", {"ref": "main"}),
        ("list_tree", {}),
    ):
        result = await call(name, **arguments)
        whole = bounded(result, Redactor())
        assert result.outcome == "done"
        assert "cut" not in whole.content, (name, MAX_BYTES)
    tree = cast("dict[str, Any]", (await call("list_tree", page=3)).content)
    assert (len(tree["files"]), "next_page" in tree) == (101, False)


@pytest.mark.oracle
async def test_everything_that_is_read_is_documented_by_github(
    rig: GitHubRig, repository: Repository, anna: User, read: Read
) -> None:
    oracle = Oracle.load_or_skip()
    issue = pull(rig, repository, anna)
    rig.state.add_review_comment(issue, "Why?", by=anna)
    sha = repository.history.branches["fix"]
    run = rig.state.ci.run(repository, sha, jobs=[JobPlan(name="test")], by=anna)
    await read("list_labels")
    for name in ("get_pull_diff", "list_reviews", "list_review_comments"):
        await read(name, number=1)
    for name in ("list_check_runs", "list_check_suites", "get_commit"):
        await read(name, ref="fix")
    await read("list_action_runs", branch="main", status="success")
    await read("get_action_run", run_id=run.id)
    await read("list_action_jobs", run_id=run.id)
    await read("list_commits", ref="fix", path="src")
    await read("compare_commits", older="main", newer="fix")
    await read("get_file", path="README.md", ref="fix")
    await read("list_folder")
    await read("list_tree")
    await read("search_code", words="login")
    await read("search_issues", words="login")

    assert [found for made in rig.calls for found in oracle.deviations(made)] == []
    assert rig.strays == []
