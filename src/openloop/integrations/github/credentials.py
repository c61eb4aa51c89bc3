"""Who we are towards GitHub: the token of each request, and the account whose limits it counts on.

The client asks for a token before each request and never keeps one. What GitHub answers 401 to is
given back with `refused`: nothing was done by that request, so where there is a better token it is
sent again, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from openloop.integrations.github.names import RepoName


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One token, which is not in its repr.

    `account` names whose limits its requests count on (`token`, `installation:7`): all who share
    an account share its limits in this process.
    """

    token: str = field(repr=False)
    account: str


class Credentials(Protocol):
    """Where tokens come from; one that is about to end is renewed before it is given out.

    `login` is the account under which we write, as `GET /users/{login}` knows it (`name[bot]` for
    an App, which learns it with its first token); None where `GET /user` tells, as it does for a
    personal token.
    """

    @property
    def login(self) -> str | None: ...

    async def credential(self, repo: RepoName | None) -> Credential:
        """The token for a request about `repo`; None is a request about no repository.

        Raises:
            GitHubError: there is none for this repository, or none at the moment
        """
        ...

    def refused(self, credential: Credential) -> bool:
        """GitHub answered 401 to it: forget it. True where asking again may give a better one."""
        ...

    async def aclose(self) -> None:
        """Close the connections over which tokens are fetched."""
        ...


class PersonalToken:
    """A personal access token: one for everything, and no other where it is refused."""

    login: str | None = None

    def __init__(self, token: str) -> None:
        self._credential = Credential(token=token, account="token")

    async def credential(self, repo: RepoName | None) -> Credential:
        """The token, whichever repository is asked for: GitHub knows what it reaches."""
        del repo
        return self._credential

    def refused(self, credential: Credential) -> bool:
        """False: a personal token is put right by a person."""
        del credential
        return False

    async def aclose(self) -> None:
        """There are none: the token is given."""
