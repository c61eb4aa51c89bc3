"""Pull requests: read, compared with their target, and opened as drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.exchange import (
    CLOCK_MARGIN,
    LARGEST_PAGE,
    PAGE_SIZE,
    Exchange,
    Query,
    each,
    in_repo,
    signed,
    turn,
)
from openloop.integrations.github.marker import key_of
from openloop.integrations.github.names import checked_number, checked_ref
from openloop.integrations.github.resources import Page, Pull, PullFile

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.requests.issues import State

DIFF = "application/vnd.github.diff"


class Pulls(Exchange):
    """Pull requests."""

    async def list_pulls(
        self,
        repo: RepoName,
        *,
        state: State = "open",
        head: str | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Pull]:
        """Newest first; `head` is a branch of this repository."""
        query: Query = {"state": state, "sort": "created", "direction": "desc"}
        if head is not None:
            query["head"] = f"{repo.owner}:{checked_ref(head)}"
        return await self.read_page(Pull, in_repo(repo, "pulls"), query | turn(page, page_size))

    async def get_pull(self, repo: RepoName, number: int) -> Pull:
        return await self.read(Pull, in_repo(repo, "pulls", checked_number(number)))

    async def list_pull_files(
        self, repo: RepoName, number: int, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[PullFile]:
        endpoint = in_repo(repo, "pulls", checked_number(number), "files")
        return await self.read_page(PullFile, endpoint, turn(page, page_size))

    async def get_pull_diff(self, repo: RepoName, number: int) -> str:
        """The whole change as a unified diff; GitHub refuses very large ones."""
        return await self.read_text(in_repo(repo, "pulls", checked_number(number)), accept=DIFF)

    async def create_draft_pull(
        self, repo: RepoName, *, title: str, body: str, head: str, target: str, key: str
    ) -> Pull:
        """Propose to merge one branch of a repository into another, as a draft.

        `find_pull_by_marker` finds it by `key`. A head in another repository is no branch here.
        """
        content: dict[str, object] = {
            "title": title,
            "body": signed(body, key),
            "head": checked_ref(head),
            "base": checked_ref(target),
            "draft": True,
        }
        return await self.write(Pull, in_repo(repo, "pulls"), content)

    async def find_pull_by_marker(
        self, repo: RepoName, key: str, *, head: str, since: datetime
    ) -> Pull | None:
        """The pull request that our account opened from this branch with this key.

        None is no proof that there is none: GitHub's lists may lag behind its writes.
        """
        me = await self.me(repo)
        earliest = since - CLOCK_MARGIN

        async def turn_to(page: int) -> Page[Pull]:
            return await self.list_pulls(
                repo, state="all", head=head, page=page, page_size=LARGEST_PAGE
            )

        async for pull in each(turn_to):
            if pull.author.id == me.id and pull.created_at >= earliest and key_of(pull.body) == key:
                return pull
        return None
