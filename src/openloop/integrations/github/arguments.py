"""The arguments of calls: what their schemas say, and how they are read. All have passed a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from openloop.integrations.github.names import (
    HIGHEST_ID,
    HIGHEST_NUMBER,
    PATH_LIMIT,
    PATTERN,
    REF_PATTERN,
    RepoName,
)

if TYPE_CHECKING:
    from openloop.domain.tool import Arguments

State = Literal["open", "closed", "all"]

_LABEL: dict[str, object] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 50,
    "pattern": "^[^,]+$",
}
_REF: dict[str, object] = {"type": "string", "pattern": REF_PATTERN, "maxLength": 255}
_BODY: dict[str, object] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 60_000,  # GitHub takes 65,536, and our mark goes below
    "description": "Markdown.",
}

PARAMETERS: dict[str, dict[str, object]] = {
    "repo": {
        "type": "string",
        "pattern": PATTERN,
        "description": "The repository, as owner/name.",
    },
    "number": {"type": "integer", "minimum": 1, "maximum": HIGHEST_NUMBER},
    "state": {
        "type": "string",
        "enum": ["open", "closed", "all"],
        "description": "open, if not given.",
    },
    "new_state": {"type": "string", "enum": ["open", "closed"]},
    "page": {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "The next_page of an earlier answer.",
    },
    "title": {"type": "string", "minLength": 1, "maxLength": 256},
    "body": _BODY,
    "labels": {"type": "array", "items": _LABEL, "maxItems": 20},
    "new_labels": {"type": "array", "items": _LABEL, "minItems": 1, "maxItems": 20},
    "label": _LABEL,
    "assignees": {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 39},
        "maxItems": 10,
        "description": "Logins; they take the place of all there are.",
    },
    "comment_id": {"type": "integer", "minimum": 1, "maximum": HIGHEST_ID},
    "run_id": {"type": "integer", "minimum": 1, "maximum": HIGHEST_ID},
    "ref": _REF | {"description": "A branch, tag or commit; the default branch, if not given."},
    "commit": _REF | {"description": "A branch, tag or commit."},
    "older": _REF,
    "newer": _REF,
    "from_branch": _REF | {"description": "A branch of this repository."},
    "into_branch": _REF,
    "path": {"type": "string", "minLength": 1, "maxLength": PATH_LIMIT},
    "folder": {
        "type": "string",
        "maxLength": PATH_LIMIT,
        "description": "The root, if not given.",
    },
    "from_line": {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000_000,
        "description": "The next_line of an earlier answer.",
    },
    "words": {"type": "string", "minLength": 1, "maxLength": 200},
    "status": {
        "type": "string",
        "enum": ["success", "failure", "cancelled", "timed_out", "in_progress", "queued"],
    },
}
"""Each by a name of its own; where a tool calls it otherwise, it says `name=key`."""


def schema(parameters: str) -> dict[str, object]:
    """A JSON Schema for names of `PARAMETERS`: `repo number page?`, `?` for what may be left out."""
    properties: dict[str, object] = {}
    required: list[str] = []
    for word in parameters.split():
        name, _, key = word.removesuffix("?").partition("=")
        properties[name] = PARAMETERS[key or name]
        if not word.endswith("?"):
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def repo_of(arguments: Arguments) -> RepoName:
    """The repository that a call is about.

    Raises:
        InvalidName
    """
    return RepoName.parse(text_of(arguments, "repo"))


def text_of(arguments: Arguments, name: str) -> str:
    return cast("str", arguments[name])


def text_or_none(arguments: Arguments, name: str) -> str | None:
    return cast("str | None", arguments.get(name))


def texts_of(arguments: Arguments, name: str) -> list[str]:
    return cast("list[str]", arguments.get(name, []))


def number_of(arguments: Arguments, name: str = "number") -> int:
    return cast("int", arguments[name])


def page_of(arguments: Arguments) -> int:
    return int(cast("int", arguments.get("page", 1)))


def line_of(arguments: Arguments) -> int:
    return int(cast("int", arguments.get("from_line", 1)))


def state_of(arguments: Arguments) -> State:
    return cast("State", arguments.get("state", "open"))
