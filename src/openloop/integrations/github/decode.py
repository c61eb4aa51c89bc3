"""From GitHub's payloads to events: what people did that an agent may have to hear of.

Everything here is a pure function of one payload. Only what is needed is read, and what is missing
or has another shape makes the event none: a schema of GitHub's never decides what is taken in. Edits
wake nobody, and neither does anything that a bot or we ourselves have done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.manifest_agent import label_word
from openloop.domain.surface import Choice, FailedBuild, Inbound, Thread
from openloop.domain.typed import typed_in_markdown
from openloop.integrations.github import mentions
from openloop.integrations.github.actors import place_of, sender_of
from openloop.integrations.github.hidden import visible
from openloop.integrations.github.marker import key_of
from openloop.integrations.github.names import InvalidName, RepoName, checked_number
from openloop.integrations.github.payloads import (
    id_at,
    is_given,
    moment_at,
    part_at,
    parts_at,
    text_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from openloop.domain.surface import Actor, InboundKind
    from openloop.integrations.github.actors import Identity
    from openloop.integrations.github.payloads import Json

ACTED_ON = frozenset(
    {
        "issue_comment",
        "issues",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "check_run",
        "check_suite",
        "workflow_run",
    }
)
"""The events that can become something; of all others nothing is read."""
BUILDS = frozenset({"check_suite", "workflow_run"})
RED = frozenset({"failure", "timed_out", "startup_failure"})
_ACTIONS = "github-actions"
_BUILT_BY = frozenset(
    {"push", "pull_request", "merge_group", "schedule", "workflow_dispatch", "repository_dispatch"}
)
"""What begins a build. Other workflows run at the newest commit of main whenever anybody comments."""

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_EXTERNAL = re.compile(
    r"openloop ([0-9]{1,10}(?:/r[0-9]{1,19})?|commit/[0-9a-f]{40,64}) ([A-Za-z0-9_-]{8,128})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One payload and what surrounds it: which event and delivery it is, who we are, who did it."""

    event: str
    payload: Json
    delivery: str
    received_at: datetime
    web_url: str
    own: Identity
    repo: RepoName
    repo_id: int
    actor: Actor

    @property
    def action(self) -> str:
        return text_at(self.payload, "action")

    def inbound(
        self,
        kind: InboundKind,
        root: str,
        *,
        subject: tuple[str, ...],
        message_id: str,
        occurred_at: datetime | None,
        text: str = "",
        typed: str = "",
        choice: Choice | None = None,
        wanted_as: str = "",
        build: FailedBuild | None = None,
        fragment: str = "",
    ) -> Inbound:
        """The event; `subject` is what it is about: a kind, and what tells one from the next."""
        where = "pull" if build is None and _is_pull(self.payload) else "issues"
        link = f"{self.web_url}/{self.repo}/{where}/{root.split('/')[0]}{fragment}"
        if build is not None:
            link = f"{self.web_url}/{self.repo}/commit/{build.commit}"
        return Inbound(
            delivery_key=self.delivery,
            subject_key=":".join((subject[0], str(self.repo_id), *subject[1:])),
            kind=kind,
            thread=Thread(place=place_of(self.repo, host=self.actor.tenant), root=root),
            actor=self.actor,
            message_id=message_id,
            occurred_at=occurred_at or self.received_at,
            text=text,
            typed=typed,
            addressed="mention",
            choice=choice,
            link=link,
            from_anybody=True,
            wanted_as=wanted_as,
            build=build,
        )


def decode(
    event: str,
    payload: Json,
    *,
    delivery: str,
    received_at: datetime,
    web_url: str,
    host: str,
    own: Identity,
) -> Inbound | None:
    """The event that a verified payload tells; None where it is nothing for us."""
    read = _EVENTS.get(event)
    actor = sender_of(payload, host=host, own=own)
    # A build counts as whoever pushed, and that may be a bot: nobody answers it for that.
    if read is None or actor is None or (actor.kind != "human" and event not in BUILDS):
        return None
    repository = part_at(payload, "repository")
    try:
        repo = RepoName.parse(text_at(repository, "full_name"))
    except InvalidName:
        return None
    repo_id = id_at(repository, "id")
    if not repo_id:
        return None
    told = Told(
        event=event,
        payload=payload,
        delivery=delivery,
        received_at=received_at,
        web_url=web_url,
        own=own,
        repo=repo,
        repo_id=repo_id,
        actor=actor,
    )
    return read(told)


# --- what people write ---------------------------------------------------------------------------


def _issue_comment(told: Told) -> Inbound | None:
    comment = part_at(told.payload, "comment")
    number, comment_id = _number(told, "issue"), id_at(comment, "id")
    if not number or not comment_id or not _is_by_sender(told, comment):
        return None
    return _comment(
        told,
        comment,
        root=str(number),
        message_id=f"c{comment_id}",
        subject=("comment", str(comment_id)),
        fragment=f"#issuecomment-{comment_id}",
    )


def _review_comment(told: Told) -> Inbound | None:
    comment = part_at(told.payload, "comment")
    number, comment_id = _number(told, "pull_request"), id_at(comment, "id")
    if not number or not comment_id or not _is_by_sender(told, comment):
        return None
    first = id_at(comment, "in_reply_to_id") or comment_id
    return _comment(
        told,
        comment,
        root=f"{number}/r{first}",
        message_id=f"r{comment_id}",
        subject=("review_comment", str(comment_id)),
        fragment=f"#discussion_r{comment_id}",
    )


def _comment(
    told: Told,
    comment: Json,
    *,
    root: str,
    message_id: str,
    subject: tuple[str, ...],
    fragment: str,
) -> Inbound | None:
    body, at = text_at(comment, "body"), moment_at(comment, "created_at")
    if told.action == "deleted":
        gone = (f"deleted_{subject[0]}", *subject[1:])
        return told.inbound(
            "deleted",
            root,
            subject=gone,
            message_id=message_id,
            occurred_at=None,
            fragment=fragment,
        )
    if told.action != "created" or _is_of_an_agent(body):
        return None
    command = mentions.command_in(body)
    if command is not None:
        if not told.own.is_app or is_given(comment, "performed_via_github_app"):
            return None
        choice = Choice(action=command.action, token=command.token, message_id=message_id)
        return told.inbound(
            "choice",
            root,
            subject=subject,
            message_id=message_id,
            occurred_at=at,
            choice=choice,
            fragment=fragment,
        )
    if mentions.is_stop(body):
        return told.inbound(
            "stopped",
            root,
            subject=subject,
            message_id=message_id,
            occurred_at=at,
            fragment=fragment,
        )
    return _mention(
        told, body, root, subject=subject, message_id=message_id, at=at, fragment=fragment
    )


def _review(told: Told) -> Inbound | None:
    review = part_at(told.payload, "review")
    number, review_id = _number(told, "pull_request"), id_at(review, "id")
    if told.action != "submitted" or not number or not review_id:
        return None
    if not _is_by_sender(told, review):
        return None
    return _mention(
        told,
        text_at(review, "body"),
        str(number),
        subject=("review", str(review_id)),
        message_id=f"v{review_id}",
        at=moment_at(review, "submitted_at"),
        fragment=f"#pullrequestreview-{review_id}",
    )


def _mention(
    told: Told,
    body: str,
    root: str,
    *,
    subject: tuple[str, ...],
    message_id: str,
    at: datetime | None,
    fragment: str = "",
    title: str = "",
) -> Inbound | None:
    login = told.own.mentioned_as
    if _is_of_an_agent(body) or not mentions.mentions(body, login):
        return None
    said = mentions.without_leading_mention(visible(body), login)
    return told.inbound(
        "message",
        root,
        subject=subject,
        message_id=message_id,
        occurred_at=at,
        text=f"{title}\n\n{said}" if title else said,
        typed=typed_in_markdown(body),
        fragment=fragment,
    )


# --- issues and pull requests --------------------------------------------------------------------


def _issue(told: Told) -> Inbound | None:
    return _opened_or_put(told, "issue")


def _pull(told: Told) -> Inbound | None:
    return _opened_or_put(told, "pull_request")


def _opened_or_put(told: Told, kind: str) -> Inbound | None:
    number = _number(told, kind)
    if not number:
        return None
    thing = part_at(told.payload, kind)
    match told.action:
        case "opened" if _is_by_sender(told, thing):
            return _mention(
                told,
                text_at(thing, "body"),
                str(number),
                subject=(kind, str(number)),
                message_id=str(number),
                at=moment_at(thing, "created_at"),
                title=text_at(thing, "title"),
            )
        case "assigned" if id_at(told.payload, "assignee", "id") == told.own.id:
            return _put(told, thing, number, "assigned", f"assigned #{number} to you")
        case "review_requested" if id_at(told.payload, "requested_reviewer", "id") == told.own.id:
            said = f"asks you to review #{number}"
            return _put(told, thing, number, "review_requested", said)
        case "labeled":
            label = text_at(told.payload, "label", "name")
            said = f"put the label {label!r} on #{number}"
            wanted = label_word(str(told.repo), label)
            return _put(told, thing, number, "labeled", said, which=label.lower(), wanted_as=wanted)
        case _:
            return None


def _put(
    told: Told,
    thing: Json,
    number: int,
    what: str,
    said: str,
    *,
    which: str = "",
    wanted_as: str = "",
) -> Inbound:
    """Something that people did without words: what is asked for stands in the thread, as data.

    Payloads give such an act no id of its own; the time of the change tells one from the next.
    """
    stamp = text_at(thing, "updated_at")
    return told.inbound(
        "message",
        str(number),
        subject=(what, str(number), *filter(None, (which,)), stamp),
        message_id=f"{what}:{stamp}",
        occurred_at=moment_at(thing, "updated_at"),
        text=f"{told.actor.name} {said}. Do what your instructions say about that.",
        wanted_as=wanted_as,
    )


# --- checks --------------------------------------------------------------------------------------


def _check_run(told: Told) -> Inbound | None:
    """A button of a check run of ours; which approval it is about stands in the run."""
    run = part_at(told.payload, "check_run")
    found = _EXTERNAL.fullmatch(text_at(run, "external_id"))
    action = text_at(told.payload, "requested_action", "identifier")
    run_id = id_at(run, "id")
    is_choice = told.action == "requested_action" and told.own.is_app and bool(action)
    if not is_choice or found is None or not run_id:
        return None
    message_id = f"k{run_id}"
    return told.inbound(
        "choice",
        found[1],
        # GitHub gives a click no id: its delivery is the only one that it has.
        subject=("check_run", str(run_id), told.delivery),
        message_id=message_id,
        occurred_at=None,
        choice=Choice(action=action, token=found[2], message_id=message_id),
    )


def _check_suite(told: Told) -> Inbound | None:
    """Of Actions only: nothing else has logs that we could look into."""
    suite = part_at(told.payload, "check_suite")
    if text_at(suite, "app", "slug") != _ACTIONS:
        return None
    is_fork = not text_at(suite, "head_branch")  # of another repository GitHub names no branch
    return _build(told, suite, source="check_suite", is_fork=is_fork)


def _workflow_run(told: Told) -> Inbound | None:
    run = part_at(told.payload, "workflow_run")
    if text_at(run, "event") not in _BUILT_BY:
        return None
    is_fork = id_at(run, "head_repository", "id") != told.repo_id
    return _build(told, run, source="workflow_run", is_fork=is_fork)


def _build(told: Told, thing: Json, *, source: str, is_fork: bool) -> Inbound | None:
    """A build that failed; both of its events are about the same commit.

    Where there is no pull request, the answer stands beside the commit, which only an App can write.
    """
    commit, thing_id = text_at(thing, "head_sha"), id_at(thing, "id")
    conclusion = text_at(thing, "conclusion")
    if told.action != "completed" or conclusion not in RED:
        return None
    if not thing_id or not _SHA.fullmatch(commit):
        return None
    pulls = tuple(n for pull in parts_at(thing, "pull_requests") if (n := _own_number(told, pull)))
    if not pulls and not told.own.is_app:
        return None
    build = FailedBuild(
        source="check_suite" if source == "check_suite" else "workflow_run",
        id=str(thing_id),
        commit=commit,
        branch=text_at(thing, "head_branch"),
        conclusion=conclusion,
        pulls=pulls,
        is_fork=is_fork,
    )
    return told.inbound(
        "build_failed",
        f"commit/{commit}",
        subject=("build", commit, source, str(thing_id), text_at(thing, "updated_at")),
        message_id=f"commit/{commit}",
        occurred_at=moment_at(thing, "updated_at"),
        build=build,
    )


_EVENTS: dict[str, Callable[[Told], Inbound | None]] = {
    "issue_comment": _issue_comment,
    "issues": _issue,
    "pull_request": _pull,
    "pull_request_review": _review,
    "pull_request_review_comment": _review_comment,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "workflow_run": _workflow_run,
}


def _is_pull(payload: Json) -> bool:
    return is_given(payload, "pull_request") or is_given(payload, "issue", "pull_request")


def _is_of_an_agent(body: str) -> bool:
    """Whether an agent wrote it, of this installation or of another one under a person's token."""
    return key_of(body) is not None


def _own_number(told: Told, pull: Json) -> int:
    """The number of a pull request, 0 where it goes into another repository.

    Anybody can open one from our branch to a fork of theirs, under a number of their choice, and
    GitHub names it beside our builds.
    """
    return id_at(pull, "number") if id_at(pull, "base", "repo", "id") == told.repo_id else 0


def _is_by_sender(told: Told, thing: Json) -> bool:
    """Whether who did it also wrote it; of what is deleted that is no matter."""
    return told.action == "deleted" or str(id_at(thing, "user", "id")) == told.actor.id


def _number(told: Told, kind: str) -> int:
    number = id_at(told.payload, kind, "number")
    try:
        return checked_number(number) if number else 0
    except InvalidName:
        return 0
