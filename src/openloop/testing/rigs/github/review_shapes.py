"""How GitHub writes reviews and comments on lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.rigs.github.shapes import HTML_URL, association, node_id, written

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import Issue, Repository, Review, ReviewComment
    from openloop.testing.rigs.github.shapes import Json, Shapes


def review(shapes: Shapes, repository: Repository, issue: Issue, one: Review) -> Json:
    """`pull-request-review`."""
    page = f"{HTML_URL}/{repository.full_name}/pull/{issue.number}"
    pull_url = f"{shapes.api_url}/repos/{repository.full_name}/pulls/{issue.number}"
    html_url = f"{page}#pullrequestreview-{one.id}"
    return {
        "id": one.id,
        "node_id": node_id("PullRequestReview", one.id),
        "user": shapes.user(one.author),
        "body": one.body,
        "state": one.state,
        "html_url": html_url,
        "pull_request_url": pull_url,
        "_links": {"html": {"href": html_url}, "pull_request": {"href": pull_url}},
        "submitted_at": written(one.submitted_at),
        "commit_id": one.commit_sha,
        "author_association": association(repository, one.author),
    }


def review_comment(
    shapes: Shapes, repository: Repository, issue: Issue, one: ReviewComment
) -> Json:
    """`pull-request-review-comment`."""
    pulls_url = f"{shapes.api_url}/repos/{repository.full_name}/pulls"
    url, pull_url = f"{pulls_url}/comments/{one.id}", f"{pulls_url}/{issue.number}"
    html_url = f"{HTML_URL}/{repository.full_name}/pull/{issue.number}#discussion_r{one.id}"
    links = {"self": url, "html": html_url, "pull_request": pull_url}
    shape: Json = {
        "url": url,
        "pull_request_review_id": one.review_id,
        "id": one.id,
        "node_id": node_id("PullRequestReviewComment", one.id),
        "diff_hunk": one.diff_hunk,
        "path": one.path,
        "commit_id": one.commit_sha,
        "original_commit_id": one.commit_sha,
        "user": shapes.user(one.author),
        "body": one.body,
        "created_at": written(one.created_at),
        "updated_at": written(one.updated_at),
        "html_url": html_url,
        "pull_request_url": pull_url,
        "author_association": association(repository, one.author),
        "_links": {name: {"href": link} for name, link in links.items()},
        "start_line": None,
        "original_start_line": None,
        "start_side": None,
        "line": one.line,
        "original_line": one.line,
        "side": "RIGHT",
        "subject_type": "line",
    }
    return shape if one.reply_to is None else shape | {"in_reply_to_id": one.reply_to}
