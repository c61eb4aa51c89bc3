"""Who works next: slots of one worker, shared fairly between workspaces.

One workspace may fill every slot while it is alone. As soon as another one has work, and for a
minute after that, nobody gets more than a third of them, and a slot that falls free goes to the
workspace that has the fewest. So a neighbour with thousands of runs delays one with a single run by
a slot's turn and not by its queue (`bench/fairness.py`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from openloop.domain.ids import WorkspaceId

REMEMBERED_SECONDS = 60.0
SHARED_BY = 3


class Slots:
    """A bounded number of slots; `one` waits for the next that this workspace may have."""

    def __init__(self, total: int, *, clock: Callable[[], float] | None = None) -> None:
        self._total = total
        self._clock = clock
        self._held: Counter[WorkspaceId] = Counter()
        self._waiting: dict[WorkspaceId, deque[asyncio.Future[None]]] = {}
        self._seen: dict[WorkspaceId, float] = {}

    @asynccontextmanager
    async def one(self, workspace: WorkspaceId) -> AsyncGenerator[None]:
        """Hold a slot."""
        self._seen[workspace] = self._now()
        if workspace in self._waiting or not self._may_have(workspace):
            await self._wait(workspace)
        else:
            self._held[workspace] += 1
        try:
            yield
        finally:
            self._give_back(workspace)

    async def _wait(self, workspace: WorkspaceId) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(workspace, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the slot was ours in the same moment
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
            turn = self._waiting[workspace].popleft()
            if not self._waiting[workspace]:
                del self._waiting[workspace]
            if not turn.done():
                self._held[workspace] += 1
                turn.set_result(None)

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

    def _forget(self, workspace: WorkspaceId, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(workspace)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[workspace]

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()
