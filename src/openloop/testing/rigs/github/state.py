"""What the fake GitHub knows, and the only way to change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from openloop.testing.rigs.github.ci import CI
from openloop.testing.rigs.github.commits import Commits, changes
from openloop.testing.rigs.github.directory import Directory
from openloop.testing.rigs.github.happened import Happened
from openloop.testing.rigs.github.record import Record
from openloop.testing.rigs.github.rows import (
    LEVEL_ORDER,
    ROLE_ORDER,
    ChangedFile,
    Comment,
    Issue,
    Label,
    Level,
    PullPart,
    Reaction,
    Repository,
    Review,
    ReviewComment,
    Role,
    Token,
    User,
)

__all__ = [
    "LEVEL_ORDER",
    "ROLE_ORDER",
    "ChangedFile",
    "Comment",
    "GitHubState",
    "Issue",
    "Label",
    "Level",
    "PullPart",
    "Reaction",
    "Repository",
    "Review",
    "ReviewComment",
    "Role",
    "Token",
    "User",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openloop.testing.rigs.github.apps import GitHubApp
    from openloop.testing.rigs.github.happened import Event


class GitHubState(Directory):
    """The rows of the fake, and the only way to change them; `commits` and `ci` add to it."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock)
        self.app: GitHubApp | None = None
        self.record = Record(self.now, self.new_id)
        self.watchers.append(self.record.take)
        self.commits = Commits(self)
        self.ci = CI(self)

    def add_label(self, repository: Repository, name: str) -> Label:
        """The label of this name, made where the repository has none."""
        known = repository.labels.get(name.lower())
        if known is None:
            known = Label(id=self.new_id(), name=name)
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
            id=self.new_id(),
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
        self._tell_issue(repository, made, "opened", by=by)
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
        target: str | None = None,
        fork: Repository | None = None,
    ) -> Issue:
        """Open a pull request from branch `head` under the next number.

        Where branches have commits, `files` come from them unless they are given. `fork` is the
        repository that the branch stands in, if it is another one.
        """
        history = repository.history
        tip = (fork.history if fork is not None else history).find(head)
        under = history.find(target or repository.default_branch)
        if not files and tip is not None and under is not None:
            files = tuple(changes(under.files, tip.files))
        part = PullPart(
            id=self.new_id(),
            head=head,
            head_sha=tip.sha if tip is not None else f"{self.new_id():040x}",
            base_sha=under.sha if under is not None else f"{repository.id:040x}",
            draft=draft,
            files=tuple(files),
            target=target,
            fork=fork,
        )
        return self.add_issue(repository, title, by=by, body=body, pull=part)

    def update_issue(
        self,
        repository: Repository,
        issue: Issue,
        *,
        by: User,
        title: str | None = None,
        body: str | None = None,
    ) -> None:
        """Change the texts of an issue or pull."""
        before = issue.body if body is not None else issue.title
        if title is not None:
            issue.title = title
        if body is not None:
            issue.body = body
        issue.updated_at = self.now()
        self._tell_issue(repository, issue, "edited", by=by, before=before)

    def close(self, issue: Issue, *, by: User | None = None) -> None:
        """Close an issue or pull; its author does, unless `by` says who."""
        issue.state, issue.closed_at, issue.updated_at = "closed", self.now(), self.now()
        self._tell_issue(self._of(issue), issue, "closed", by=by or issue.author)

    def reopen(self, issue: Issue, *, by: User | None = None) -> None:
        """Open it again."""
        issue.state, issue.closed_at, issue.updated_at = "open", None, self.now()
        self._tell_issue(self._of(issue), issue, "reopened", by=by or issue.author)

    def set_label(self, issue: Issue, name: str, *, by: User) -> None:
        """Put a label on an issue; nothing happens where it is on it."""
        repository = self._of(issue)
        label = self.add_label(repository, name)
        if label not in issue.labels:
            issue.labels.append(label)
            issue.updated_at = self.now()
            self._tell_issue(repository, issue, "labeled", by=by, label=label)

    def unset_label(self, issue: Issue, label: Label, *, by: User) -> None:
        """Take a label off an issue."""
        issue.labels.remove(label)
        issue.updated_at = self.now()
        self._tell_issue(self._of(issue), issue, "unlabeled", by=by, label=label)

    def assign(self, issue: Issue, assignees: Sequence[User], *, by: User) -> None:
        """Make these, and nobody else, the assignees."""
        repository = self._of(issue)
        gone = [one for one in issue.assignees if one not in assignees]
        new = [one for one in assignees if one not in issue.assignees]
        issue.assignees = list(assignees)
        issue.updated_at = self.now()
        for one in gone:
            self._tell_issue(repository, issue, "unassigned", by=by, assignee=one)
        for one in new:
            self._tell_issue(repository, issue, "assigned", by=by, assignee=one)

    def add_comment(self, issue: Issue, body: str, *, by: User) -> Comment:
        """Append to the conversation; the issue counts as updated."""
        now = self.now()
        made = Comment(id=self.new_id(), author=by, body=body, created_at=now, updated_at=now)
        issue.comments.append(made)
        issue.updated_at = now
        self._tell_comment(issue, made, "created", by=by)
        return made

    def edit_comment(
        self, issue: Issue, comment: Comment, body: str, *, by: User | None = None
    ) -> None:
        """Put another text in its place; its author does, unless `by` says who."""
        before, comment.body, comment.updated_at = comment.body, body, self.now()
        self._tell_comment(issue, comment, "edited", by=by or comment.author, before=before)

    def delete_comment(self, issue: Issue, comment: Comment, *, by: User | None = None) -> None:
        """Take it away."""
        issue.comments.remove(comment)
        self._tell_comment(issue, comment, "deleted", by=by or comment.author)

    def add_review(
        self,
        issue: Issue,
        *,
        by: User,
        body: str = "",
        state: Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED"] = "COMMENTED",
    ) -> Review:
        """Review a pull request."""
        part = _pull_of(issue)
        made = Review(
            id=self.new_id(),
            author=by,
            state=state,
            body=body,
            commit_sha=part.head_sha,
            submitted_at=self.now(),
        )
        part.reviews.append(made)
        issue.updated_at = made.submitted_at
        self._tell_review(issue, "pull_request_review", "submitted", by=by, review=made)
        return made

    def add_review_comment(
        self,
        issue: Issue,
        body: str,
        *,
        by: User,
        path: str = "src/app.py",
        line: int = 1,
        reply_to: ReviewComment | None = None,
    ) -> ReviewComment:
        """Comment on a line of a pull request, or in the thread of another comment."""
        part, now = _pull_of(issue), self.now()
        first = reply_to.reply_to or reply_to.id if reply_to is not None else None
        review = self.add_review(issue, by=by)
        made = ReviewComment(
            id=self.new_id(),
            review_id=review.id,
            author=by,
            body=body,
            path=reply_to.path if reply_to is not None else path,
            line=reply_to.line if reply_to is not None else line,
            commit_sha=part.head_sha,
            diff_hunk="@@ -1 +1 @@",
            created_at=now,
            updated_at=now,
            reply_to=first,
        )
        part.review_comments.append(made)
        self._tell_review(
            issue, "pull_request_review_comment", "created", by=by, review_comment=made
        )
        return made

    def edit_review_comment(
        self, issue: Issue, comment: ReviewComment, body: str, *, by: User | None = None
    ) -> None:
        """Put another text in its place; its author does, unless `by` says who."""
        comment.body, comment.updated_at = body, self.now()
        self._tell_review(
            issue,
            "pull_request_review_comment",
            "edited",
            by=by or comment.author,
            review_comment=comment,
        )

    def react(
        self, thing: Issue | Comment | ReviewComment, content: str, *, by: User
    ) -> tuple[Reaction, bool]:
        """React to a text; the sign, and whether it is new: one of each from everybody."""
        for known in thing.reactions:
            if known.author is by and known.content == content:
                return known, False
        made = Reaction(id=self.new_id(), author=by, content=content, made_at=self.now())
        thing.reactions.append(made)
        return made, True

    def _of(self, issue: Issue) -> Repository:
        return next(
            repository
            for repository in self.repositories.values()
            if repository.issues.get(issue.number) is issue
        )

    def _tell_issue(
        self,
        repository: Repository,
        issue: Issue,
        action: str,
        *,
        by: User,
        label: Label | None = None,
        assignee: User | None = None,
        before: str | None = None,
    ) -> None:
        self.tell(
            Happened(
                event="issues" if issue.pull is None else "pull_request",
                action=action,
                repository=repository,
                sender=by,
                issue=issue,
                label=label,
                assignee=assignee,
                before=before,
            )
        )

    def _tell_comment(
        self, issue: Issue, comment: Comment, action: str, *, by: User, before: str | None = None
    ) -> None:
        self.tell(
            Happened(
                event="issue_comment",
                action=action,
                repository=self._of(issue),
                sender=by,
                issue=issue,
                comment=comment,
                before=before,
            )
        )

    def _tell_review(
        self,
        issue: Issue,
        event: Event,
        action: str,
        *,
        by: User,
        review: Review | None = None,
        review_comment: ReviewComment | None = None,
    ) -> None:
        self.tell(
            Happened(
                event=event,
                action=action,
                repository=self._of(issue),
                sender=by,
                issue=issue,
                review=review,
                review_comment=review_comment,
            )
        )


def _pull_of(issue: Issue) -> PullPart:
    if issue.pull is None:
        message = f"#{issue.number} is not a pull request"
        raise ValueError(message)
    return issue.pull
