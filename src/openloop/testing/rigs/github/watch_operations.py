"""What one asks who watches a repository: the events of its issues, all review comments, editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from openloop.testing.rigs.github import answers, review_shapes
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import Asked, Route, page_of
from openloop.testing.rigs.github.shapes import Shapes, node_id, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.testing.rigs.github.record import Edit, IssueEvent
    from openloop.testing.rigs.github.rows import Repository, User
    from openloop.testing.rigs.github.shapes import Json
    from openloop.testing.rigs.github.state import GitHubState


def list_issue_events(asked: Asked) -> Answer:
    """Of a whole repository, newest first."""
    repository = asked.repository
    found = [
        event
        for event in reversed(asked.state.record.events)
        if event.happened.repository is repository
    ]
    return page_of(asked, found, lambda event: _event(asked.shapes, repository, event))


def list_all_review_comments(asked: Asked) -> Answer:
    """Of all pull requests; `direction` counts only beside `sort`."""
    repository, since = asked.repository, asked.since()
    order = asked.choice("sort", "created", "updated")
    found = [
        (issue, one)
        for issue in repository.issues.values()
        if issue.pull is not None
        for one in issue.pull.review_comments
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
    return page_of(
        asked,
        found,
        lambda pair: review_shapes.review_comment(asked.shapes, repository, *pair),
    )


def list_installed(asked: Asked) -> Answer:
    """The repositories that an installation's token reaches; a person's token has none."""
    token = asked.token
    if token is None or token.user.kind != "Bot":
        raise answers.forbidden("You must authenticate with an installation access token")
    found = [each for each in asked.state.repositories.values() if token.reaches(each.full_name)]
    shapes, viewer = asked.shapes, asked.viewer
    return page_of(
        asked,
        found,
        lambda repository: shapes.repository(repository, viewer),
        below="repositories",
    )


def query_editors(asked: Asked) -> Answer:
    """The one GraphQL query that this fake knows: who wrote a text, and who edited it last."""
    asked.author  # noqa: B018  # GraphQL is for nobody in particular
    fields = asked.fields()
    variables = cast("Json", fields.get("variables") or {})
    if "lastEditedAt" not in str(fields.get("query")):
        raise answers.bad_request("This fake knows no such query")
    authors = dict(_authors(asked.state))
    wanted = cast("list[str]", variables.get("ids", []))
    nodes = [_node(each, authors.get(each), asked.state.record.edits.get(each)) for each in wanted]
    return Answer(200, {"data": {"nodes": nodes}})


def _event(shapes: Shapes, repository: Repository, event: IssueEvent) -> Json:
    happened = event.happened
    issue = happened.issue
    shown: Json = {
        "id": event.id,
        "node_id": node_id("IssueEvent", event.id),
        "url": f"{shapes.api_url}/repos/{repository.full_name}/issues/events/{event.id}",
        "actor": shapes.user(happened.sender),
        "event": happened.action,
        "commit_id": None,
        "commit_url": None,
        "created_at": written(event.at),
        "performed_via_github_app": None,
    }
    if issue is not None:
        shown["issue"] = shapes.issue(repository, issue)
    if happened.label is not None:
        shown["label"] = {"name": happened.label.name, "color": happened.label.color}
    if happened.assignee is not None:
        # GitHub names who is assigned as the actor; who did it stands in `assigner`.
        shown["actor"] = shown["assignee"] = shapes.user(happened.assignee)
        shown["assigner"] = shapes.user(happened.sender)
    return shown


def _authors(state: GitHubState) -> Iterator[tuple[str, User]]:
    for repository in state.repositories.values():
        for issue in repository.issues.values():
            yield node_id("Issue", issue.id), issue.author
            for comment in issue.comments:
                yield node_id("IssueComment", comment.id), comment.author
            if issue.pull is not None:
                for review in issue.pull.reviews:
                    yield node_id("PullRequestReview", review.id), review.author
                for line in issue.pull.review_comments:
                    yield node_id("PullRequestReviewComment", line.id), line.author


def _node(node: str, author: User | None, edit: Edit | None) -> Json | None:
    if author is None:
        return None
    return {
        "id": node,
        "author": {"login": author.login},
        "editor": None if edit is None else {"login": edit.by.login},
        "lastEditedAt": None if edit is None else written(edit.at),
    }


_REPO = "/repos/{owner}/{repo}"

GRAPHQL = Route("POST", "/graphql", (), "read", query_editors)
"""The only one that is not in the OpenAPI document."""
WATCH_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{_REPO}/issues/events", ("issues",), "read", list_issue_events),
    Route("GET", f"{_REPO}/pulls/comments", ("pull_requests",), "read", list_all_review_comments),
    Route("GET", "/installation/repositories", (), "read", list_installed),
    GRAPHQL,
)
