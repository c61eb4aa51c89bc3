"""Accounts, tokens and repositories of the fake GitHub, by their names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from openloop.testing.rigs.github.chronicle import Chronicle
from openloop.testing.rigs.github.rows import Level, Repository, Role, Token, User

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Directory(Chronicle):
    """Who there is, with which tokens, and which repositories."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}

    def add_user(
        self, login: str, *, kind: Literal["User", "Bot", "Organization"] = "User"
    ) -> User:
        """The account of this login, made where it is not there yet."""
        known = self.users.get(login.lower())
        if known is None:
            known = User(id=self.new_id(), login=login, kind=kind, joined_at=self.now())
            self.users[login.lower()] = known
        return known

    def add_token(
        self,
        token: str,
        *,
        login: str,
        repositories: Sequence[str] | None = None,
        permissions: Mapping[str, Level] | None = None,
    ) -> Token:
        """Let `token` act for `login`; without arguments it may all that one of a person may.

        GitHub gives no permission for checks to a person's token: only an App's has it.
        """
        everything: Mapping[str, Level] = {
            "metadata": "read",
            "issues": "write",
            "pull_requests": "write",
            "contents": "write",
            "actions": "read",
        }
        made = Token(
            user=self.add_user(login),
            repositories=None
            if repositories is None
            else frozenset(name.lower() for name in repositories),
            permissions=everything if permissions is None else permissions,
        )
        self.tokens[token] = made
        return made

    def revoke_token(self, token: str) -> None:
        """Make the token unknown, as an expired or revoked one is."""
        del self.tokens[token]

    def add_repository(
        self,
        full_name: str,
        *,
        private: bool = False,
        has_issues: bool = True,
        archived: bool = False,
        is_fork: bool = False,
        roles: Mapping[str, Role] | None = None,
    ) -> Repository:
        """A repository; the owner of every known token may write to it unless `roles` says else."""
        owner, name = full_name.split("/")
        given = roles or {token.user.login: "write" for token in self.tokens.values()}
        made = Repository(
            id=self.new_id(),
            owner=self.add_user(owner, kind="Organization"),
            name=name,
            created_at=self.now(),
            private=private,
            has_issues=has_issues,
            archived=archived,
            is_fork=is_fork,
            roles={self.add_user(login).id: role for login, role in given.items()},
        )
        self.repositories[full_name.lower()] = made
        return made

    def rename_repository(self, repository: Repository, name: str) -> None:
        """Give it another name; the old one answers with a redirect from now on."""
        del self.repositories[repository.full_name.lower()]
        repository.former_names.append(repository.full_name.lower())
        repository.name = name
        self.repositories[repository.full_name.lower()] = repository

    def find_repository(self, full_name: str) -> Repository | None:
        """The repository of exactly this name (upper and lower case are the same)."""
        return self.repositories.get(full_name.lower())

    def find_moved(self, full_name: str) -> Repository | None:
        """The repository that once had this name."""
        wanted = full_name.lower()
        return next(
            (repo for repo in self.repositories.values() if wanted in repo.former_names), None
        )
