"""Accounts and repositories: who we are, who somebody is, what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.exchange import Endpoint, Exchange, in_repo
from openloop.integrations.github.names import checked_login
from openloop.integrations.github.resources import Permission, Repository, User

if TYPE_CHECKING:
    from openloop.integrations.github.names import RepoName


class Accounts(Exchange):
    """People, and the repositories they may use."""

    async def whoami(self) -> User:
        """Whose the token is; an App has no user of its own and is refused."""
        return await self.read(User, Endpoint("/user"))

    async def user(self, login: str) -> User:
        """The account that has this login today."""
        return await self.read(User, Endpoint(f"/users/{checked_login(login)}"))

    async def login_of(self, account_id: int) -> str:
        """The login of an account today; the id is the only thing about it that stays."""
        return (await self.read(User, Endpoint(f"/user/{account_id:d}"))).login

    async def repository(self, repo: RepoName) -> Repository:
        return await self.read(Repository, in_repo(repo))

    async def collaborator(self, repo: RepoName, login: str) -> Permission:
        """What somebody may do in a repository, and the role by which they may.

        https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
        """
        return await self.read(Permission, in_repo(repo, "collaborators", login, "permission"))
