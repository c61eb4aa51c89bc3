"""The lists of a repository that together say what happened in it, each told as a webhook tells it.

With a personal token there is no App that GitHub would deliver to, so these lists are asked instead.
Every entry becomes the payload that a webhook would have had, as far as `decode` reads it: what is
said of events is written once. Pure functions of one entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from openloop.integrations.github.payloads import id_at, is_given, moment_at, part_at, text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from openloop.integrations.github.payloads import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a webhook would have said of an entry; `key` is in place of its delivery's id.

    `node` names the text that somebody else may have edited since: it has to be asked for.
    """

    event: str
    key: str
    payload: Mapping[str, object]
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One list below a repository.

    `order`: by `since` it names what was updated since then, oldest first; by `newest` it begins
    with the newest, by `oldest` with the oldest of all. `happened_at` is when an entry came to be,
    `moved_at` what the list goes by. `unneeded` are parts that nobody reads and others can make
    long.
    """

    name: str
    path: tuple[str, ...]
    order: Literal["since", "newest", "oldest"]
    tell: Callable[[Json, Json], Told | None]
    happened_at: tuple[str, ...] = ("created_at",)
    moved_at: tuple[str, ...] = ("updated_at",)
    query: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    below: str | None = None
    unneeded: tuple[tuple[str, ...], ...] = ()


def happened_at(feed: Feed, entry: Json) -> datetime | None:
    """When the entry came to be."""
    return moment_at(entry, *feed.happened_at)


def moved_at(feed: Feed, entry: Json) -> datetime | None:
    """What the list is ordered by."""
    return moment_at(entry, *feed.moved_at)


def identity_of(feed: Feed, entry: Json) -> str:
    """What tells an entry from all others of its list."""
    attempt = id_at(entry, "run_attempt")
    return f"{id_at(entry, 'id')}.{attempt}" if feed.below and attempt else str(id_at(entry, "id"))


def lean(feed: Feed, entry: Json, *, is_new: bool) -> Json:
    """The entry without what nobody reads of it: the text of one that is not new among that."""
    for path in feed.unneeded if is_new else (*feed.unneeded, ("body",)):
        entry = _without(entry, path)
    return entry


def _without(entry: Json, path: tuple[str, ...]) -> Json:
    name, *rest = path
    if not is_given(entry, name):
        return entry
    left = {each: what for each, what in entry.items() if each != name}
    return {**left, name: _without(part_at(entry, name), tuple(rest))} if rest else left


def number_in(url: str) -> int:
    """The number that an address of an issue or a pull request ends with; 0 where it has none."""
    last = url.rsplit("/", 1)[-1]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0


def _opened(entry: Json, repository: Json) -> Told | None:
    event, kind = ("pull_request",) * 2 if is_given(entry, "pull_request") else ("issues", "issue")
    return Told(
        event=event,
        key=f"poll:{kind}:{id_at(entry, 'id')}",
        payload=_payload("opened", repository, part_at(entry, "user"), {kind: entry}),
        node=_edited_node(entry),
    )


def _commented(entry: Json, repository: Json) -> Told | None:
    number = number_in(text_at(entry, "issue_url"))
    issue: dict[str, object] = {"number": number}
    if "/pull/" in text_at(entry, "html_url"):
        issue["pull_request"] = {}
    content = {"issue": issue, "comment": entry}
    return Told(
        event="issue_comment",
        key=f"poll:comment:{id_at(entry, 'id')}",
        payload=_payload("created", repository, part_at(entry, "user"), content),
        node=_edited_node(entry),
    )


def _commented_on_code(entry: Json, repository: Json) -> Told | None:
    number = number_in(text_at(entry, "pull_request_url"))
    content = {"pull_request": {"number": number}, "comment": entry}
    return Told(
        event="pull_request_review_comment",
        key=f"poll:review_comment:{id_at(entry, 'id')}",
        payload=_payload("created", repository, part_at(entry, "user"), content),
        node=_edited_node(entry),
    )


def reviews_of(number: int) -> Feed:
    """The reviews of a pull request; there is no list of all that were written in a repository."""
    return Feed(
        name="reviews",
        path=("pulls", str(number), "reviews"),
        order="oldest",
        tell=lambda entry, repository: _reviewed(entry, repository, number),
        happened_at=("submitted_at",),
        moved_at=("submitted_at",),
    )


def _reviewed(entry: Json, repository: Json, number: int) -> Told | None:
    if not is_given(entry, "submitted_at"):
        return None  # not handed in yet
    content = {"pull_request": {"number": number}, "review": entry}
    return Told(
        event="pull_request_review",
        key=f"poll:review:{id_at(entry, 'id')}",
        payload=_payload("submitted", repository, part_at(entry, "user"), content),
        # GitHub says nowhere when a review was edited last.
        node=text_at(entry, "node_id"),
    )


def _put(entry: Json, repository: Json) -> Told | None:
    """An assignment, a label, a request for review; who did it stands in a field of its own."""
    what = text_at(entry, "event")
    if what not in {"assigned", "labeled", "review_requested"} or not is_given(entry, "issue"):
        return None
    issue = part_at(entry, "issue")
    event, kind = ("pull_request",) * 2 if is_given(issue, "pull_request") else ("issues", "issue")
    doers = ("assigner", "review_requester", "actor")
    by = next((name for name in doers if is_given(entry, name)), "actor")
    # As the webhook has it: the time of the change is when the issue was updated.
    thing = {**issue, "updated_at": text_at(entry, "created_at")}
    content: dict[str, object] = {kind: thing}
    for name in ("assignee", "label", "requested_reviewer"):
        if is_given(entry, name):
            content[name] = part_at(entry, name)
    return Told(
        event=event,
        key=f"poll:event:{id_at(entry, 'id')}",
        payload=_payload(what, repository, part_at(entry, by), content),
    )


def _ran(entry: Json, repository: Json) -> Told | None:
    key = f"poll:run:{id_at(entry, 'id')}:{id_at(entry, 'run_attempt')}"
    by = part_at(entry, "triggering_actor") or part_at(entry, "actor")
    payload = _payload("completed", repository, by, {"workflow_run": entry})
    return Told(event="workflow_run", key=key, payload=payload)


def _payload(
    action: str, repository: Json, sender: Json, content: Mapping[str, object]
) -> Mapping[str, object]:
    return {"action": action, "repository": repository, "sender": sender, **content}


def _edited_node(entry: Json) -> str:
    """The text to ask about: an entry that was updated later may not be its author's any more."""
    if text_at(entry, "updated_at") == text_at(entry, "created_at"):
        return ""
    return text_at(entry, "node_id")


_UPDATED: Mapping[str, str | int] = {"sort": "updated", "direction": "asc"}
_RUNS = ("actions", "runs")

ISSUES = Feed(
    name="issues",
    path=("issues",),
    order="since",
    tell=_opened,
    query={"state": "all", **_UPDATED},
)
FEEDS = (
    ISSUES,
    Feed(
        name="comments", path=("issues", "comments"), order="since", tell=_commented, query=_UPDATED
    ),
    Feed(
        name="review_comments",
        path=("pulls", "comments"),
        order="since",
        tell=_commented_on_code,
        query=_UPDATED,
    ),
    Feed(
        name="events",
        path=("issues", "events"),
        order="newest",
        tell=_put,
        moved_at=("created_at",),
        unneeded=(("issue", "body"),),
    ),
    *(
        Feed(
            name=f"runs_{status}",
            path=_RUNS,
            order="newest",
            tell=_ran,
            happened_at=("updated_at",),
            moved_at=("created_at",),
            query={"status": status},
            below="workflow_runs",
            unneeded=(("head_commit",), ("repository",)),
        )
        for status in ("failure", "timed_out")
    ),
)
