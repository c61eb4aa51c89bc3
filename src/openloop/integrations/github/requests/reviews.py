"""Reviews of pull requests, and the threads on their lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.errors import NotFound
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
from openloop.integrations.github.names import checked_id, checked_number
from openloop.integrations.github.resources import Page, Review, ReviewComment

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.integrations.github.names import RepoName


class Reviews(Exchange):
    """What people said of a pull request as reviewers."""

    async def list_reviews(
        self, repo: RepoName, number: int, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[Review]:
        """Oldest first."""
        endpoint = in_repo(repo, "pulls", checked_number(number), "reviews")
        return await self.read_page(Review, endpoint, turn(page, page_size))

    async def list_review_comments(
        self,
        repo: RepoName,
        number: int,
        *,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[ReviewComment]:
        """Oldest first, replies among the rest."""
        endpoint = in_repo(repo, "pulls", checked_number(number), "comments")
        query: Query = {"sort": "created", "direction": "asc"}
        query |= since_query(since) | turn(page, page_size)
        return await self.read_page(ReviewComment, endpoint, query)

    async def get_review_comment(self, repo: RepoName, comment_id: int) -> ReviewComment:
        endpoint = in_repo(repo, "pulls", "comments", checked_id(comment_id))
        return await self.read(ReviewComment, endpoint)

    async def reply_to_review(
        self, repo: RepoName, number: int, comment_id: int, *, body: str, key: str
    ) -> ReviewComment:
        """Answer in the thread of a comment; `find_review_reply_by_marker` finds it by `key`.

        GitHub takes replies to the first comment of a thread only, so that is what is answered.

        Raises:
            NotFound: the comment belongs to another pull request
        """
        first = await self.get_review_comment(repo, comment_id)
        if first.pull_number != checked_number(number):
            raise NotFound(f"Comment {comment_id} is not one of #{number}")
        content: dict[str, object] = {
            "body": signed(body, key),
            "commit_id": first.commit_sha,
            "path": first.path,
            "in_reply_to": first.reply_to or first.id,
        }
        return await self.write(ReviewComment, in_repo(repo, "pulls", number, "comments"), content)

    async def update_review_comment(
        self, repo: RepoName, comment_id: int, *, body: str, key: str, is_progress: bool = False
    ) -> ReviewComment:
        """Put another body in the place of a comment's; the same edit may be made again."""
        endpoint = in_repo(repo, "pulls", "comments", checked_id(comment_id))
        return await self.write(
            ReviewComment,
            endpoint,
            {"body": signed(body, key)},
            method="PATCH",
            is_progress=is_progress,
        )

    async def find_review_reply_by_marker(
        self, repo: RepoName, number: int, key: str, *, since: datetime
    ) -> ReviewComment | None:
        """The comment that our account made with this key, not before `since`.

        None is no proof that there is none: GitHub's lists may lag behind its writes.
        """
        me = await self.me(repo)
        earliest = since - CLOCK_MARGIN

        async def turn_to(page: int) -> Page[ReviewComment]:
            return await self.list_review_comments(
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
