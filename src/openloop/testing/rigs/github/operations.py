"""The operations the fake GitHub understands, each a function from a request to an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import (
    TITLE_LIMIT,
    Asked,
    Route,
    page_of,
    refuse_archived,
)
from openloop.testing.rigs.github.ci_operations import CI_ROUTES
from openloop.testing.rigs.github.code_operations import CODE_ROUTES
from openloop.testing.rigs.github.commits import diff_of
from openloop.testing.rigs.github.review_operations import REVIEW_ROUTES
from openloop.testing.rigs.github.search_operations import SEARCH_ROUTES
from openloop.testing.rigs.github.thread_operations import THREAD_ROUTES, label_names, logins

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.testing.rigs.github.rows import Issue


def get_repository(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.full_repository(asked.repository, asked.viewer))


def get_account(asked: Asked) -> Answer:
    """An account by its id, whatever its login is today."""
    wanted = asked.parts["account_id"]
    for user in asked.state.users.values():
        if str(user.id) == wanted:
            return Answer(200, asked.shapes.own_user(user))
    raise answers.not_found()


def get_user(asked: Asked) -> Answer:
    """An account by its login, as everybody sees it."""
    user = asked.state.users.get(asked.part("username").lower())
    if user is None:
        raise answers.not_found()
    return Answer(200, asked.shapes.public_user(user))


def get_permission(asked: Asked) -> Answer:
    user = asked.state.users.get(asked.parts["username"].lower())
    if user is None:
        raise answers.not_found()
    if not asked.repository.allows(asked.viewer, "write"):
        raise answers.forbidden("Must have push access to view collaborator permission.")
    return Answer(200, asked.shapes.permission(asked.repository, user))


def list_issues(asked: Asked) -> Answer:
    repository = asked.repository
    if not repository.has_issues:
        raise answers.gone()
    state = asked.choice("state", "open", "closed", "all")
    order = asked.choice("sort", "created", "updated", "comments")
    newest_first = asked.choice("direction", "desc", "asc") == "desc"
    since, wanted = asked.since(), _names(asked.query.get("labels", ""))
    creator = asked.query.get("creator")
    if creator is not None and creator.lower() not in asked.state.users:
        raise answers.invalid("Search", "creator", "invalid")
    found = [
        issue
        for issue in repository.issues.values()
        if state in {"all", issue.state}
        and (since is None or issue.updated_at >= since)
        and (creator is None or issue.author.login.lower() == creator.lower())
        and wanted <= {label.name.lower() for label in issue.labels}
    ]
    keys: dict[str, Callable[[Issue], tuple[float, int]]] = {
        "created": lambda issue: (issue.created_at.timestamp(), issue.number),
        "updated": lambda issue: (issue.updated_at.timestamp(), issue.number),
        "comments": lambda issue: (len(issue.comments), issue.number),
    }
    found.sort(key=keys[order], reverse=newest_first)
    return page_of(asked, found, lambda issue: asked.shapes.issue(repository, issue))


def create_issue(asked: Asked) -> Answer:
    repository, author, fields = asked.repository, asked.author, asked.fields()
    refuse_archived(repository)
    if not repository.has_issues:
        raise answers.gone()
    title = asked.text("title", resource="Issue", limit=TITLE_LIMIT)
    if title is None or not title.strip():
        raise answers.invalid("Issue", "title", "missing_field")
    body = asked.text("body", resource="Issue")
    labels, assignees = label_names(fields), logins(asked, fields)
    may_write = repository.allows(author, "write")
    issue = asked.state.add_issue(
        repository,
        title,
        by=author,
        body=body,
        labels=labels if may_write else (),
        assignees=assignees if may_write else (),
    )
    shape = asked.shapes.issue(repository, issue)
    return Answer(201, shape, {"Location": str(shape["url"])})


def get_issue(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.issue(asked.repository, asked.issue()))


def list_comments(asked: Asked) -> Answer:
    """Of one issue: always oldest first."""
    repository, issue, since = asked.repository, asked.issue(), asked.since()
    found = [one for one in issue.comments if since is None or one.updated_at >= since]
    return page_of(asked, found, lambda one: asked.shapes.comment(repository, issue, one))


def list_all_comments(asked: Asked) -> Answer:
    """Of a whole repository; `direction` counts only beside `sort`."""
    repository, since = asked.repository, asked.since()
    order = asked.choice("sort", "created", "updated")
    found = [
        (issue, one)
        for issue in repository.issues.values()
        for one in issue.comments
        if since is None or one.updated_at >= since
    ]
    newest_first = "sort" in asked.query and asked.choice("direction", "desc", "asc") == "desc"
    found.sort(
        key=lambda pair: (
            pair[1].updated_at if order == "updated" else pair[1].created_at,
            pair[1].id,
        ),
        reverse=newest_first,
    )
    return page_of(asked, found, lambda pair: asked.shapes.comment(repository, *pair))


def create_comment(asked: Asked) -> Answer:
    repository, author, issue = asked.repository, asked.author, asked.issue()
    refuse_archived(repository)
    if issue.locked and not repository.allows(author, "write"):
        raise answers.forbidden("Unable to create comment because issue is locked.")
    body = asked.written_body("IssueComment")
    comment = asked.state.add_comment(issue, body, by=author)
    shape = asked.shapes.comment(repository, issue, comment)
    return Answer(201, shape, {"Location": str(shape["url"])})


def list_pulls(asked: Asked) -> Answer:
    repository = asked.repository
    state = asked.choice("state", "open", "closed", "all")
    order = asked.choice("sort", "created", "updated")
    direction = asked.choice("direction", *(("desc", "asc") if order == "created" else _ASCENDING))
    found = [
        issue
        for issue in repository.issues.values()
        if issue.pull is not None
        and state in {"all", issue.state}
        and asked.query.get("head") in {None, f"{repository.owner.login}:{issue.pull.head}"}
    ]
    found.sort(
        key=lambda one: (one.updated_at if order == "updated" else one.created_at, one.number),
        reverse=direction == "desc",
    )
    return page_of(asked, found, lambda one: asked.shapes.pull(repository, one, asked.viewer))


def get_pull(asked: Asked) -> Answer:
    """A pull request, or its diff where that is what is accepted."""
    pull = asked.pull().pull
    if "vnd.github.diff" in asked.accept and pull is not None:
        return Answer(200, diff_of(pull.files).encode())
    return Answer(200, asked.shapes.full_pull(asked.repository, asked.pull(), asked.viewer))


def list_pull_files(asked: Asked) -> Answer:
    repository, issue = asked.repository, asked.pull()
    files = issue.pull.files if issue.pull is not None else ()
    return page_of(asked, files, lambda file: asked.shapes.changed_file(repository, issue, file))


def get_own_user(asked: Asked) -> Answer:
    """Whose token it is; an App's is nobody's."""
    if asked.author.kind == "Bot":
        raise answers.forbidden("Resource not accessible by integration")
    return Answer(200, asked.shapes.own_user(asked.author))


def get_rate_limit(asked: Asked) -> Answer:
    names = ("core", "search", "code_search")
    return Answer(200, {"resources": dict.fromkeys(names, asked.rate), "rate": asked.rate})


_ASCENDING = ("asc", "desc")
_REPO = "/repos/{owner}/{repo}"
_ISSUES, _PULLS, _BOTH = ("issues",), ("pull_requests",), ("issues", "pull_requests")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/user", (), "read", get_own_user),
    Route("GET", "/user/{account_id}", (), "read", get_account),
    Route("GET", "/users/{username}", (), "read", get_user),
    Route("GET", "/rate_limit", (), "none", get_rate_limit),
    Route("GET", _REPO, ("metadata",), "read", get_repository),
    Route(
        "GET",
        f"{_REPO}/collaborators/{{username}}/permission",
        ("metadata",),
        "read",
        get_permission,
    ),
    Route("GET", f"{_REPO}/issues", _ISSUES, "read", list_issues),
    Route("POST", f"{_REPO}/issues", _ISSUES, "write", create_issue),
    Route("GET", f"{_REPO}/issues/comments", _BOTH, "read", list_all_comments),
    Route("GET", f"{_REPO}/issues/{{issue_number}}", _BOTH, "read", get_issue),
    Route("GET", f"{_REPO}/issues/{{issue_number}}/comments", _BOTH, "read", list_comments),
    Route("POST", f"{_REPO}/issues/{{issue_number}}/comments", _BOTH, "write", create_comment),
    Route("GET", f"{_REPO}/pulls", _PULLS, "read", list_pulls),
    Route("GET", f"{_REPO}/pulls/{{pull_number}}", _PULLS, "read", get_pull),
    Route("GET", f"{_REPO}/pulls/{{pull_number}}/files", _PULLS, "read", list_pull_files),
    *THREAD_ROUTES,
    *REVIEW_ROUTES,
    *CI_ROUTES,
    *CODE_ROUTES,
    *SEARCH_ROUTES,
)


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",") if name.strip()}
