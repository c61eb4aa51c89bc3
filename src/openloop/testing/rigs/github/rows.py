"""The rows of the fake GitHub: users, tokens, repositories, issues, pulls and what is said there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

Level = Literal["none", "read", "write"]
Role = Literal["none", "read", "triage", "write", "maintain", "admin"]

ROLE_ORDER: tuple[Role, ...] = ("none", "read", "triage", "write", "maintain", "admin")
LEVEL_ORDER: tuple[Level, ...] = ("none", "read", "write")
ACTIONS_APP = ("github-actions", 15_368)

Status = Literal["queued", "in_progress", "completed"]
Conclusion = Literal[
    "success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"
]
SHORTEST_SHA = 7


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A sign below a text."""

    id: int
    author: User
    content: str
    made_at: datetime


@dataclass(slots=True, kw_only=True)
class Comment:
    """A comment in the conversation of an issue or pull."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    reactions: list[Reaction] = field(default_factory=list["Reaction"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review of a pull request."""

    id: int
    author: User
    state: Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED"]
    body: str
    commit_sha: str
    submitted_at: datetime


@dataclass(slots=True, kw_only=True)
class ReviewComment:
    """A comment on a line of a pull request; a reply names the first of its thread."""

    id: int
    review_id: int
    author: User
    body: str
    path: str
    line: int
    commit_sha: str
    diff_hunk: str
    created_at: datetime
    updated_at: datetime
    reply_to: int | None = None
    reactions: list[Reaction] = field(default_factory=list["Reaction"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One file of a change."""

    filename: str
    status: Literal["added", "removed", "modified", "renamed"] = "modified"
    additions: int = 1
    deletions: int = 0
    patch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPart:
    """What a pull request has beyond the issue it also is; `fork` is where its head stands."""

    id: int
    head: str
    head_sha: str
    base_sha: str
    draft: bool = False
    files: tuple[ChangedFile, ...] = ()
    merged_at: datetime | None = None
    target: str | None = None
    fork: Repository | None = None
    reviews: list[Review] = field(default_factory=list["Review"])
    review_comments: list[ReviewComment] = field(default_factory=list["ReviewComment"])


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
    reactions: list[Reaction] = field(default_factory=list["Reaction"])
    pull: PullPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit, with every file as it is after it."""

    sha: str
    message: str
    author: User
    made_at: datetime
    parents: tuple[str, ...]
    files: Mapping[str, bytes]

    @property
    def tree_sha(self) -> str:
        return sha_of(repr(sorted(self.files.items())).encode())


@dataclass(slots=True)
class History:
    """The commits of one repository, oldest first, and where its branches stand."""

    commits: dict[str, Commit] = field(default_factory=dict[str, Commit])
    branches: dict[str, str] = field(default_factory=dict[str, str])

    def find(self, ref: str) -> Commit | None:
        """The commit that a branch or the (beginning of the) name of a commit stands for."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        if name in self.branches:
            return self.commits[self.branches[name]]
        if len(ref) < SHORTEST_SHA:
            return None
        return next((one for sha, one in self.commits.items() if sha.startswith(ref)), None)

    def behind(self, commit: Commit) -> Iterator[Commit]:
        """A commit and all before it, newest first."""
        known: set[str] = set()
        waiting = [commit]
        while waiting:
            one = max(waiting, key=lambda each: [*self.commits].index(each.sha))
            waiting.remove(one)
            if one.sha not in known:
                known.add(one.sha)
                yield one
                waiting += [self.commits[sha] for sha in one.parents if sha in self.commits]

    def before(self, commit: Commit) -> Mapping[str, bytes]:
        """The files as they were before a commit."""
        return self.commits[commit.parents[0]].files if commit.parents else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckButton:
    """An action that people can click below a check."""

    label: str
    description: str
    identifier: str


@dataclass(slots=True, kw_only=True)
class CheckSuite:
    """The checks of one app (slug and id) at one commit."""

    id: int
    app: tuple[str, int]
    head_sha: str
    head_branch: str | None
    status: Status
    conclusion: Conclusion | None
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, kw_only=True)
class CheckRun:
    """One check of a suite."""

    id: int
    suite: CheckSuite
    name: str
    status: Status
    conclusion: Conclusion | None
    started_at: datetime
    completed_at: datetime | None
    external_id: str = ""
    details_url: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    buttons: tuple[CheckButton, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsStep:
    """One step of a job."""

    name: str
    conclusion: Conclusion = "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsJob:
    """One job of an attempt; `log` None is a log that is gone."""

    id: int
    run_id: int
    attempt: int
    check: CheckRun
    name: str
    conclusion: Conclusion
    steps: tuple[ActionsStep, ...]
    log: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """A job as a test asks for it."""

    name: str
    conclusion: Conclusion = "success"
    log: bytes | None = b""
    steps: tuple[ActionsStep, ...] = ()


@dataclass(slots=True, kw_only=True)
class ActionsRun:
    """One run of GitHub Actions; `jobs` are those of all attempts."""

    id: int
    number: int
    name: str
    workflow_id: int
    event: str
    head_sha: str
    head_branch: str | None
    head_repository: Repository
    actor: User
    suite: CheckSuite
    created_at: datetime
    updated_at: datetime
    attempt: int = 1
    conclusion: Conclusion = "success"
    archive: bytes | None = None
    jobs: list[ActionsJob] = field(default_factory=list["ActionsJob"])


@dataclass(slots=True)
class Reports:
    """What was reported about the commits of one repository."""

    suites: dict[int, CheckSuite] = field(default_factory=dict[int, CheckSuite])
    checks: dict[int, CheckRun] = field(default_factory=dict[int, CheckRun])
    runs: dict[int, ActionsRun] = field(default_factory=dict[int, ActionsRun])

    def job(self, job_id: int) -> ActionsJob | None:
        """The job of this number, in whichever run."""
        jobs = (job for run in self.runs.values() for job in run.jobs)
        return next((job for job in jobs if job.id == job_id), None)


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
    is_fork: bool = False
    default_branch: str = "main"
    former_names: list[str] = field(default_factory=list[str])
    roles: dict[int, Role] = field(default_factory=dict[int, Role])
    labels: dict[str, Label] = field(default_factory=dict[str, Label])
    issues: dict[int, Issue] = field(default_factory=dict[int, Issue])
    history: History = field(default_factory=History)
    reports: Reports = field(default_factory=Reports)

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


def sha_of(content: bytes) -> str:
    """A name as git gives them: not git's own, but stable."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
