"""Comments in the conversation of an issue or pull request, and reactions to what people wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from openloop.integrations.github.exchange import (
    CLOCK_MARGIN,
    LARGEST_PAGE,
    PAGE_SIZE,
    Exchange,
    each,
    in_repo,
    signed,
    since_query,
    turn,
)
from openloop.integrations.github.marker import key_of
from openloop.integrations.github.names import checked_id, checked_number
from openloop.integrations.github.resources import Comment, Page, Reaction

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.integrations.github.exchange import Endpoint
    from openloop.integrations.github.names import RepoName

Sign = Literal["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"]


class Comments(Exchange):
    """The conversation below an issue; a pull request has the same, beside its reviews."""

    async def list_comments(
        self,
        repo: RepoName,
        number: int,
        *,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Comment]:
        """Oldest first; `since` is compared with the last update."""
        endpoint = in_repo(repo, "issues", checked_number(number), "comments")
        return await self.read_page(Comment, endpoint, since_query(since) | turn(page, page_size))

    async def get_comment(self, repo: RepoName, comment_id: int) -> Comment:
        return await self.read(Comment, in_repo(repo, "issues", "comments", checked_id(comment_id)))

    async def create_comment(self, repo: RepoName, number: int, *, body: str, key: str) -> Comment:
        """Comment on an issue or pull request; `find_comment_by_marker` finds it by `key`."""
        endpoint = in_repo(repo, "issues", checked_number(number), "comments")
        return await self.write(Comment, endpoint, {"body": signed(body, key)})

    async def update_comment(
        self, repo: RepoName, comment_id: int, *, body: str, key: str, is_progress: bool = False
    ) -> Comment:
        """Put another body in the place of a comment's; the same edit may be made again.

        A progress report gives way: it is refused sooner where much is written.
        """
        endpoint = in_repo(repo, "issues", "comments", checked_id(comment_id))
        content = {"body": signed(body, key)}
        return await self.write(Comment, endpoint, content, method="PATCH", is_progress=is_progress)

    async def find_comment_by_marker(
        self, repo: RepoName, number: int, key: str, *, since: datetime
    ) -> Comment | None:
        """The comment that our account made with this key, not before `since`.

        None is no proof that there is none: GitHub's lists may lag behind its writes.
        """
        me = await self.me(repo)
        earliest = since - CLOCK_MARGIN

        async def turn_to(page: int) -> Page[Comment]:
            return await self.list_comments(
                repo, number, since=earliest, page=page, page_size=LARGEST_PAGE
            )

        async for comment in each(turn_to):
            if (
                comment.author.id == me.id
                and comment.created_at >= earliest
                and key_of(comment.body) == key
            ):
                return comment
        return None

    async def react_to_issue(self, repo: RepoName, number: int, sign: Sign) -> Reaction:
        """React to the text of an issue or pull request; a second time changes nothing."""
        return await self._react(in_repo(repo, "issues", checked_number(number), "reactions"), sign)

    async def react_to_comment(self, repo: RepoName, comment_id: int, sign: Sign) -> Reaction:
        """React to a comment of the conversation; a second time changes nothing."""
        path = in_repo(repo, "issues", "comments", checked_id(comment_id), "reactions")
        return await self._react(path, sign)

    async def react_to_review_comment(
        self, repo: RepoName, comment_id: int, sign: Sign
    ) -> Reaction:
        """React to a comment on a line of a pull request; a second time changes nothing."""
        path = in_repo(repo, "pulls", "comments", checked_id(comment_id), "reactions")
        return await self._react(path, sign)

    async def _react(self, endpoint: Endpoint, sign: Sign) -> Reaction:
        return await self.write(Reaction, endpoint, {"content": sign})
