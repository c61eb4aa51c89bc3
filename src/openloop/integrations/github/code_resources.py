"""What we read of commits, files and search: only the fields that are used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasPath, BeforeValidator, Field

from openloop.integrations.github.resources import Link, PullFile


def _login(user: object) -> object:
    """GitHub knows the account of some commits; for others it says null or {}."""
    return user.get("login") if isinstance(user, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit. `files` and the figures are there only where one commit was asked for."""

    sha: str
    link: Link
    message: Annotated[str, Field(validation_alias=AliasPath("commit", "message"))]
    author_name: Annotated[
        str | None, Field(validation_alias=AliasPath("commit", "author", "name"))
    ] = None
    authored_at: Annotated[
        datetime | None, Field(validation_alias=AliasPath("commit", "author", "date"))
    ] = None
    committed_at: Annotated[
        datetime | None, Field(validation_alias=AliasPath("commit", "committer", "date"))
    ] = None
    author: Annotated[str | None, BeforeValidator(_login)] = None
    additions: Annotated[int | None, Field(validation_alias=AliasPath("stats", "additions"))] = None
    deletions: Annotated[int | None, Field(validation_alias=AliasPath("stats", "deletions"))] = None
    files: tuple[PullFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What lies between two commits; GitHub gives at most 300 files."""

    status: Literal["diverged", "ahead", "behind", "identical"]
    ahead_by: int
    behind_by: int
    total_commits: int
    link: Link
    commits: tuple[Commit, ...] = ()
    files: tuple[PullFile, ...] = ()
    merge_base: Annotated[
        str | None, Field(validation_alias=AliasPath("merge_base_commit", "sha"))
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file or folder; `text` is base64, empty where GitHub does not give it (over 1 MB)."""

    type: str
    path: str
    sha: str
    size: int = 0
    link: Annotated[str | None, Field(validation_alias="html_url")] = None
    encoding: str = ""
    text: Annotated[str, Field(validation_alias="content")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """A path in a tree: a file (`blob`), a folder (`tree`) or another repository (`commit`)."""

    path: str
    type: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What is below a commit; `is_cut` where GitHub left some out."""

    sha: str
    entries: Annotated[tuple[TreeEntry, ...], Field(validation_alias="tree")]
    is_cut: Annotated[bool, Field(validation_alias="truncated")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundIssue:
    """An issue in GitHub's search index."""

    number: int
    title: str
    state: str
    link: Link
    repository_url: str
    created_at: datetime
    updated_at: datetime
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Where a search found its words."""

    fragment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file in GitHub's search index."""

    path: str
    sha: str
    link: Link
    repository: Annotated[str, Field(validation_alias=AliasPath("repository", "full_name"))]
    matches: Annotated[tuple[Fragment, ...], Field(validation_alias="text_matches")] = ()
