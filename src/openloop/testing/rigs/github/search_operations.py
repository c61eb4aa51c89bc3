"""Search: an index of issues and of the code of default branches, which a test can let lag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import Asked, Route, page_of
from openloop.testing.rigs.github.ci_shapes import minimal_repository
from openloop.testing.rigs.github.rows import sha_of
from openloop.testing.rigs.github.shapes import HTML_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.testing.rigs.github.rows import Issue, Repository
    from openloop.testing.rigs.github.shapes import Json

AROUND = 40
"""How many characters beside a match are shown."""


def search_issues(asked: Asked) -> Answer:
    """By words in title and text; of qualifiers `repo:`, `is:` and `state:` are known."""
    words, qualifiers = _parsed(asked)
    if not {"issue", "pull-request"} & set(qualifiers.get("is", [])):
        message = "Query must include 'is:issue' or 'is:pull-request'"
        raise answers.invalid("Search", "q", "custom", message)
    found = [
        (repository, issue)
        for repository in _repositories(asked, qualifiers)
        for issue in repository.issues.values()
        if _is_meant(issue, qualifiers) and _holds(f"{issue.title}\n{issue.body or ''}", words)
    ]
    return page_of(
        asked,
        found,
        lambda pair: _found_issue(asked, *pair),
        below="items",
        beside={"incomplete_results": False, "search_type": "lexical"},
    )


def search_code(asked: Asked) -> Answer:
    """By words in the files of default branches."""
    words, qualifiers = _parsed(asked)
    if not words:
        raise answers.invalid("Search", "q", "missing")
    found = [
        (repository, path, content.decode(errors="replace"))
        for repository in _repositories(asked, qualifiers)
        for path, content in _code(repository)
        if _holds(f"{path}\n{content.decode(errors='replace')}", words)
    ]
    return page_of(
        asked,
        found,
        lambda one: _found_file(asked, *one, words=words),
        below="items",
        beside={"incomplete_results": False},
    )


def _parsed(asked: Asked) -> tuple[list[str], dict[str, list[str]]]:
    words: list[str] = []
    qualifiers: dict[str, list[str]] = {}
    for token in asked.query.get("q", "").split():
        name, colon, value = token.partition(":")
        if colon and value:
            qualifiers.setdefault(name.lower(), []).append(value)
        else:
            words.append(token.strip('"').lower())
    return words, qualifiers


def _repositories(asked: Asked, qualifiers: dict[str, list[str]]) -> Iterator[Repository]:
    """Those that are named, several together; without any, all that may be seen."""
    names = {name.lower() for name in qualifiers.get("repo", [])}
    for repository in asked.state.repositories.values():
        is_seen = not repository.private or (
            asked.token is not None
            and asked.token.reaches(repository.full_name)
            and repository.allows(asked.viewer, "read")
        )
        if is_seen and (not names or repository.full_name.lower() in names):
            yield repository


def _is_meant(issue: Issue, qualifiers: dict[str, list[str]]) -> bool:
    kind = "issue" if issue.pull is None else "pull-request"
    wanted = {*qualifiers.get("is", []), *qualifiers.get("state", [])}
    return kind in wanted and (not {"open", "closed"} & wanted or issue.state in wanted)


def _holds(text: str, words: list[str]) -> bool:
    return all(word in text.lower() for word in words)


def _code(repository: Repository) -> Iterator[tuple[str, bytes]]:
    tip = repository.history.find(repository.default_branch)
    if tip is not None:
        yield from tip.files.items()


def _found_issue(asked: Asked, repository: Repository, issue: Issue) -> Json:
    """`issue-search-result-item`."""
    shape = asked.shapes.issue(repository, issue)
    shape.pop("closed_by", None)
    return shape | {"score": 1.0}


def _found_file(
    asked: Asked, repository: Repository, path: str, text: str, *, words: list[str]
) -> Json:
    """`code-search-result-item`; with the accepted media type also where the words are."""
    sha, url = sha_of(text.encode()), f"{asked.shapes.api_url}/repos/{repository.full_name}"
    shape: Json = {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "url": f"{url}/contents/{path}?ref={repository.default_branch}",
        "git_url": f"{url}/git/blobs/{sha}",
        "html_url": f"{HTML_URL}/{repository.full_name}/blob/{repository.default_branch}/{path}",
        "repository": minimal_repository(asked.shapes, repository),
        "score": 1.0,
    }
    if "text-match" not in asked.accept:
        return shape
    places = (re.search(re.escape(word), text, re.IGNORECASE) for word in words)
    matches: list[Json] = [
        {
            "object_url": shape["url"],
            "object_type": "FileContent",
            "property": "content",
            "fragment": text[max(0, place.start() - AROUND) : place.end() + AROUND],
            "matches": [{"text": place[0], "indices": [place.start(), place.end()]}],
        }
        for place in places
        if place is not None
    ]
    return shape | {"text_matches": matches}


SEARCH_ROUTES: tuple[Route, ...] = (
    Route("GET", "/search/issues", (), "read", search_issues),
    Route("GET", "/search/code", (), "read", search_code),
)
