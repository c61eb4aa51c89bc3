"""What somebody may do in a repository: GitHub's word, asked by number and remembered for a minute.

Never `author_association`, which shows NONE for members who hide that they are, and never a login
out of a payload, which may be somebody else's by now.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from openloop.domain.surface import Person
from openloop.integrations.github.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.domain.surface import Standing
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.resources import Permission

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 5000
_BOT = "[bot]"


class Standings:
    """What people may do, by repository and account; an error is never remembered."""

    def __init__(
        self, client: GitHubClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._clock = client, clock
        self._known: dict[tuple[str, int], tuple[float, Person]] = {}

    async def of(self, repo: RepoName, user_id: str) -> Person:
        """Somebody in a repository. Nobody has an id that is no number.

        Raises:
            GitHubError: GitHub does not say
        """
        if not user_id.isascii() or not user_id.isdecimal() or len(user_id) > 19:
            return nobody(user_id)
        question = (str(repo).lower(), int(user_id))
        until, known = self._known.get(question, (0.0, None))
        if known is not None and self._clock() < until:
            return known
        asked_at = self._clock()
        found = await self._ask(repo, int(user_id))
        self._known.pop(question, None)
        while len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[question] = (asked_at + REMEMBERED_SECONDS, found)
        return found

    @staticmethod
    def stranger(user_id: str, login: str) -> Person:
        """Somebody who was not looked for in any repository."""
        kind = "external" if login and not login.endswith(_BOT) else "unknown"
        return Person(id=user_id, name=login, kind=kind, standing="none")

    async def _ask(self, repo: RepoName, account: int) -> Person:
        try:
            login = await self._client.login_of(account)
            said = await self._client.collaborator(repo, login)
        except NotFound:
            return nobody(str(account))
        # Between both answers the login may have become somebody else's.
        if login.endswith(_BOT) or said.user is None or said.user.id != account:
            return nobody(str(account))
        return Person(id=str(account), name=login, kind="member", standing=standing_of(said))


def standing_of(said: Permission) -> Standing:
    """GitHub's word as ours: a role that an organisation made up counts as what it is based on."""
    if said.permission in {"admin", "write"}:
        return "write"
    if said.role_name == "triage":
        return "triage"
    return "read" if said.permission == "read" else "none"


def nobody(user_id: str) -> Person:
    """Somebody of whom GitHub knows nothing that gives them a right."""
    return Person(id=user_id, name="", kind="unknown", standing="none")
