"""Who works next: slots of one worker, shared fairly between workspaces, by priority within one.

One workspace may fill every slot while it is alone. As soon as another one has work, and for a
minute after that, nobody gets more than a third of them, and a slot that falls free goes to the
workspace that has the fewest. So a neighbour with thousands of runs delays one with a single run by
a slot's turn and not by its queue (`bench/fairness.py`).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openloop.domain.priority import Priority

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from openloop.domain.ids import WorkspaceId

REMEMBERED_SECONDS = 60.0
SHARED_BY = 3


@dataclass(frozen=True, slots=True, order=True)
class _Turn:
    """Somebody who waits; of one priority, whoever came first is first."""

    priority: Priority
    number: int
    given: asyncio.Future[None] = field(compare=False)


class Slots:
    """A bounded number of slots; `one` waits for the next that this workspace may have."""

    def __init__(self, total: int, *, clock: Callable[[], float] | None = None) -> None:
        self._total = total
        self._clock = clock
        self._held: Counter[WorkspaceId] = Counter()
        self._waiting: dict[WorkspaceId, list[_Turn]] = {}
        self._numbers = itertools.count()
        self._seen: dict[WorkspaceId, float] = {}

    @asynccontextmanager
    async def one(
        self, workspace: WorkspaceId, priority: Priority = Priority.INTERACTIVE
    ) -> AsyncGenerator[None]:
        """Hold a slot."""
        self._seen[workspace] = self._now()
        if workspace in self._waiting or not self._may_have(workspace):
            await self._wait(workspace, priority)
        else:
            self._held[workspace] += 1
        try:
            yield
        finally:
            self._give_back(workspace)

    async def _wait(self, workspace: WorkspaceId, priority: Priority) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn = _Turn(priority, next(self._numbers), given)
        heapq.heappush(self._waiting.setdefault(workspace, []), turn)
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():  # the slot was ours in the same moment
                self._give_back(workspace)
            else:
                self._forget(workspace, turn)
            raise

    def _give_back(self, workspace: WorkspaceId) -> None:
        self._held[workspace] -= 1
        if not self._held[workspace]:
            del self._held[workspace]
        self._seen[workspace] = self._now()
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what is free to those that may have it, the fewest first."""
        while candidates := [each for each in self._waiting if self._may_have(each)]:
            workspace = min(candidates, key=lambda each: self._held[each])
            given = heapq.heappop(self._waiting[workspace]).given
            if not self._waiting[workspace]:
                del self._waiting[workspace]
            if not given.done():
                self._held[workspace] += 1
                given.set_result(None)

    def _may_have(self, workspace: WorkspaceId) -> bool:
        return self._held.total() < self._total and self._held[workspace] < self._share(workspace)

    def _share(self, workspace: WorkspaceId) -> int:
        """All of them where nobody else has had work lately."""
        latest = self._now() - REMEMBERED_SECONDS
        others = any(
            other != workspace and (at > latest or other in self._held or other in self._waiting)
            for other, at in self._seen.items()
        )
        return max(1, self._total // SHARED_BY) if others else self._total

    def _forget(self, workspace: WorkspaceId, turn: _Turn) -> None:
        waiting = self._waiting.get(workspace)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            heapq.heapify(waiting)
            if not waiting:
                del self._waiting[workspace]

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()
