"""What can be changed about an issue and its comments: texts, state, labels, people, reactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import (
    TITLE_LIMIT,
    Asked,
    Route,
    page_of,
    refuse_archived,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.testing.rigs.github.rows import Comment, Issue, ReviewComment, User
    from openloop.testing.rigs.github.shapes import Json

SIGNS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def update_issue(asked: Asked) -> Answer:
    """Each field that is given; who may not write changes only what is their own."""
    repository, author, issue = asked.repository, asked.author, asked.issue()
    refuse_archived(repository)
    may_write = repository.allows(author, "write")
    if not may_write and issue.author is not author:
        raise answers.forbidden("Must have admin rights to Repository.")
    fields = asked.fields()
    title = asked.text("title", resource="Issue", limit=TITLE_LIMIT)
    body = asked.text("body", resource="Issue")
    if title is not None and not title.strip():
        raise answers.invalid("Issue", "title", "missing_field")
    people = logins(asked, fields) if "assignees" in fields else None
    state = fields.get("state", issue.state)
    if state not in {"open", "closed"}:
        raise answers.invalid("Issue", "state", "invalid")
    if title is not None or body is not None:
        asked.state.update_issue(repository, issue, by=author, title=title, body=body)
    if people is not None and may_write:
        asked.state.assign(issue, people, by=author)
    if state != issue.state:
        change = asked.state.close if state == "closed" else asked.state.reopen
        change(issue, by=author)
    return Answer(200, asked.shapes.issue(repository, issue))


def list_labels(asked: Asked) -> Answer:
    repository = asked.repository
    return page_of(
        asked,
        [*repository.labels.values()],
        lambda label: asked.shapes.label(repository, label),
    )


def add_labels(asked: Asked) -> Answer:
    repository, issue = asked.repository, asked.issue()
    refuse_archived(repository)
    if not repository.allows(asked.author, "triage"):
        raise answers.forbidden("Must have push access to repository.")
    for name in label_names(asked.fields()):
        asked.state.set_label(issue, name, by=asked.author)
    return _labels_of(asked, issue)


def remove_label(asked: Asked) -> Answer:
    repository, issue, name = asked.repository, asked.issue(), asked.part("name").lower()
    if not repository.allows(asked.author, "triage"):
        raise answers.forbidden("Must have push access to repository.")
    label = next((one for one in issue.labels if one.name.lower() == name), None)
    if label is None:
        raise answers.Refusal(answers.failure(404, "Label does not exist"))
    asked.state.unset_label(issue, label, by=asked.author)
    return _labels_of(asked, issue)


def get_comment(asked: Asked) -> Answer:
    issue, comment = _comment(asked)
    return Answer(200, asked.shapes.comment(asked.repository, issue, comment))


def update_comment(asked: Asked) -> Answer:
    issue, comment = _comment(asked)
    refuse_archived(asked.repository)
    if comment.author is not asked.author and not asked.repository.allows(asked.author, "write"):
        raise answers.forbidden("Must have admin rights to Repository.")
    body = asked.written_body("IssueComment")
    asked.state.edit_comment(issue, comment, body, by=asked.author)
    return Answer(200, asked.shapes.comment(asked.repository, issue, comment))


def delete_comment(asked: Asked) -> Answer:
    issue, comment = _comment(asked)
    if comment.author is not asked.author and not asked.repository.allows(asked.author, "write"):
        raise answers.forbidden("Must have admin rights to Repository.")
    asked.state.delete_comment(issue, comment, by=asked.author)
    return Answer(204, None)


def react_to_issue(asked: Asked) -> Answer:
    return react(asked, asked.issue())


def react_to_comment(asked: Asked) -> Answer:
    return react(asked, _comment(asked)[1])


def list_issue_reactions(asked: Asked) -> Answer:
    return list_reactions(asked, asked.issue())


def list_comment_reactions(asked: Asked) -> Answer:
    return list_reactions(asked, _comment(asked)[1])


def react(asked: Asked, thing: Issue | Comment | ReviewComment) -> Answer:
    """201 for a new sign, 200 for one that is there."""
    content = asked.fields().get("content")
    if content not in SIGNS:
        raise answers.invalid("Reaction", "content", "invalid")
    reaction, is_new = asked.state.react(thing, str(content), by=asked.author)
    return Answer(201 if is_new else 200, asked.shapes.reaction(reaction))


def list_reactions(asked: Asked, thing: Issue | Comment | ReviewComment) -> Answer:
    wanted = asked.query.get("content")
    found = [one for one in thing.reactions if wanted in {None, one.content}]
    return page_of(asked, found, asked.shapes.reaction)


def label_names(fields: Json) -> list[str]:
    """Labels as GitHub takes them: by name or as objects."""
    names: list[str] = []
    for label in cast("list[object]", fields.get("labels") or []):
        name = cast("Json", label).get("name") if isinstance(label, dict) else label
        if not isinstance(name, str):
            raise answers.invalid("Label", "name", "invalid")
        names.append(name)
    return names


def logins(asked: Asked, fields: Json) -> Sequence[User]:
    """The assignees of the body."""
    users: list[User] = []
    for login in cast("list[object]", fields.get("assignees") or []):
        user = asked.state.users.get(str(login).lower())
        if user is None:
            raise answers.invalid("Issue", "assignees", "invalid")
        users.append(user)
    return users


def _labels_of(asked: Asked, issue: Issue) -> Answer:
    shapes = [asked.shapes.label(asked.repository, label) for label in issue.labels]
    return Answer(200, shapes)


def _comment(asked: Asked) -> tuple[Issue, Comment]:
    wanted = int(asked.parts["comment_id"])
    for issue in asked.repository.issues.values():
        for comment in issue.comments:
            if comment.id == wanted:
                return issue, comment
    raise answers.not_found()


_REPO = "/repos/{owner}/{repo}"
_ISSUE = f"{_REPO}/issues/{{issue_number}}"
_COMMENT = f"{_REPO}/issues/comments/{{comment_id}}"
_ISSUES, _BOTH = ("issues",), ("issues", "pull_requests")

THREAD_ROUTES: tuple[Route, ...] = (
    Route("PATCH", _ISSUE, _BOTH, "write", update_issue),
    Route("GET", f"{_REPO}/labels", _BOTH, "read", list_labels),
    Route("POST", f"{_ISSUE}/labels", _BOTH, "write", add_labels),
    Route("DELETE", f"{_ISSUE}/labels/{{name}}", _BOTH, "write", remove_label),
    Route("GET", _COMMENT, _BOTH, "read", get_comment),
    Route("PATCH", _COMMENT, _BOTH, "write", update_comment),
    Route("DELETE", _COMMENT, _BOTH, "write", delete_comment),
    Route("GET", f"{_ISSUE}/reactions", _ISSUES, "read", list_issue_reactions),
    Route("POST", f"{_ISSUE}/reactions", _BOTH, "write", react_to_issue),
    Route("GET", f"{_COMMENT}/reactions", _BOTH, "read", list_comment_reactions),
    Route("POST", f"{_COMMENT}/reactions", _BOTH, "write", react_to_comment),
)
