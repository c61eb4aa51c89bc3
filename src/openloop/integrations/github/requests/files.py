"""Files of a repository at a branch, tag or commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from openloop.integrations.github.code_resources import Content, Tree
from openloop.integrations.github.errors import Refused
from openloop.integrations.github.exchange import Exchange, Query, in_repo
from openloop.integrations.github.names import checked_path, checked_ref

if TYPE_CHECKING:
    from openloop.integrations.github.names import RepoName

_FILE_OR_FOLDER = cast("type[Content | tuple[Content, ...]]", Content | tuple[Content, ...])


class Files(Exchange):
    """What stands in a repository."""

    async def get_content(
        self, repo: RepoName, path: str, *, ref: str | None = None
    ) -> Content | tuple[Content, ...]:
        """A file, or the entries of a folder (at most 1,000).

        Without `ref`, at the default branch. GitHub gives the text of files up to 1 MB.
        """
        query: Query = {} if ref is None else {"ref": checked_ref(ref)}
        endpoint = in_repo(repo, "contents", *(checked_path(path) or ("",)))
        return await self.read(_FILE_OR_FOLDER, endpoint, query)

    async def get_tree(self, repo: RepoName, ref: str) -> Tree:
        """Everything below a branch, tag or commit.

        Raises:
            Refused: it is more than fits into one answer
        """
        endpoint = in_repo(repo, "git", "trees", checked_ref(ref))
        try:
            return await self.read(Tree, endpoint, {"recursive": "1"})
        except Refused as error:
            if error.status is None:
                message = "The whole tree is too large for one answer: list its folders instead"
                raise Refused(message) from None
            raise
