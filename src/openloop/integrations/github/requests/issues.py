"""Issues: read, opened, changed, and found again by their mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from openloop.integrations.github.exchange import (
    CLOCK_MARGIN,
    LARGEST_PAGE,
    PAGE_SIZE,
    Exchange,
    Query,
    each,
    in_repo,
    signed,
    since_query,
    turn,
)
from openloop.integrations.github.marker import key_of
from openloop.integrations.github.names import checked_number
from openloop.integrations.github.resources import Issue, Page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from openloop.integrations.github.names import RepoName

State = Literal["open", "closed", "all"]


class Issues(Exchange):
    """Issues; GitHub counts pull requests among them."""

    async def get_issue(self, repo: RepoName, number: int) -> Issue:
        """The issue - or the pull request, which GitHub counts as one."""
        return await self.read(Issue, in_repo(repo, "issues", checked_number(number)))

    async def list_issues(
        self,
        repo: RepoName,
        *,
        state: State = "open",
        labels: Sequence[str] = (),
        creator: str | None = None,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Issue]:
        """Newest first, pull requests among them; `since` is compared with the last update."""
        query: Query = {"state": state, "sort": "created", "direction": "desc"}
        if labels:
            query["labels"] = ",".join(labels)
        if creator is not None:
            query["creator"] = creator
        query |= since_query(since) | turn(page, page_size)
        return await self.read_page(Issue, in_repo(repo, "issues"), query)

    async def create_issue(
        self, repo: RepoName, *, title: str, body: str, labels: Sequence[str] = (), key: str
    ) -> Issue:
        """Open an issue that `find_issue_by_marker` finds by `key`.

        Where our account may not write to the repository, GitHub leaves the labels out.
        """
        content: dict[str, object] = {"title": title, "body": signed(body, key)}
        if labels:
            content["labels"] = list(labels)
        return await self.write(Issue, in_repo(repo, "issues"), content)

    async def update_issue(
        self,
        repo: RepoName,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
        assignees: Sequence[str] | None = None,
    ) -> Issue:
        """Change what is given and leave the rest. `assignees` takes the place of all there are.

        Where our account may not write to the repository, GitHub leaves the assignees out.
        """
        wanted = {"title": title, "body": body, "state": state}
        content: dict[str, object] = {
            name: text for name, text in wanted.items() if text is not None
        }
        if assignees is not None:
            content["assignees"] = list(assignees)
        endpoint = in_repo(repo, "issues", checked_number(number))
        return await self.write(Issue, endpoint, content, method="PATCH")

    async def find_issue_by_marker(
        self, repo: RepoName, key: str, *, since: datetime
    ) -> Issue | None:
        """The issue that our account opened with this key, not before `since`.

        None is no proof that there is none: GitHub's lists may lag behind its writes.
        """
        me = await self.me(repo)
        earliest = since - CLOCK_MARGIN
        # GitHub does not say how an App's bot is to be named as a creator.
        creator = me.login if self.credentials.login is None else None

        async def turn_to(page: int) -> Page[Issue]:
            return await self.list_issues(
                repo,
                state="all",
                creator=creator,
                since=earliest,
                page=page,
                page_size=LARGEST_PAGE,
            )

        async for issue in each(turn_to):
            if (
                issue.author.id == me.id
                and issue.created_at >= earliest
                and key_of(issue.body) == key
            ):
                return issue
        return None
