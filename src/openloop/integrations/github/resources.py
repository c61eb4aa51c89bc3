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
from pydantic_core import from_json

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


def _repo_of(branch: object) -> object:
    """The repository of a branch by name; None where it was deleted."""
    repo = cast("dict[str, object]", branch).get("repo") if isinstance(branch, dict) else branch
    return cast("dict[str, object]", repo).get("full_name") if isinstance(repo, dict) else None


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
    """What somebody may do in a repository: admin, write, read or none.

    `role_name` is finer (triage, maintain, or one that an organisation made up); `user` says whom
    GitHub took the login for.
    """

    permission: str
    role_name: str = ""
    user: User | None = None


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
    locked: bool = False
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
    """A pull request. The figures are None in a list, where GitHub does not give them.

    `head_repo` is another repository than the pull's own for one from a fork, None for one whose
    fork is gone.
    """

    number: int
    title: str
    state: str
    author: Author
    created_at: datetime
    updated_at: datetime
    link: Link
    head: Annotated[str, Field(validation_alias=AliasPath("head", "ref"))]
    target: Annotated[str, Field(validation_alias=AliasPath("base", "ref"))]
    head_sha: Annotated[str, Field(validation_alias=AliasPath("head", "sha"))] = ""
    target_sha: Annotated[str, Field(validation_alias=AliasPath("base", "sha"))] = ""
    head_repo: Annotated[str | None, Field(validation_alias="head"), BeforeValidator(_repo_of)] = (
        None
    )
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
class Label:
    """A label of a repository."""

    name: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A sign that somebody left below a text."""

    id: int
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review of a pull request; one that is still being written has no `submitted_at`."""

    id: int
    author: Author
    state: str
    link: Link
    body: str = ""
    submitted_at: datetime | None = None
    commit_sha: Annotated[str | None, Field(validation_alias="commit_id")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewComment:
    """A comment on a line of a pull request; `reply_to` is the one that began its thread."""

    id: int
    author: Author
    body: str
    path: str
    created_at: datetime
    updated_at: datetime
    link: Link
    pull_url: Annotated[str, Field(validation_alias="pull_request_url")]
    commit_sha: Annotated[str, Field(validation_alias="commit_id")]
    reply_to: Annotated[int | None, Field(validation_alias="in_reply_to_id")] = None
    line: int | None = None
    diff_hunk: str = ""

    @property
    def pull_number(self) -> int:
        """The pull request it belongs to; 0 where GitHub's address of it cannot be read."""
        last = self.pull_url.rpartition("/")[2]
        return int(last) if last.isdecimal() and len(last) < 11 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list, and the number of the next one where there is one.

    `unreadable` counts the entries that are left out, since each alone is larger than we read.
    """

    items: tuple[T, ...]
    next_page: int | None
    unreadable: int = 0


@cache
def reader(kind: type[T]) -> Callable[[bytes], T]:
    """How to make a `kind` of JSON; raises `pydantic.ValidationError`. Built when first used."""
    return TypeAdapter(kind).validate_json


@cache
def reader_below(name: str, kind: type[T]) -> Callable[[bytes], T]:
    """The same for a `kind` that stands under one name of an object; what is beside it is left."""
    adapter = TypeAdapter(kind)

    def read(body: bytes) -> T:
        found: object = from_json(body)
        below = cast("dict[str, object]", found).get(name) if isinstance(found, dict) else None
        return adapter.validate_python(below)

    return read
