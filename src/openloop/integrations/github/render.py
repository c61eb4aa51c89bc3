"""How calls are shown to people, and how what was read is shown to a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from openloop.domain.surface import Card, Field
from openloop.integrations.github.marker import unmarked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openloop.domain.tool import Arguments
    from openloop.integrations.github.resources import (
        Comment,
        Issue,
        Pull,
        PullFile,
        Review,
        ReviewComment,
    )

Shown = dict[str, object]

WHOLE_TEXT = 20_000
TEXT_IN_A_LIST = 2_000
HUNK_LIMIT = 600

_LABELS = {
    "repo": "Repository",
    "number": "Number",
    "title": "Title",
    "label": "Label",
    "labels": "Labels",
    "state": "State",
    "assignees": "Assignees",
    "from_branch": "From branch",
    "into_branch": "Into branch",
    "comment_id": "Comment",
    "path": "Path",
    "ref": "At",
    "words": "Words",
    "page": "Page",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def card(title: str) -> Callable[[Arguments], Card]:
    """A renderer that shows every argument: `body` as the body, each other one as a field.

    `title` may name arguments in braces.
    """

    def render(arguments: Arguments) -> Card:
        written = {name: _written(arguments[name]) for name in arguments}
        named = sorted((name for name in written if name != "body"), key=_place)
        return Card(
            title=re.sub(r"\{(\w+)\}", lambda found: written.get(found[1], "?"), title),
            fields=tuple(
                Field(label=_LABELS.get(name, name), value=written[name]) for name in named
            ),
            body=written.get("body", ""),
        )

    return render


def shown_issue(issue: Issue, *, limit: int = WHOLE_TEXT) -> Shown:
    """An issue as a model reads it."""
    return {
        "number": issue.number,
        "title": clean(issue.title),
        "state": issue.state,
        "author": issue.author.login,
        "labels": [clean(name) for name in issue.labels],
        "assignees": [person.login for person in issue.assignees],
        "comments": issue.comments,
        "created_at": issue.created_at.isoformat(),
        "updated_at": issue.updated_at.isoformat(),
        "link": issue.link,
        **cut("body", unmarked(issue.body), limit),
    }


def shown_comment(comment: Comment) -> Shown:
    """A comment as a model reads it."""
    return {
        "author": comment.author.login,
        "created_at": comment.created_at.isoformat(),
        "link": comment.link,
        **cut("body", unmarked(comment.body), TEXT_IN_A_LIST),
    }


def shown_pull(pull: Pull, *, limit: int = WHOLE_TEXT) -> Shown:
    """A pull request as a model reads it; what a list does not tell is left out."""
    figures = {
        "mergeable": pull.mergeable,
        "additions": pull.additions,
        "deletions": pull.deletions,
        "changed_files": pull.changed_files,
        "merged_at": None if pull.merged_at is None else pull.merged_at.isoformat(),
    }
    return {
        "number": pull.number,
        "title": clean(pull.title),
        "state": pull.state,
        "draft": pull.draft,
        "author": pull.author.login,
        "labels": [clean(name) for name in pull.labels],
        "from_branch": clean(pull.head),
        "into_branch": clean(pull.target),
        "created_at": pull.created_at.isoformat(),
        "updated_at": pull.updated_at.isoformat(),
        "link": pull.link,
        **_origin(pull),
        **{name: figure for name, figure in figures.items() if figure is not None},
        **cut("body", unmarked(pull.body), limit),
    }


def _origin(pull: Pull) -> Shown:
    """Where its branch stands, if that is not the repository itself: a fork is anybody's."""
    repo = pull.link.split("/")[-4:-2]
    is_own = pull.head_repo is not None and pull.head_repo.lower().split("/") == [
        part.lower() for part in repo
    ]
    return {} if is_own else {"from_repository": pull.head_repo or "a deleted fork"}


def shown_file(file: PullFile) -> Shown:
    """A changed file as a model reads it."""
    shown: Shown = {
        "filename": clean(file.filename),
        "status": file.status,
        "additions": file.additions,
        "deletions": file.deletions,
    }
    if file.previous_filename is not None:
        shown["previous_filename"] = clean(file.previous_filename)
    return shown if file.patch is None else shown | cut("patch", file.patch, TEXT_IN_A_LIST)


def shown_review(review: Review) -> Shown:
    """A review as a model reads it."""
    shown: Shown = {"author": review.author.login, "state": review.state, "link": review.link}
    if review.submitted_at is not None:
        shown["submitted_at"] = review.submitted_at.isoformat()
    return shown | cut("body", unmarked(review.body), TEXT_IN_A_LIST)


def shown_review_comment(comment: ReviewComment) -> Shown:
    """A comment on a line as a model reads it; `thread` is the one that a reply goes to."""
    return {
        "comment_id": comment.id,
        "thread": comment.reply_to or comment.id,
        "author": comment.author.login,
        "path": clean(comment.path),
        "line": comment.line,
        "created_at": comment.created_at.isoformat(),
        "link": comment.link,
        **cut("body", unmarked(comment.body), TEXT_IN_A_LIST),
        **cut("hunk", comment.diff_hunk, HUNK_LIMIT),
    }


def shown_lines(name: str, text: str, from_line: int) -> Shown:
    """As many whole lines of a long text as fit, from one on, and where to go on."""
    lines = clean(text).split("\n")
    kept: list[str] = []
    room = WHOLE_TEXT
    for line in lines[from_line - 1 :]:
        if kept and len(line) >= room:
            break
        kept.append(line[:WHOLE_TEXT])
        room -= len(line) + 1
    shown: Shown = {name: "\n".join(kept), "from_line": from_line, "lines": len(lines)}
    end = from_line + len(kept)
    return shown | {"next_line": end} if end <= len(lines) else shown


def shown_page(name: str, items: Sequence[Shown], next_page: int | None) -> Shown:
    """One page of a list, and how to turn it."""
    shown: Shown = {name: list(items)}
    return shown if next_page is None else shown | {"next_page": next_page}


def clean(text: str) -> str:
    """The text without control characters: no terminal reads it as commands."""
    return _CONTROL.sub("", text)


def cut(name: str, text: str, limit: int) -> Shown:
    """A text under its name, shortened; beside it how long it is, where it was."""
    whole = clean(text)
    if len(whole) <= limit:
        return {name: whole}
    return {name: whole[:limit], f"{name}_is_cut_from_characters": len(whole)}


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in cast("list[object]", value))
    return str(value)


def _place(name: str) -> tuple[int, str]:
    return ([*_LABELS].index(name) if name in _LABELS else len(_LABELS), name)
