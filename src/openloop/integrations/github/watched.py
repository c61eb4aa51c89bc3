"""How far the watched repositories are read, as their bookmark keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import structlog
from pydantic import TypeAdapter, ValidationError

from openloop.domain.bookmark import Gap, Unread

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from openloop.plugin import Bookmark

OVERLAP = timedelta(minutes=2)
MOST_TOO_LARGE = 50

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Where reading stopped before the end of a list: it goes on `at`, and is new since `new_from`."""

    at: datetime
    new_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRead:
    """How far one list is read, by GitHub's clock.

    `seen` are its newest entries, `too_large` those that were passed over last, by their ETags.
    """

    through: datetime
    seen: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    too_large: tuple[str, ...] = ()
    halt: Halt | None = None

    @property
    def cut(self) -> datetime:
        """From when on the list is asked for: what appears late is found by the overlap."""
        return self.through - OVERLAP if self.halt is None else self.halt.at

    @property
    def new_from(self) -> datetime:
        """What happened before this is not new, however late it was changed."""
        return self.cut if self.halt is None else self.halt.new_from

    def with_read(
        self,
        entries: Mapping[str, datetime],
        *,
        through: datetime,
        too_large: Sequence[str] = (),
        halt: Halt | None = None,
    ) -> FeedRead:
        """The same after these, too."""
        through = max(self.through, through)
        seen = {**self.seen, **entries}
        return FeedRead(
            through=through,
            seen={id: at for id, at in seen.items() if at >= through - OVERLAP},
            too_large=(*self.too_large, *too_large)[-MOST_TOO_LARGE:],
            halt=halt,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoRead:
    """How far a repository is read, and when its lists were looked at last."""

    looked_at: datetime
    feeds: Mapping[str, FeedRead] = field(default_factory=dict[str, FeedRead])


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """All that is kept; what cannot be read stands under `unread`, where `doctor` looks for it."""

    repositories: Mapping[str, RepoRead] = field(default_factory=dict[str, RepoRead])
    unread: Mapping[str, Unread] = field(default_factory=dict[str, Unread])

    @staticmethod
    def of(kept: Mapping[str, object] | None, *, watched: Container[str]) -> Read:
        """What a bookmark says of the repositories that are still watched."""
        try:
            read = _reader().validate_python(kept or {})
        except ValidationError:
            _log.warning("github.bookmark_unreadable")
            return Read()
        return Read(
            repositories={
                name: each for name, each in read.repositories.items() if name in watched
            },
            unread={
                what: each for what, each in read.unread.items() if what.split(" ")[0] in watched
            },
        )


@cache
def _reader() -> TypeAdapter[Read]:
    return TypeAdapter(Read)


class Ledger:
    """What is read, written to its bookmark with each change."""

    def __init__(self, bookmark: Bookmark, *, watched: Container[str]) -> None:
        self._bookmark = bookmark
        self._read = Read.of(bookmark.read, watched=watched)

    def find(self, repository: str) -> RepoRead | None:
        """How far a repository is read; None where it never was."""
        return self._read.repositories.get(repository)

    async def keep(self, repository: str, read: RepoRead, *, gap: Gap | None = None) -> None:
        """Keep how far it is read, and what can no longer be.

        Raises:
            LostBookmark: another process reads now
        """
        repositories = {**self._read.repositories, repository: read}
        await self._keep(replace(self._read, repositories=repositories), gap=gap)

    async def keep_unread(self, what: str, reason: str) -> None:
        """Keep that something cannot be read, since when and why."""
        known = self._read.unread.get(what)
        since = datetime.now(UTC) if known is None else known.since
        told = Unread(since=since, reason=reason)
        if told != known:
            await self._keep(replace(self._read, unread={**self._read.unread, what: told}))

    async def keep_readable(self, what: str) -> None:
        """Keep that it can be read again."""
        if what in self._read.unread:
            unread = {each: why for each, why in self._read.unread.items() if each != what}
            await self._keep(replace(self._read, unread=unread))

    async def _keep(self, read: Read, *, gap: Gap | None = None) -> None:
        await self._bookmark.keep(_reader().dump_python(read, mode="json"), gap=gap)
        self._read = read
