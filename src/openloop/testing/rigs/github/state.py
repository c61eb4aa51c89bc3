"""What the fake GitHub knows: users, tokens, repositories, issues, pulls and comments."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Level = Literal["none", "read", "write"]
Role = Literal["none", "read", "triage", "write", "maintain", "admin"]

ROLE_ORDER: tuple[Role, ...] = ("none", "read", "triage", "write", "maintain", "admin")
LEVEL_ORDER: tuple[Level, ...] = ("none", "read", "write")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account; GitHub knows it by number, people know it by login."""

    id: int
    login: str
    kind: Literal["User", "Bot", "Organization"] = "User"
    joined_at: datetime


@dataclass(slots=True, kw_only=True)
class Token:
    """A fine-grained personal access token: whose it is, and what it reaches.

    `repositories` None means all that its owner may see. `permissions` are GitHub's names
    (`issues`, `pull_requests`, `metadata`).
    """

    user: User
    repositories: frozenset[str] | None
    permissions: Mapping[str, Level]
    used: int = 0
    window_ends_at: int = 0

    def reaches(self, full_name: str) -> bool:
        """True where the token's owner selected this repository."""
        return self.repositories is None or full_name.lower() in self.repositories

    def permits(self, permission: str, level: Level) -> bool:
        """True where the token was given at least this level."""
        given = self.permissions.get(permission, "none")
        return LEVEL_ORDER.index(given) >= LEVEL_ORDER.index(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label of a repository."""

    id: int
    name: str
    color: str = "ededed"


@dataclass(slots=True, kw_only=True)
class Comment:
    """A comment in the conversation of an issue or pull."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One file of a pull request."""

    filename: str
    status: Literal["added", "removed", "modified", "renamed"] = "modified"
    additions: int = 1
    deletions: int = 0
    patch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPart:
    """What a pull request has beyond the issue it also is."""

    id: int
    head: str
    head_sha: str
    base_sha: str
    draft: bool = False
    files: tuple[ChangedFile, ...] = ()
    merged_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Issue:
    """An issue, or a pull request where `pull` is given: both count in one series of numbers."""

    id: int
    number: int
    title: str
    body: str | None
    author: User
    created_at: datetime
    updated_at: datetime
    state: Literal["open", "closed"] = "open"
    closed_at: datetime | None = None
    locked: bool = False
    labels: list[Label] = field(default_factory=list["Label"])
    assignees: list[User] = field(default_factory=list["User"])
    comments: list[Comment] = field(default_factory=list["Comment"])
    pull: PullPart | None = None


@dataclass(slots=True, kw_only=True)
class Repository:
    """A repository with its issues; `former_names` answer with a redirect."""

    id: int
    owner: User
    name: str
    created_at: datetime
    private: bool = False
    has_issues: bool = True
    archived: bool = False
    default_branch: str = "main"
    former_names: list[str] = field(default_factory=list[str])
    roles: dict[int, Role] = field(default_factory=dict[int, Role])
    labels: dict[str, Label] = field(default_factory=dict[str, Label])
    issues: dict[int, Issue] = field(default_factory=dict[int, Issue])

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def role_of(self, user: User | None) -> Role:
        """What the user may do here; everybody reads a public repository."""
        if user is not None and user.id in self.roles:
            return self.roles[user.id]
        return "none" if self.private else "read"

    def allows(self, user: User | None, role: Role) -> bool:
        """True where the user has at least this role."""
        return ROLE_ORDER.index(self.role_of(user)) >= ROLE_ORDER.index(role)


class GitHubState:
    """The rows of the fake, and the only way to change them.

    `clock` gives the time of everything that is made; GitHub keeps whole seconds.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._ids: Iterator[int] = itertools.count(1001)
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}

    def now(self) -> datetime:
        """The time now in whole seconds, as GitHub writes it."""
        return self._clock().replace(microsecond=0)

    def add_user(
        self, login: str, *, kind: Literal["User", "Bot", "Organization"] = "User"
    ) -> User:
        """The account of this login, made where it is not there yet."""
        known = self.users.get(login.lower())
        if known is None:
            known = User(id=next(self._ids), login=login, kind=kind, joined_at=self.now())
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
        """Let `token` act for `login`; without arguments it may all that this fake can do."""
        everything: Mapping[str, Level] = {
            "metadata": "read",
            "issues": "write",
            "pull_requests": "write",
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
        roles: Mapping[str, Role] | None = None,
    ) -> Repository:
        """A repository; the owner of every known token may write to it unless `roles` says else."""
        owner, name = full_name.split("/")
        given = roles or {token.user.login: "write" for token in self.tokens.values()}
        made = Repository(
            id=next(self._ids),
            owner=self.add_user(owner, kind="Organization"),
            name=name,
            created_at=self.now(),
            private=private,
            has_issues=has_issues,
            archived=archived,
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

    def add_label(self, repository: Repository, name: str) -> Label:
        """The label of this name, made where the repository has none."""
        known = repository.labels.get(name.lower())
        if known is None:
            known = Label(id=next(self._ids), name=name)
            repository.labels[name.lower()] = known
        return known

    def add_issue(
        self,
        repository: Repository,
        title: str,
        *,
        by: User,
        body: str | None = None,
        labels: Sequence[str] = (),
        assignees: Sequence[User] = (),
        pull: PullPart | None = None,
    ) -> Issue:
        """Open an issue under the next number."""
        now = self.now()
        made = Issue(
            id=next(self._ids),
            number=max(repository.issues, default=0) + 1,
            title=title,
            body=body,
            author=by,
            created_at=now,
            updated_at=now,
            labels=[self.add_label(repository, name) for name in labels],
            assignees=list(assignees),
            pull=pull,
        )
        repository.issues[made.number] = made
        return made

    def add_pull(
        self,
        repository: Repository,
        title: str,
        *,
        by: User,
        head: str,
        body: str | None = None,
        draft: bool = False,
        files: Sequence[ChangedFile] = (),
    ) -> Issue:
        """Open a pull request from branch `head` under the next number."""
        part = PullPart(
            id=next(self._ids),
            head=head,
            head_sha=f"{next(self._ids):040x}",
            base_sha=f"{repository.id:040x}",
            draft=draft,
            files=tuple(files),
        )
        return self.add_issue(repository, title, by=by, body=body, pull=part)

    def close(self, issue: Issue) -> None:
        """Close an issue or pull."""
        issue.state, issue.closed_at, issue.updated_at = "closed", self.now(), self.now()

    def add_comment(self, issue: Issue, body: str, *, by: User) -> Comment:
        """Append to the conversation; the issue counts as updated."""
        now = self.now()
        made = Comment(id=next(self._ids), author=by, body=body, created_at=now, updated_at=now)
        issue.comments.append(made)
        issue.updated_at = now
        return made
