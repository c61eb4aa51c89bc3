"""What GitHub says of people and repositories: who may read or write, and who can read at all.

Asked by the policy where people have rights of their own. Answers are remembered for a minute;
what GitHub does not answer is raised and never remembered.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from openloop.domain.audience import PlaceClass
from openloop.integrations.github.errors import NotFound
from openloop.integrations.github.names import RepoName

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from openloop.domain.facts import Access
    from openloop.integrations.github.client import GitHubClient

T = TypeVar("T")

REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 5000
_WRITES = frozenset({"admin", "write"})
_READS = _WRITES | {"read"}
_NOTHING = "none"
_BY_VISIBILITY = {
    "public": PlaceClass.PUBLIC,
    "internal": PlaceClass.INTERNAL,
    "private": PlaceClass.INTERNAL,
}


class Rights:
    """The two questions, with a bounded memory."""

    def __init__(
        self, client: GitHubClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._permissions = _Minute[str](clock)
        self._audiences = _Minute[PlaceClass](clock)

    async def may(self, person: str, resource: str, access: Access) -> bool:
        """Whether a person (# and the number of their account) may read or write a repository.

        A person or repository that GitHub does not know may nothing, and a login, which can pass to
        somebody else, is nobody's here.

        Raises:
            GitHubError: GitHub does not say
        """
        repo = RepoName.parse(resource)
        digits = person.removeprefix("#")
        if digits == person or not (digits.isascii() and digits.isdecimal() and len(digits) <= 19):
            return False
        permission = await self._permissions.get(
            (int(digits), str(repo).lower()), lambda: self._permission(repo, int(digits))
        )
        return permission in (_WRITES if access == "write" else _READS)

    async def audience(self, resource: str) -> PlaceClass:
        """Who can read a repository. A private one counts as internal: who of us, GitHub decides.

        Raises:
            GitHubError: GitHub does not say, or does not show us the repository
        """
        repo = RepoName.parse(resource)

        async def ask() -> PlaceClass:
            return _BY_VISIBILITY[(await self._client.repository(repo)).visible_to]

        return await self._audiences.get(str(repo).lower(), ask)

    async def _permission(self, repo: RepoName, account: int) -> str:
        """What an account may do, by the login that it has now; GitHub is asked by name."""
        try:
            login = await self._client.login_of(account)
            said = await self._client.collaborator(repo, login)
        except NotFound:
            return _NOTHING
        # Between both answers the login may have become somebody else's.
        return said.permission if said.user is not None and said.user.id == account else _NOTHING


class _Minute(Generic[T]):
    """Answers by question, each for a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[Hashable, tuple[float, T]] = {}

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The remembered answer, else a new one."""
        known = self._known.get(question)
        if known is not None and self._clock() < known[0]:
            return known[1]
        answer = await ask()
        self._known.pop(question, None)
        while len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[question] = (self._clock() + REMEMBERED_SECONDS, answer)
        return answer
