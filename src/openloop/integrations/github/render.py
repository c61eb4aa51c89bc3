"""How calls are shown to people, and how what was read is shown to a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from openloop.domain.surface import Card, Field
from openloop.integrations.github.marker import unmarked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openloop.domain.tool import Arguments
    from openloop.integrations.github.resources import Comment, Issue, Pull, PullFile

Shown = dict[str, object]

WHOLE_TEXT = 20_000
TEXT_IN_A_LIST = 2_000

_LABELS = {
    "repo": "Repository",
    "number": "Number",
    "title": "Title",
    "labels": "Labels",
    "state": "State",
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
        **_text("body", unmarked(issue.body), limit),
    }


def shown_comment(comment: Comment) -> Shown:
    """A comment as a model reads it."""
    return {
        "author": comment.author.login,
        "created_at": comment.created_at.isoformat(),
        "link": comment.link,
        **_text("body", unmarked(comment.body), TEXT_IN_A_LIST),
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
        **{name: figure for name, figure in figures.items() if figure is not None},
        **_text("body", unmarked(pull.body), limit),
    }


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
    return shown if file.patch is None else shown | _text("patch", file.patch, TEXT_IN_A_LIST)


def shown_page(name: str, items: Sequence[Shown], next_page: int | None) -> Shown:
    """One page of a list, and how to turn it."""
    shown: Shown = {name: list(items)}
    return shown if next_page is None else shown | {"next_page": next_page}


def clean(text: str) -> str:
    """The text without control characters: no terminal reads it as commands."""
    return _CONTROL.sub("", text)


def _text(name: str, text: str, limit: int) -> Shown:
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
