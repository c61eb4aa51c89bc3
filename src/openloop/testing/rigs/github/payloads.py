"""What GitHub writes into a webhook: the things an event is about, as its API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.testing.rigs.github import ci_shapes, review_shapes
from openloop.testing.rigs.github.shapes import Json, Shapes

if TYPE_CHECKING:
    from openloop.testing.rigs.github.happened import Happened


def payload_of(happened: Happened, api_url: str) -> Json:
    """The body of a delivery."""
    shapes, repository = Shapes(api_url), happened.repository
    payload: Json = {
        "action": happened.action,
        "repository": shapes.full_repository(repository, None),
        "sender": shapes.user(happened.sender),
    }
    issue = happened.issue
    if issue is not None:
        name = "pull_request" if happened.event.startswith("pull_request") else "issue"
        pull = name == "pull_request"
        payload[name] = (
            shapes.full_pull(repository, issue, None) if pull else shapes.issue(repository, issue)
        )
    if happened.comment is not None and issue is not None:
        payload["comment"] = shapes.comment(repository, issue, happened.comment)
    if happened.review is not None and issue is not None:
        payload["review"] = review_shapes.review(shapes, repository, issue, happened.review)
    if happened.review_comment is not None and issue is not None:
        payload["comment"] = review_shapes.review_comment(
            shapes, repository, issue, happened.review_comment
        )
    if happened.label is not None:
        payload["label"] = shapes.label(repository, happened.label)
    if happened.assignee is not None:
        payload["assignee"] = shapes.user(happened.assignee)
    if happened.before is not None:
        payload["changes"] = {"body": {"from": happened.before}}
    return payload | _checks(happened, shapes)


def _checks(happened: Happened, shapes: Shapes) -> Json:
    repository, found = happened.repository, Json()
    if happened.event == "check_suite" and happened.suite is not None:
        commit = repository.history.commits[happened.suite.head_sha]
        found["check_suite"] = ci_shapes.check_suite(shapes, repository, happened.suite, commit)
    if happened.event == "workflow_run" and happened.run is not None:
        found["workflow_run"] = ci_shapes.actions_run(shapes, repository, happened.run)
    if happened.event == "check_run" and happened.check is not None:
        found["check_run"] = ci_shapes.check_run(shapes, repository, happened.check)
        if happened.requested is not None:
            found["requested_action"] = {"identifier": happened.requested}
    return found
