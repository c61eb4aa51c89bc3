"""The time, the numbers and the news of the fake GitHub: what everything that changes it needs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openloop.testing.rigs.github.happened import Happened


class Chronicle:
    """What happens is told to every one of `watchers`, at once and in order.

    `clock` gives the time of everything that is made; GitHub keeps whole seconds.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._ids: Iterator[int] = itertools.count(1001)
        self.watchers: list[Callable[[Happened], None]] = []

    def now(self) -> datetime:
        """The time now in whole seconds, as GitHub writes it."""
        return self._clock().replace(microsecond=0)

    def new_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def tell(self, happened: Happened) -> None:
        """Let everybody who watches know."""
        for watcher in self.watchers:
            watcher(happened)
