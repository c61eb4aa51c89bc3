"""GitHub's REST API, as much of it as OpenLoop uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from openloop.integrations.github.errors import Ambiguous, RateLimited, Refused, Unavailable
from openloop.integrations.github.marker import key_of, marked
from openloop.integrations.github.names import checked_number
from openloop.integrations.github.resources import (
    Comment,
    Issue,
    Page,
    Permission,
    Pull,
    PullFile,
    Repository,
    User,
    reader,
)
from openloop.integrations.github.verdicts import verdict
from openloop.integrations.github.wire import CONNECT_SECONDS, TOTAL_SECONDS, Answered, Lost, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from openloop.integrations.github.names import RepoName

State = Literal["open", "closed", "all"]
Query = dict[str, str | int]

BODY_LIMIT = 65_536
PAGE_SIZE = 30
LARGEST_PAGE = 100
PAGES_LOOKED_THROUGH = 10
CLOCK_MARGIN = timedelta(minutes=5)
"""How far GitHub's clock may be behind ours when we look for what we made."""

T = TypeVar("T")


class GitHubClient:
    """One GitHub, asked with one token.

    Every method raises the errors of `openloop.integrations.github.errors`. A read whose
    connection broke is made once more; a write never is. After a limit was met, nothing is sent
    until it is over. Lists are read page by page, by the caller.
    """

    def __init__(
        self,
        api_url: str,
        token: Callable[[], str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._wire = Wire(
            api_url, token, connect_seconds=connect_seconds, total_seconds=total_seconds
        )
        self._now = now
        self._limited_until: datetime | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def whoami(self) -> User:
        """Whose the token is."""
        return await self._read(User, "/user")

    async def repository(self, repo: RepoName) -> Repository:
        return await self._read(Repository, _path(repo))

    async def permission(self, repo: RepoName, login: str) -> str:
        """What somebody may do in a repository: admin, write, read or none.

        https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
        """
        found = await self._read(Permission, _path(repo, "collaborators", login, "permission"))
        return found.permission

    async def login_of(self, account_id: int) -> str:
        """The login of an account today; the id is the only thing about it that stays."""
        return (await self._read(User, f"/user/{account_id:d}")).login

    async def get_issue(self, repo: RepoName, number: int) -> Issue:
        """The issue - or the pull request, which GitHub counts as one."""
        return await self._read(Issue, _path(repo, "issues", checked_number(number)))

    async def list_issues(
        self,
        repo: RepoName,
        *,
        state: State = "open",
        labels: Sequence[str] = (),
        creator: str | None = None,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Issue]:
        """Newest first, pull requests among them; `since` is compared with the last update."""
        query: Query = {"state": state, "sort": "created", "direction": "desc"}
        if labels:
            query["labels"] = ",".join(labels)
        if creator is not None:
            query["creator"] = creator
        query |= _since(since) | _turn(page, page_size)
        return await self._read_page(Issue, _path(repo, "issues"), query)

    async def list_comments(
        self,
        repo: RepoName,
        number: int,
        *,
        since: datetime | None = None,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Comment]:
        """The conversation of an issue or pull request, oldest first."""
        path = _path(repo, "issues", checked_number(number), "comments")
        return await self._read_page(Comment, path, _since(since) | _turn(page, page_size))

    async def list_pulls(
        self,
        repo: RepoName,
        *,
        state: State = "open",
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Pull]:
        """Newest first."""
        query: Query = {"state": state, "sort": "created", "direction": "desc"}
        return await self._read_page(Pull, _path(repo, "pulls"), query | _turn(page, page_size))

    async def get_pull(self, repo: RepoName, number: int) -> Pull:
        return await self._read(Pull, _path(repo, "pulls", checked_number(number)))

    async def list_pull_files(
        self, repo: RepoName, number: int, *, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[PullFile]:
        path = _path(repo, "pulls", checked_number(number), "files")
        return await self._read_page(PullFile, path, _turn(page, page_size))

    async def create_issue(
        self, repo: RepoName, *, title: str, body: str, labels: Sequence[str] = (), key: str
    ) -> Issue:
        """Open an issue that `find_issue_by_marker` finds by `key`.

        Where our account may not write to the repository, GitHub leaves the labels out.
        """
        content: dict[str, object] = {"title": title, "body": _marked(body, key)}
        if labels:
            content["labels"] = list(labels)
        return await self._write(Issue, _path(repo, "issues"), content)

    async def create_comment(self, repo: RepoName, number: int, *, body: str, key: str) -> Comment:
        """Comment on an issue or pull request; `find_comment_by_marker` finds it by `key`."""
        path = _path(repo, "issues", checked_number(number), "comments")
        return await self._write(Comment, path, {"body": _marked(body, key)})

    async def find_issue_by_marker(
        self, repo: RepoName, key: str, *, since: datetime
    ) -> Issue | None:
        """The issue that our account opened with this key, not before `since`.

        None is no proof that there is none: GitHub's lists may lag behind its writes.
        """
        me = await self.whoami()
        earliest = since - CLOCK_MARGIN

        async def turn_to(page: int) -> Page[Issue]:
            return await self.list_issues(
                repo, state="all", creator=me.login, since=earliest, page=page
            )

        async for issue in _each(turn_to):
            if (
                issue.author.id == me.id
                and issue.created_at >= earliest
                and key_of(issue.body) == key
            ):
                return issue
        return None

    async def find_comment_by_marker(
        self, repo: RepoName, number: int, key: str, *, since: datetime
    ) -> Comment | None:
        """The comment that our account made with this key, not before `since`; see above."""
        me = await self.whoami()
        earliest = since - CLOCK_MARGIN

        async def turn_to(page: int) -> Page[Comment]:
            return await self.list_comments(repo, number, since=earliest, page=page)

        async for comment in _each(turn_to):
            if (
                comment.author.id == me.id
                and comment.created_at >= earliest
                and key_of(comment.body) == key
            ):
                return comment
        return None

    async def _read(self, kind: type[T], path: str) -> T:
        answered = await self._get(path, {})
        found = _parsed(kind, answered.body)
        if found is None:
            raise Refused("GitHub's answer was not understood", status=answered.status)
        return found

    async def _read_page(self, kind: type[T], path: str, query: Query) -> Page[T]:
        answered = await self._get(path, query)
        found = _parsed(list[kind], answered.body)
        if found is None:
            raise Refused("GitHub's answer was not understood", status=answered.status)
        has_next = 'rel="next"' in answered.headers.get("link", "")
        return Page(items=tuple(found), next_page=int(query["page"]) + 1 if has_next else None)

    async def _get(self, path: str, query: Query) -> Answered:
        answered = await self._exchange("GET", path, query=query)
        if _is_worth_repeating(answered):
            answered = await self._exchange("GET", path, query=query)
        match answered:
            case Lost(how="too_large", reason=reason):
                raise Refused(f"GitHub's answer is too large: {reason}")
            case Lost(reason=reason):
                raise Unavailable(f"GitHub gave no answer: {reason}")
            case Answered(status=status) if status >= 500:
                raise Unavailable(f"GitHub is in trouble ({status})")
            case Answered():
                return self._approve(answered)

    async def _write(self, kind: type[T], path: str, content: Mapping[str, object]) -> T:
        answered = await self._exchange("POST", path, content=content)
        match answered:
            case Lost(how="not_sent", reason=reason):
                raise Unavailable(f"GitHub could not be reached: {reason}")
            case Lost(reason=reason):
                raise Ambiguous(f"GitHub's answer was lost: {reason}")
            case Answered(status=status) if status >= 500 or status == 408:
                raise Ambiguous(f"GitHub failed while it was writing ({status})")
            case Answered():
                made = _parsed(kind, self._approve(answered).body)
        if made is None:
            raise Ambiguous("GitHub's answer was not understood")
        return made

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: Mapping[str, object] | None = None,
    ) -> Answered | Lost:
        if self._limited_until is not None and self._now() < self._limited_until:
            raise RateLimited(
                "GitHub asked us to wait; nothing was sent", retry_at=self._limited_until
            )
        return await self._wire.exchange(method, path, query=query, content=content)

    def _approve(self, answered: Answered) -> Answered:
        error = verdict(answered, now=self._now(), redact=self._wire.redact)
        if isinstance(error, RateLimited):
            self._limited_until = error.retry_at
        if error is not None:
            raise error
        return answered


def _path(repo: RepoName, *parts: str | int) -> str:
    each = ("repos", repo.owner, repo.name, *map(str, parts))
    return "".join(f"/{quote(part, safe='')}" for part in each)


def _since(moment: datetime | None) -> Query:
    if moment is None:
        return {}
    return {"since": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _turn(page: int, page_size: int) -> Query:
    return {"per_page": min(max(page_size, 1), LARGEST_PAGE), "page": max(page, 1)}


def _marked(body: str, key: str) -> str:
    whole = marked(body, key)
    if len(whole) > BODY_LIMIT:
        raise Refused(f"The text is too long: {len(whole)} of {BODY_LIMIT} characters")
    return whole


def _parsed(kind: type[T], body: bytes) -> T | None:
    try:
        return reader(kind)(body)
    except ValidationError:
        return None


def _is_worth_repeating(answered: Answered | Lost) -> bool:
    match answered:
        case Lost(how=how):
            return how in {"not_sent", "broken"}
        case Answered(status=status):
            return status in {502, 503, 504}


async def _each(turn_to: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """Everything in a list of at most `PAGES_LOOKED_THROUGH` pages.

    Raises:
        Ambiguous: the list goes on
    """
    number: int | None = 1
    while number is not None:
        if number > PAGES_LOOKED_THROUGH:
            raise Ambiguous(f"Not found in the first {PAGES_LOOKED_THROUGH} pages of a longer list")
        page = await turn_to(number)
        for item in page.items:
            yield item
        number = page.next_page
