"""What the code needs of GitHub: permissions and events, each with what would not work without it.

This is the only list. The manifest of the App, the tokens asked for, `github check` and the guide
are made from it, and tests hold it against what is asked of GitHub and what is heard: each level has
a request that is refused without it, and each event becomes something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A permission of GitHub, and what is done with it.

    `grants` are the permissions of tools, as manifests name them, that rest on it.
    """

    name: str
    level: Level
    needed_for: str
    grants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A webhook event, and the permission without which an App cannot subscribe to it."""

    name: str
    permission: str


PERMISSIONS = (
    Permission(
        name="metadata",
        level="read",
        needed_for="repositories by name, and who may write to them",
    ),
    Permission(
        name="issues",
        level="write",
        needed_for="issues, their comments and labels, and answers there",
        grants=("issues:read", "issues:write"),
    ),
    Permission(
        name="pull_requests",
        level="write",
        needed_for="pull requests, reviews, and answers there",
        grants=("pulls:read", "pulls:write"),
    ),
    Permission(
        name="contents",
        level="read",
        needed_for="files, commits and comparisons",
        grants=("contents:read",),
    ),
    Permission(
        name="checks",
        level="write",
        needed_for="check runs, and approvals as their actions",
        grants=("checks:read",),
    ),
    Permission(
        name="actions",
        level="read",
        needed_for="workflow runs, jobs and logs",
        grants=("actions:read",),
    ),
)

EVENTS = (
    Event(name="issues", permission="issues"),
    Event(name="issue_comment", permission="issues"),
    Event(name="pull_request", permission="pull_requests"),
    Event(name="pull_request_review", permission="pull_requests"),
    Event(name="pull_request_review_comment", permission="pull_requests"),
    Event(name="check_run", permission="checks"),
    Event(name="check_suite", permission="checks"),
    Event(name="workflow_run", permission="actions"),
)

_ORDER = ("read", "write", "admin")


def narrowed(given: Mapping[str, str]) -> dict[str, str]:
    """Of what an installation was given, what the code uses; a token asks for no more."""
    return {
        each.name: min(each.level, given[each.name], key=_ORDER.index)
        for each in PERMISSIONS
        if given.get(each.name) in _ORDER
    }


def missing(given: Mapping[str, str]) -> list[Permission]:
    """What the code needs and was not given."""
    return [each for each in PERMISSIONS if not _suffices(given.get(each.name), each.level)]


def excessive(given: Mapping[str, str]) -> dict[str, str]:
    """What was given and is not used."""
    needed = {each.name: each.level for each in PERMISSIONS}
    return {
        name: level
        for name, level in sorted(given.items())
        if name not in needed
        or (level in _ORDER and _suffices(level, "write") and needed[name] == "read")
    }


def _suffices(given: str | None, needed: str) -> bool:
    return given in _ORDER and _ORDER.index(given) >= _ORDER.index(needed)
