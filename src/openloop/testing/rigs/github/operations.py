"""The operations the fake GitHub understands, each a function from a request to an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlencode

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openloop.testing.rigs.github.shapes import Json, Shapes
    from openloop.testing.rigs.github.state import (
        GitHubState,
        Issue,
        Level,
        Repository,
        Token,
        User,
    )

BODY_LIMIT = 65_536
TITLE_LIMIT = 256
PAGE_LIMIT = 100

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request after it was let in: who asks, for what, about which repository."""

    state: GitHubState
    shapes: Shapes
    url: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    content: object
    token: Token | None
    rate: Json

    @property
    def viewer(self) -> User | None:
        return self.token.user if self.token is not None else None

    @property
    def author(self) -> User:
        """Who writes; only for operations that need a token."""
        if self.token is None:
            raise answers.login_required()
        return self.token.user

    @property
    def repository(self) -> Repository:
        """The repository in the path; it was found and may be seen."""
        found = self.state.find_repository(f"{self.parts['owner']}/{self.parts['repo']}")
        if found is None:
            raise answers.not_found()
        return found

    def issue(self) -> Issue:
        """The issue or pull in the path."""
        repository = self.repository
        found = repository.issues.get(int(self.parts["number"]))
        if found is None:
            raise answers.not_found()
        if not repository.has_issues and found.pull is None:
            raise answers.gone()
        return found

    def pull(self) -> Issue:
        """The pull request in the path; an issue is none."""
        found = self.repository.issues.get(int(self.parts["number"]))
        if found is None or found.pull is None:
            raise answers.not_found()
        return found

    def fields(self) -> Json:
        """The JSON object of the body."""
        if not isinstance(self.content, dict):
            raise answers.bad_request("Body should be a JSON object")
        return cast("Json", self.content)

    def since(self) -> datetime | None:
        """The `since` of the query, compared with when a thing was last updated."""
        text = self.query.get("since")
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise answers.invalid("Search", "since", "invalid") from None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    def choice(self, name: str, *allowed: str) -> str:
        """One of the allowed words; the first where the query says nothing."""
        given = self.query.get(name, allowed[0])
        if given not in allowed:
            raise answers.invalid("Issue", name, "invalid")
        return given


def get_repository(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.full_repository(asked.repository, asked.viewer))


def get_account(asked: Asked) -> Answer:
    """An account by its id, whatever its login is today."""
    wanted = asked.parts["account_id"]
    for user in asked.state.users.values():
        if str(user.id) == wanted:
            return Answer(200, asked.shapes.own_user(user))
    raise answers.not_found()


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
    return _page(asked, found, lambda issue: asked.shapes.issue(repository, issue))


def create_issue(asked: Asked) -> Answer:
    repository, author, fields = asked.repository, asked.author, asked.fields()
    _refuse_archived(repository)
    if not repository.has_issues:
        raise answers.gone()
    title = _text(fields, "title", resource="Issue", limit=TITLE_LIMIT)
    if title is None or not title.strip():
        raise answers.invalid("Issue", "title", "missing_field")
    body = _text(fields, "body", resource="Issue", limit=BODY_LIMIT)
    labels, assignees = _label_names(fields), _logins(asked, fields)
    if not repository.allows(author, "write"):
        labels, assignees = [], []
    issue = asked.state.add_issue(
        repository, title, by=author, body=body, labels=labels, assignees=assignees
    )
    shape = asked.shapes.issue(repository, issue)
    return Answer(201, shape, {"Location": str(shape["url"])})


def get_issue(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.issue(asked.repository, asked.issue()))


def list_comments(asked: Asked) -> Answer:
    """Of one issue: always oldest first."""
    repository, issue, since = asked.repository, asked.issue(), asked.since()
    found = [one for one in issue.comments if since is None or one.updated_at >= since]
    return _page(asked, found, lambda one: asked.shapes.comment(repository, issue, one))


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
    return _page(asked, found, lambda pair: asked.shapes.comment(repository, *pair))


def create_comment(asked: Asked) -> Answer:
    repository, author, issue = asked.repository, asked.author, asked.issue()
    _refuse_archived(repository)
    if issue.locked and not repository.allows(author, "write"):
        raise answers.forbidden("Unable to create comment because issue is locked.")
    body = _text(asked.fields(), "body", resource="IssueComment", limit=BODY_LIMIT)
    if body is None or not body.strip():
        raise answers.invalid("IssueComment", "body", "missing_field")
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
        if issue.pull is not None and state in {"all", issue.state}
    ]
    found.sort(
        key=lambda one: (one.updated_at if order == "updated" else one.created_at, one.number),
        reverse=direction == "desc",
    )
    return _page(asked, found, lambda one: asked.shapes.pull(repository, one, asked.viewer))


def get_pull(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.full_pull(asked.repository, asked.pull(), asked.viewer))


def list_pull_files(asked: Asked) -> Answer:
    repository, issue = asked.repository, asked.pull()
    files = issue.pull.files if issue.pull is not None else ()
    return _page(asked, files, lambda file: asked.shapes.changed_file(repository, issue, file))


def get_own_user(asked: Asked) -> Answer:
    return Answer(200, asked.shapes.own_user(asked.author))


def get_rate_limit(asked: Asked) -> Answer:
    names = ("core", "search")
    return Answer(200, {"resources": dict.fromkeys(names, asked.rate), "rate": asked.rate})


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path, the permissions of which one is needed, and what is done."""

    method: str
    template: str
    permissions: tuple[str, ...]
    level: Level
    act: Callable[[Asked], Answer]

    @property
    def operation(self) -> str:
        """The name under which a call is recorded."""
        return f"{self.method} {self.template}"

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is this route's; None for another's."""
        if method != self.method:
            return None
        number = r"(?P<number>[1-9][0-9]{0,9})"
        pattern = re.sub(r"\{(issue|pull)_number\}", lambda _: number, self.template)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found is not None else None


_ASCENDING = ("asc", "desc")
_REPO = "/repos/{owner}/{repo}"
_ISSUES, _PULLS, _BOTH = ("issues",), ("pull_requests",), ("issues", "pull_requests")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/user", (), "read", get_own_user),
    Route("GET", "/user/{account_id}", (), "read", get_account),
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
)


def _page(asked: Asked, things: Sequence[Thing], shape: Callable[[Thing], Json]) -> Answer:
    """One page of a list, with the RFC 8288 links to the others."""
    size = min(max(_number(asked.query.get("per_page"), 30), 1), PAGE_LIMIT)
    page = max(_number(asked.query.get("page"), 1), 1)
    last = max((len(things) + size - 1) // size, 1)
    turns = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    shown = {
        name: number
        for name, number in turns.items()
        if (page < last if name in {"next", "last"} else page > 1)
    }
    links = (
        f'<{asked.url}?{urlencode({**asked.query, "page": number})}>; rel="{name}"'
        for name, number in shown.items()
    )
    content = [shape(thing) for thing in things[(page - 1) * size : page * size]]
    return Answer(200, content, {"Link": ", ".join(links)} if shown else {})


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else default


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",") if name.strip()}


def _text(fields: Json, name: str, *, resource: str, limit: int) -> str | None:
    text = fields.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise answers.invalid(resource, name, "invalid")
    if len(text) > limit:
        message = f"{name} is too long (maximum is {limit} characters)"
        raise answers.invalid(resource, name, "custom", message)
    return text


def _label_names(fields: Json) -> list[str]:
    names: list[str] = []
    for label in cast("list[object]", fields.get("labels") or []):
        name = cast("Json", label).get("name") if isinstance(label, dict) else label
        if not isinstance(name, str):
            raise answers.invalid("Label", "name", "invalid")
        names.append(name)
    return names


def _logins(asked: Asked, fields: Json) -> list[User]:
    users: list[User] = []
    for login in cast("list[object]", fields.get("assignees") or []):
        user = asked.state.users.get(str(login).lower())
        if user is None:
            raise answers.invalid("Issue", "assignees", "invalid")
        users.append(user)
    return users


def _refuse_archived(repository: Repository) -> None:
    if repository.archived:
        raise answers.forbidden("Repository was archived so is read-only.")
