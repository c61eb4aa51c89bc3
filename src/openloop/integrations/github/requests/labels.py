"""Labels: which a repository has, and which stand on an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.exchange import PAGE_SIZE, Exchange, in_repo, turn
from openloop.integrations.github.names import checked_number
from openloop.integrations.github.resources import Label, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.integrations.github.names import RepoName


class Labels(Exchange):
    """Labels; adding one that the repository lacks makes it, as GitHub's own pages do."""

    async def list_labels(
        self, repo: RepoName, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[Label]:
        return await self.read_page(Label, in_repo(repo, "labels"), turn(page, page_size))

    async def add_labels(
        self, repo: RepoName, number: int, labels: Sequence[str]
    ) -> tuple[Label, ...]:
        """Put these beside what is there; the labels of the issue afterwards."""
        endpoint = in_repo(repo, "issues", checked_number(number), "labels")
        return await self.write(tuple[Label, ...], endpoint, {"labels": list(labels)})

    async def remove_label(self, repo: RepoName, number: int, label: str) -> None:
        """Take one off an issue.

        Raises:
            NotFound: it is not on it
        """
        await self.delete(in_repo(repo, "issues", checked_number(number), "labels", label))
