"""In which state the things are that people decide about: what a call would write to, on GitHub.

Only what somebody has read who decides: who can see it, whether it is open, what it says. Comments,
labels and assignees change while people think, and change nothing about the decision.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from openloop.integrations.github.arguments import repo_of
from openloop.integrations.github.marker import unmarked

if TYPE_CHECKING:
    from openloop.domain.tool import Arguments
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.resources import Issue


class Versions:
    """One method for each kind of thing; GitHub is asked each time, and its errors pass through."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    async def of_repository(self, arguments: Arguments) -> str:
        """A repository: what was approved for a private one is not put before the public."""
        repository = await self._client.repository(repo_of(arguments))
        return repository.visible_to + (", archived" if repository.archived else "")

    async def of_thread(self, arguments: Arguments) -> str:
        """An issue or pull request: its state, and what it says itself."""
        repo = repo_of(arguments)
        issue = await self._client.get_issue(repo, int(arguments["number"]))
        return f"{await self.of_repository(arguments)}, {_state(issue)}, text {_text(issue)}"


def _state(issue: Issue) -> str:
    return issue.state + (", locked" if issue.locked else "")


def _text(issue: Issue) -> str:
    """A fingerprint: the text is other people's, and has no place in our own words."""
    said = f"{issue.title}\n{unmarked(issue.body)}"
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:32]
