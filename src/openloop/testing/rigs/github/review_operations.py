"""Pull requests opened, and the reviews and line comments on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.rigs.github import answers, review_shapes
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import (
    TITLE_LIMIT,
    Asked,
    Route,
    page_of,
    refuse_archived,
)
from openloop.testing.rigs.github.thread_operations import list_reactions, react

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import Issue, PullPart, ReviewComment


def create_pull(asked: Asked) -> Answer:
    """From a branch that has something the other one lacks; one pull for each pair is open."""
    repository, author, fields = asked.repository, asked.author, asked.fields()
    refuse_archived(repository)
    if not repository.allows(author, "write"):
        raise answers.not_found()
    title = asked.text("title", resource="PullRequest", limit=TITLE_LIMIT)
    if title is None or not title.strip():
        raise answers.invalid("PullRequest", "title", "missing_field")
    body = asked.text("body", resource="PullRequest")
    head, target = str(fields.get("head", "")), str(fields.get("base", ""))
    head = head.removeprefix(f"{repository.owner.login}:")
    branches = repository.history.branches
    for name, field in ((head, "head"), (target, "base")):
        if name not in branches:
            raise answers.invalid("PullRequest", field, "invalid")
    if branches[head] == branches[target]:
        message = f"No commits between {target} and {head}"
        raise answers.invalid("PullRequest", "base", "custom", message)
    for other in repository.issues.values():
        part = other.pull
        if part is not None and other.state == "open" and part.head == head:
            message = f"A pull request already exists for {repository.owner.login}:{head}."
            raise answers.invalid("PullRequest", "base", "custom", message)
    made = asked.state.add_pull(
        repository,
        title,
        by=author,
        head=head,
        target=target,
        body=body,
        draft=bool(fields.get("draft", False)),
    )
    shape = asked.shapes.full_pull(repository, made, author)
    return Answer(201, shape, {"Location": str(shape["url"])})


def list_reviews(asked: Asked) -> Answer:
    issue, part = _pull(asked)
    return page_of(
        asked,
        part.reviews,
        lambda one: review_shapes.review(asked.shapes, asked.repository, issue, one),
    )


def list_review_comments(asked: Asked) -> Answer:
    """Oldest first unless the query says else; `direction` counts only beside `sort`."""
    issue, part = _pull(asked)
    since, order = asked.since(), asked.choice("sort", "created", "updated")
    found = [one for one in part.review_comments if since is None or one.updated_at >= since]
    newest_first = "sort" in asked.query and asked.choice("direction", "desc", "asc") == "desc"
    found.sort(
        key=lambda one: (one.updated_at if order == "updated" else one.created_at, one.id),
        reverse=newest_first,
    )
    return page_of(
        asked,
        found,
        lambda one: review_shapes.review_comment(asked.shapes, asked.repository, issue, one),
    )


def create_review_comment(asked: Asked) -> Answer:
    """On a line, or with `in_reply_to` in the thread that a comment began."""
    issue, part = _pull(asked)
    refuse_archived(asked.repository)
    body, fields = asked.written_body("PullRequestReviewComment"), asked.fields()
    first: ReviewComment | None = None
    if "in_reply_to" in fields:
        first = next((one for one in part.review_comments if one.id == fields["in_reply_to"]), None)
        if first is None or first.reply_to is not None:
            raise answers.invalid("PullRequestReviewComment", "in_reply_to", "invalid")
    elif fields.get("commit_id") != part.head_sha:
        raise answers.invalid("PullRequestReviewComment", "commit_id", "invalid")
    line = fields.get("line", 1)
    made = asked.state.add_review_comment(
        issue,
        body,
        by=asked.author,
        path=str(fields.get("path", "")),
        line=line if isinstance(line, int) else 1,
        reply_to=first,
    )
    shape = review_shapes.review_comment(asked.shapes, asked.repository, issue, made)
    return Answer(201, shape, {"Location": str(shape["url"])})


def get_review_comment(asked: Asked) -> Answer:
    issue, comment = _comment(asked)
    shape = review_shapes.review_comment(asked.shapes, asked.repository, issue, comment)
    return Answer(200, shape)


def update_review_comment(asked: Asked) -> Answer:
    issue, comment = _comment(asked)
    if comment.author is not asked.author and not asked.repository.allows(asked.author, "write"):
        raise answers.forbidden("Must have admin rights to Repository.")
    body = asked.written_body("PullRequestReviewComment")
    asked.state.edit_review_comment(issue, comment, body, by=asked.author)
    shape = review_shapes.review_comment(asked.shapes, asked.repository, issue, comment)
    return Answer(200, shape)


def react_to_review_comment(asked: Asked) -> Answer:
    return react(asked, _comment(asked)[1])


def list_review_comment_reactions(asked: Asked) -> Answer:
    return list_reactions(asked, _comment(asked)[1])


def _pull(asked: Asked) -> tuple[Issue, PullPart]:
    issue = asked.pull()
    if issue.pull is None:
        raise answers.not_found()
    return issue, issue.pull


def _comment(asked: Asked) -> tuple[Issue, ReviewComment]:
    wanted = int(asked.parts["comment_id"])
    for issue in asked.repository.issues.values():
        for comment in issue.pull.review_comments if issue.pull is not None else ():
            if comment.id == wanted:
                return issue, comment
    raise answers.not_found()


_REPO = "/repos/{owner}/{repo}"
_PULL = f"{_REPO}/pulls/{{pull_number}}"
_COMMENT = f"{_REPO}/pulls/comments/{{comment_id}}"
_PULLS = ("pull_requests",)

REVIEW_ROUTES: tuple[Route, ...] = (
    Route("POST", f"{_REPO}/pulls", _PULLS, "write", create_pull),
    Route("GET", f"{_PULL}/reviews", _PULLS, "read", list_reviews),
    Route("GET", f"{_PULL}/comments", _PULLS, "read", list_review_comments),
    Route("POST", f"{_PULL}/comments", _PULLS, "write", create_review_comment),
    Route("GET", _COMMENT, _PULLS, "read", get_review_comment),
    Route("PATCH", _COMMENT, _PULLS, "write", update_review_comment),
    Route("GET", f"{_COMMENT}/reactions", _PULLS, "read", list_review_comment_reactions),
    Route("POST", f"{_COMMENT}/reactions", _PULLS, "write", react_to_review_comment),
)
