"""Commits: their history, one of them, and what lies between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.code_resources import Commit, Comparison
from openloop.integrations.github.exchange import (
    PAGE_SIZE,
    Exchange,
    Query,
    in_repo,
    since_query,
    turn,
)
from openloop.integrations.github.names import checked_path, checked_ref
from openloop.integrations.github.resources import Page, Pull

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.integrations.github.names import RepoName


class Commits(Exchange):
    """The history of a repository."""

    async def list_commits(
        self,
        repo: RepoName,
        *,
        ref: str | None = None,
        path: str | None = None,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Commit]:
        """Newest first, from a branch or commit on; `path` leaves those that touch it."""
        query: Query = since_query(since) | turn(page, page_size)
        if ref is not None:
            query["sha"] = checked_ref(ref)
        if path is not None:
            query["path"] = "/".join(checked_path(path))
        return await self.read_page(Commit, in_repo(repo, "commits"), query)

    async def get_commit(self, repo: RepoName, ref: str, *, page: int = 1) -> Commit:
        """One commit with a page of the files that it changes."""
        endpoint = in_repo(repo, "commits", checked_ref(ref))
        return await self.read(Commit, endpoint, turn(page, PAGE_SIZE))

    async def compare(self, repo: RepoName, older: str, newer: str, *, page: int = 1) -> Comparison:
        """What `newer` has that `older` has not: a page of commits, and beside the first the files."""
        between = f"{checked_ref(older)}...{checked_ref(newer)}"
        return await self.read(Comparison, in_repo(repo, "compare", between), turn(page, PAGE_SIZE))

    async def list_pulls_of(self, repo: RepoName, sha: str) -> Page[Pull]:
        """The pull requests that brought a commit, or would."""
        endpoint = in_repo(repo, "commits", checked_ref(sha), "pulls")
        return await self.read_page(Pull, endpoint, turn(1, PAGE_SIZE))
