"""What the fake remembers of what happened: the events of issues, and who edited which text last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.testing.rigs.github.shapes import node_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.rows import User

LISTED = frozenset({"assigned", "unassigned", "labeled", "unlabeled", "closed", "reopened"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueEvent:
    """Something that was done to an issue or pull without words."""

    id: int
    at: datetime
    happened: Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Who has written a text last, and when."""

    by: User
    at: datetime


class Record:
    """Watches a state from its beginning."""

    def __init__(self, now: Callable[[], datetime], new_id: Callable[[], int]) -> None:
        self._now, self._new_id = now, new_id
        self.events: list[IssueEvent] = []
        self.edits: dict[str, Edit] = {}

    def take(self, happened: Happened) -> None:
        """Note it."""
        if happened.event in {"issues", "pull_request"} and happened.action in LISTED:
            made = IssueEvent(id=self._new_id(), at=self._now(), happened=happened)
            self.events.append(made)
        if happened.action != "edited":
            return
        edit = Edit(by=happened.sender, at=self._now())
        if happened.comment is not None:
            self.edits[node_id("IssueComment", happened.comment.id)] = edit
        elif happened.review_comment is not None:
            self.edits[node_id("PullRequestReviewComment", happened.review_comment.id)] = edit
        elif happened.issue is not None:
            self.edits[node_id("Issue", happened.issue.id)] = edit
