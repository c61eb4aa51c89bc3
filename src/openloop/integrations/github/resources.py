"""What we read of GitHub's answers: only the fields that are used, and nothing else is required.

Each is made from JSON by `read`; GitHub's name of a field stands beside it where ours differs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Generic, Literal, TypeVar, cast

from pydantic import AliasPath, BeforeValidator, Field, TypeAdapter

T = TypeVar("T")


def _label_names(labels: object) -> object:
    """GitHub writes a label as a string or as an object."""
    if not isinstance(labels, list):
        return labels
    each = cast("list[object]", labels)
    return [
        cast("dict[str, object]", one).get("name") if isinstance(one, dict) else one for one in each
    ]


def _login(user: object) -> object:
    """The author; null stands for a deleted account."""
    return {"id": 0, "login": "ghost"} if user is None else user


def _is_given(pull: object) -> bool:
    return pull is not None


Link = Annotated[str, Field(validation_alias="html_url")]
Labels = Annotated[tuple[str, ...], BeforeValidator(_label_names)]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account; only `id` is stable."""

    id: int
    login: str


Author = Annotated[User, Field(validation_alias="user"), BeforeValidator(_login)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository as our token sees it."""

    full_name: str
    private: bool
    default_branch: str
    has_issues: bool
    archived: bool
    link: Link
    visibility: Literal["public", "private", "internal"] | None = None

    @property
    def visible_to(self) -> Literal["public", "private", "internal"]:
        """Who can read it; servers of some age say no more than `private`."""
        return self.visibility or ("private" if self.private else "public")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What somebody may do in a repository: admin, write, read or none."""

    permission: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue; GitHub lists pull requests among them, and `is_pull` tells."""

    number: int
    title: str
    state: str
    author: Author
    created_at: datetime
    updated_at: datetime
    link: Link
    comments: int
    body: str | None = None
    labels: Labels = ()
    assignees: tuple[User, ...] = ()
    is_pull: Annotated[bool, Field(validation_alias="pull_request"), BeforeValidator(_is_given)] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment in the conversation of an issue or pull request."""

    id: int
    author: Author
    created_at: datetime
    updated_at: datetime
    link: Link
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request. The figures are None in a list, where GitHub does not give them."""

    number: int
    title: str
    state: str
    author: Author
    created_at: datetime
    updated_at: datetime
    link: Link
    head: Annotated[str, Field(validation_alias=AliasPath("head", "ref"))]
    target: Annotated[str, Field(validation_alias=AliasPath("base", "ref"))]
    body: str | None = None
    labels: Labels = ()
    draft: bool = False
    merged_at: datetime | None = None
    mergeable: bool | None = None
    additions: int | None = None
    deletions: int | None = None
    changed_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullFile:
    """A file of a pull request; `patch` is None for binary and very large ones."""

    filename: str
    status: str
    additions: int
    deletions: int
    patch: str | None = None
    previous_filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list, and the number of the next one where there is one."""

    items: tuple[T, ...]
    next_page: int | None


@cache
def reader(kind: type[T]) -> Callable[[bytes], T]:
    """How to make a `kind` of JSON; raises `pydantic.ValidationError`. Built when first used."""
    return TypeAdapter(kind).validate_json
