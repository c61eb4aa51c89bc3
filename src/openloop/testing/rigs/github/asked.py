"""A request of the fake GitHub as its operations see it, and what they all need to answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import unquote, urlencode

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openloop.testing.rigs.github.log_host import LogHost
    from openloop.testing.rigs.github.shapes import Json, Shapes
    from openloop.testing.rigs.github.state import (
        GitHubState,
        Issue,
        Level,
        Repository,
        Token,
        User,
    )

BODY_LIMIT = 65_536
TITLE_LIMIT = 256
PAGE_LIMIT = 100

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request after it was let in: who asks, for what, about which repository."""

    state: GitHubState
    shapes: Shapes
    url: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    content: object
    token: Token | None
    rate: Json
    log_host: LogHost
    accept: str = ""

    @property
    def viewer(self) -> User | None:
        return self.token.user if self.token is not None else None

    @property
    def author(self) -> User:
        """Who writes; only for operations that need a token."""
        if self.token is None:
            raise answers.login_required()
        return self.token.user

    @property
    def repository(self) -> Repository:
        """The repository in the path; it was found and may be seen."""
        found = self.state.find_repository(f"{self.parts['owner']}/{self.parts['repo']}")
        if found is None:
            raise answers.not_found()
        return found

    def issue(self) -> Issue:
        """The issue or pull in the path."""
        repository = self.repository
        found = repository.issues.get(int(self.parts["number"]))
        if found is None:
            raise answers.not_found()
        if not repository.has_issues and found.pull is None:
            raise answers.gone()
        return found

    def pull(self) -> Issue:
        """The pull request in the path; an issue is none."""
        found = self.repository.issues.get(int(self.parts["number"]))
        if found is None or found.pull is None:
            raise answers.not_found()
        return found

    def part(self, name: str) -> str:
        """A part of the path, decoded."""
        return unquote(self.parts[name])

    def fields(self) -> Json:
        """The JSON object of the body."""
        if not isinstance(self.content, dict):
            raise answers.bad_request("Body should be a JSON object")
        return cast("Json", self.content)

    def since(self) -> datetime | None:
        """The `since` of the query, compared with when a thing was last updated."""
        text = self.query.get("since")
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise answers.invalid("Search", "since", "invalid") from None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    def choice(self, name: str, *allowed: str) -> str:
        """One of the allowed words; the first where the query says nothing."""
        given = self.query.get(name, allowed[0])
        if given not in allowed:
            raise answers.invalid("Issue", name, "invalid")
        return given

    def text(self, name: str, *, resource: str, limit: int = BODY_LIMIT) -> str | None:
        """A text of the body; None where it is not there."""
        text = self.fields().get(name)
        if text is None:
            return None
        if not isinstance(text, str):
            raise answers.invalid(resource, name, "invalid")
        if len(text) > limit:
            message = f"{name} is too long (maximum is {limit} characters)"
            raise answers.invalid(resource, name, "custom", message)
        return text

    def written_body(self, resource: str) -> str:
        """The text of a comment, which may not be empty."""
        body = self.text("body", resource=resource)
        if body is None or not body.strip():
            raise answers.invalid(resource, "body", "missing_field")
        return body


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path, the permissions of which one is needed, and what is done."""

    method: str
    template: str
    permissions: tuple[str, ...]
    level: Level
    act: Callable[[Asked], Answer]

    @property
    def operation(self) -> str:
        """The name under which a call is recorded."""
        return f"{self.method} {self.template}"

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is this route's; None for another's."""
        if method != self.method:
            return None
        number = r"(?P<number>[1-9][0-9]{0,9})"
        pattern = re.sub(r"\{(issue|pull)_number\}", lambda _: number, self.template)
        pattern = re.sub(r"\{(\w+_id)\}", r"(?P<\1>[1-9][0-9]{0,15})", pattern)
        pattern = re.sub(r"\{path\}", r"(?P<path>.*)", pattern)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found is not None else None


def page_of(
    asked: Asked,
    things: Sequence[Thing],
    shape: Callable[[Thing], Json],
    *,
    below: str | None = None,
    beside: Json | None = None,
) -> Answer:
    """One page of a list, with the RFC 8288 links to the others; `below` wraps it as GitHub does."""
    size = min(max(number_in(asked.query.get("per_page"), 30), 1), PAGE_LIMIT)
    page = max(number_in(asked.query.get("page"), 1), 1)
    last = max((len(things) + size - 1) // size, 1)
    turns = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    shown = {
        name: number
        for name, number in turns.items()
        if (page < last if name in {"next", "last"} else page > 1)
    }
    links = (
        f'<{asked.url}?{urlencode({**asked.query, "page": number})}>; rel="{name}"'
        for name, number in shown.items()
    )
    content = [shape(thing) for thing in things[(page - 1) * size : page * size]]
    headers = {"Link": ", ".join(links)} if shown else {}
    if below is None:
        return Answer(200, content, headers)
    return Answer(200, {"total_count": len(things), **(beside or {}), below: content}, headers)


def number_in(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,9}", text) else default


def refuse_archived(repository: Repository) -> None:
    if repository.archived:
        raise answers.forbidden("Repository was archived so is read-only.")
