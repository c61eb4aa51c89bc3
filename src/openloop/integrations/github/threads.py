"""Threads on GitHub: an issue's conversation, and the threads on the lines of a pull request.

`42` is the conversation of issue or pull request 42; `42/r900` the review thread that began with
review comment 900. Messages are named by their kind and number: `c1` a comment, `r1` a review
comment, `42` the text of the issue itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from openloop.domain.surface import ThreadMessage
from openloop.integrations.github.actors import repo_in
from openloop.integrations.github.errors import Ambiguous, Refused
from openloop.integrations.github.exchange import LARGEST_PAGE, each, in_repo
from openloop.integrations.github.hidden import visible
from openloop.integrations.github.marker import key_of, unmarked
from openloop.integrations.github.resources import ReviewComment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from openloop.domain.surface import Thread
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.requests.comments import Sign
    from openloop.integrations.github.resources import Comment, Page, User

MOST_HISTORY = 200

OpKind = Literal["say", "card", "progress"]

_ROOT = re.compile(r"([1-9][0-9]{0,9})(?:/r([1-9][0-9]{0,18}))?")
_MESSAGE = re.compile(r"([cr])([1-9][0-9]{0,18})")
_MARK = re.compile(r"(?P<key>.+):(?P<kind>say|card|progress):(?P<part>[0-9]{1,4})")
# A key with a UUIDv7 in it says when the op was made: nothing older can be its message. The
# margin covers clocks that disagree.
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a thread is."""

    repo: RepoName
    number: int
    review: int | None = None

    @staticmethod
    def of(thread: Thread) -> Address:
        """The address of a thread of ours.

        Raises:
            Refused: nothing can be said there
        """
        found = _ROOT.fullmatch(thread.root)
        if found is None:
            raise Refused(f"{thread.root!r} is no conversation on GitHub")
        review = int(found[2]) if found[2] else None
        return Address(repo=repo_in(thread.place), number=int(found[1]), review=review)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The messages of one op by their part; `is_certain` where the whole range was read."""

    ids: Mapping[int, str]
    is_certain: bool


class Threads:
    """Reading and writing in threads."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    async def post(self, thread: Thread, body: str, *, key: str, kind: OpKind, part: int) -> str:
        """Say something; returns the message's id. It is found again by key, kind and part."""
        at, mark = Address.of(thread), f"{key}:{kind}:{part}"
        if at.review is None:
            made = await self._client.create_comment(at.repo, at.number, body=body, key=mark)
            return f"c{made.id}"
        reply = await self._client.reply_to_review(
            at.repo, at.number, at.review, body=body, key=mark
        )
        return f"r{reply.id}"

    async def replace(
        self, thread: Thread, message_id: str, body: str, *, key: str, kind: OpKind
    ) -> None:
        """Put another text in the place of a message's; the same may be done again."""
        at, (which, number) = Address.of(thread), _message(message_id)
        mark, gives_way = f"{key}:{kind}:0", kind == "progress"
        update = self._client.update_comment if which == "c" else self._client.update_review_comment
        await update(at.repo, number, body=body, key=mark, is_progress=gives_way)

    async def remove(self, thread: Thread, message_id: str) -> None:
        """Take a message of ours away."""
        at, (which, number) = Address.of(thread), _message(message_id)
        below = "issues" if which == "c" else "pulls"
        await self._client.delete(in_repo(at.repo, below, "comments", number))

    async def text_of(self, thread: Thread, message_id: str) -> str:
        """The body of a comment of ours as it stands there, mark and all."""
        at, (which, number) = Address.of(thread), _message(message_id)
        if which == "c":
            return (await self._client.get_comment(at.repo, number)).body or ""
        return (await self._client.get_review_comment(at.repo, number)).body

    async def react(self, thread: Thread, message_id: str, sign: Sign) -> None:
        """React to a message; to what cannot be reacted to, the issue stands in."""
        at = Address.of(thread)
        found = _MESSAGE.fullmatch(message_id)
        if found is None:
            await self._client.react_to_issue(at.repo, at.number, sign)
        elif found[1] == "c":
            await self._client.react_to_comment(at.repo, int(found[2]), sign)
        else:
            await self._client.react_to_review_comment(at.repo, int(found[2]), sign)

    async def find(self, thread: Thread, *, key: str, kind: OpKind) -> Found:
        """Look for our messages of one op in a thread."""
        me = await self._client.me(repo_in(thread.place))
        ids: dict[int, str] = {}
        try:
            async for said in self._since(thread, made_at(key)):
                marked = _own_mark(said, me)
                if marked is not None and (marked["key"], marked["kind"]) == (key, kind):
                    ids[int(marked["part"])] = _id_of(said)
        except Ambiguous:
            return Found(ids=ids, is_certain=False)
        return Found(ids=ids, is_certain=True)

    async def find_progress(self, thread: Thread) -> str | None:
        """A progress comment that somebody left in a thread within the last day."""
        me = await self._client.me(repo_in(thread.place))
        found = None
        async for said in self._since(thread, datetime.now(UTC) - timedelta(days=1)):
            marked = _own_mark(said, me)
            if marked is not None and marked["kind"] == "progress":
                found = _id_of(said)
        return found

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        """The newest `limit` messages (200 at most), oldest first."""
        at = Address.of(thread)
        me = await self._client.me(at.repo)
        limit = max(1, min(limit, MOST_HISTORY))
        issue = await self._client.get_issue(at.repo, at.number)
        opening = ThreadMessage(
            id=str(at.number),
            author_id=str(issue.author.id),
            author_name=issue.author.login,
            sent_at=issue.created_at,
            text=f"{issue.title}\n\n{visible(unmarked(issue.body))}".strip(),
            by_us=issue.author.id == me.id and key_of(issue.body) is not None,
            by_bot=_is_bot(issue.author),
            link=issue.link,
        )
        if at.review is None:
            said = await self._newest(at, issue.comments, limit)
        else:
            said = [each async for each in self._since(thread, None)]
        talk = [_as_message(each, me) for each in said if not _is_noise(each, me)]
        return tuple([opening, *talk][-limit:])

    async def _newest(self, at: Address, count: int, limit: int) -> list[Comment]:
        """The end of a conversation: its last pages, since GitHub lists it from the beginning."""
        number = max((count + LARGEST_PAGE - 1) // LARGEST_PAGE, 1)
        page = await self._comments(at, number)
        found = [*page.items]
        while page.next_page is not None:  # somebody spoke in between
            page = await self._comments(at, page.next_page)
            found += page.items
        while len(found) < limit and number > 1:
            number -= 1
            found = [*(await self._comments(at, number)).items, *found]
        return found

    async def _comments(
        self, at: Address, page: int, *, since: datetime | None = None
    ) -> Page[Comment]:
        return await self._client.list_comments(
            at.repo, at.number, since=since, page=page, page_size=LARGEST_PAGE
        )

    async def _since(
        self, thread: Thread, since: datetime | None
    ) -> AsyncIterator[Comment | ReviewComment]:
        """Everything that was said in a thread since then.

        Raises:
            Ambiguous: there is more than is looked through
        """
        at = Address.of(thread)
        if at.review is None:
            async for comment in each(lambda page: self._comments(at, page, since=since)):
                yield comment
            return

        async def turn_to(page: int) -> Page[ReviewComment]:
            return await self._client.list_review_comments(
                at.repo, at.number, since=since, page=page, page_size=LARGEST_PAGE
            )

        async for comment in each(turn_to):
            if at.review in (comment.id, comment.reply_to):
                yield comment


def is_comment(message_id: str) -> bool:
    """Whether a message is a comment, which somebody can react to without meaning the whole issue."""
    return _MESSAGE.fullmatch(message_id) is not None


def made_at(key: str) -> datetime | None:
    """Before which nothing of an op can be there; None where its key does not tell."""
    found = _UUID7.search(key.lower())
    if found is None:
        return None
    milliseconds = UUID(found[0]).int >> 80
    return datetime.fromtimestamp(milliseconds / 1000, UTC) - _MARGIN


def _message(message_id: str) -> tuple[str, int]:
    found = _MESSAGE.fullmatch(message_id)
    if found is None:
        raise Refused(f"{message_id!r} is no comment")
    return found[1], int(found[2])


def _id_of(said: Comment | ReviewComment) -> str:
    return f"{'r' if isinstance(said, ReviewComment) else 'c'}{said.id}"


def _own_mark(said: Comment | ReviewComment, me: User) -> re.Match[str] | None:
    """The mark of an op; only what our own account wrote has one."""
    return _MARK.fullmatch(key_of(said.body) or "") if said.author.id == me.id else None


def _is_noise(said: Comment | ReviewComment, me: User) -> bool:
    """What is not talk: our own cards and progress."""
    marked = _own_mark(said, me)
    return marked is not None and marked["kind"] != "say"


def _as_message(said: Comment | ReviewComment, me: User) -> ThreadMessage:
    text = visible(unmarked(said.body))
    hunk = ""
    if isinstance(said, ReviewComment) and said.reply_to is None:
        hunk = f"{said.path}\n{said.diff_hunk}".strip()
    return ThreadMessage(
        id=_id_of(said),
        author_id=str(said.author.id),
        author_name=said.author.login,
        sent_at=said.created_at,
        text=f"{hunk}\n\n{text}" if hunk else text,
        by_us=said.author.id == me.id and key_of(said.body) is not None,
        by_bot=_is_bot(said.author),
        link=said.link,
    )


def _is_bot(user: User) -> bool:
    return user.login.endswith("[bot]")
