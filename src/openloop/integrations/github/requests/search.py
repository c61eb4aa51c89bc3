"""GitHub's search index. It lags behind and is incomplete, so it never says what is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.integrations.github.code_resources import FoundFile, FoundIssue
from openloop.integrations.github.errors import Refused
from openloop.integrations.github.exchange import PAGE_SIZE, Endpoint, Exchange, turn

if TYPE_CHECKING:
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.resources import Page

WORDS_LIMIT = 200
TEXT_MATCHES = "application/vnd.github.text-match+json"

_NO_WORD = re.compile(r"[^\w./#@+-]+")
_OPERATOR = re.compile(r"\b(?:AND|OR|NOT)\b")


class Search(Exchange):
    """Words looked for in one repository.

    A qualifier or an operator among the words (`repo:`, `OR`) would widen the search beyond the
    repository that the call was allowed for: only words are sent, and what is found elsewhere all
    the same is left out.
    """

    async def search_issues(
        self, repo: RepoName, words: str, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[FoundIssue]:
        """Issues with these words, best first; pull requests are left out."""
        query = {"q": f"{_plain(words)} repo:{repo} is:issue"} | turn(page, page_size)
        found = await self.read_page(
            FoundIssue, Endpoint("/search/issues", repo), query, below="items"
        )
        inside = f"/repos/{repo}".lower()
        items = tuple(one for one in found.items if one.repository_url.lower().endswith(inside))
        return replace(found, items=items)

    async def search_code(
        self, repo: RepoName, words: str, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[FoundFile]:
        """Files of the default branch with these words, best first."""
        query = {"q": f"{_plain(words)} repo:{repo}"} | turn(page, page_size)
        found = await self.read_page(
            FoundFile,
            Endpoint("/search/code", repo),
            query,
            below="items",
            accept=TEXT_MATCHES,
        )
        name = str(repo).lower()
        items = tuple(one for one in found.items if one.repository.lower() == name)
        return replace(found, items=items)


def _plain(words: str) -> str:
    """The words alone: what GitHub would read as more than a word is taken out.

    Raises:
        Refused: nothing is left, or too much
    """
    spaced = " ".join(_NO_WORD.sub(" ", words).split())
    plain = _OPERATOR.sub(lambda found: found[0].lower(), spaced)
    if not plain or len(plain) > WORDS_LIMIT:
        raise Refused(f"A search needs words, at most {WORDS_LIMIT} characters of them")
    return plain
