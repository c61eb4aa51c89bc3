"""Slots: all of them for whoever is alone, a third for each of several, the fewest first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from openloop.domain.ids import WorkspaceId
from openloop.domain.priority import Priority
from openloop.runtime.slots import REMEMBERED_SECONDS, Slots

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

A, B, C = (WorkspaceId(UUID(int=n)) for n in (1, 2, 3))


class Floor:
    """Slots, and who holds them."""

    def __init__(self, total: int) -> None:
        self.now = 0.0
        self.slots = Slots(total, clock=lambda: self.now)
        self.holding: dict[WorkspaceId, int] = {}
        self.most: dict[WorkspaceId, int] = {}
        self.ends: list[tuple[WorkspaceId, asyncio.Event]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def want(self, workspace: WorkspaceId, *, times: int = 1) -> None:
        self._tasks += [asyncio.create_task(self._hold(workspace)) for _ in range(times)]
        await settled()

    async def end_one(self, workspace: WorkspaceId) -> None:
        found = next(each for each in self.ends if each[0] == workspace)
        self.ends.remove(found)
        found[1].set()
        await settled()

    async def _hold(self, workspace: WorkspaceId) -> None:
        async with self.slots.one(workspace):
            self.holding[workspace] = self.holding.get(workspace, 0) + 1
            self.most[workspace] = max(self.most.get(workspace, 0), self.holding[workspace])
            ended = asyncio.Event()
            self.ends.append((workspace, ended))
            try:
                await ended.wait()
            finally:
                self.holding[workspace] -= 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _enter(slots: Slots) -> None:
    async with slots.one(B):
        pytest.fail("it was cancelled before it had a slot")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def floor() -> AsyncGenerator[Floor]:
    floor = Floor(6)
    yield floor
    await floor.close()


async def test_whoever_is_alone_has_all_of_them(floor: Floor) -> None:
    await floor.want(A, times=9)
    assert floor.holding == {A: 6}
    await floor.end_one(A)
    assert floor.holding == {A: 6}


async def test_a_neighbour_gets_the_next_slot_however_many_wait(floor: Floor) -> None:
    await floor.want(A, times=200)
    await floor.want(B)
    assert floor.holding == {A: 6}
    await floor.end_one(A)
    assert floor.holding == {A: 5, B: 1}


async def test_while_there_is_a_neighbour_nobody_holds_more_than_a_third(floor: Floor) -> None:
    await floor.want(B)
    await floor.want(A, times=200)
    assert floor.holding == {A: 2, B: 1}
    for _ in range(50):
        await floor.end_one(A)
    assert floor.most == {A: 2, B: 1}


async def test_a_minute_after_the_neighbours_last_work_all_are_free_again(floor: Floor) -> None:
    await floor.want(B)
    await floor.want(A, times=9)
    await floor.end_one(B)
    assert floor.holding[A] == 2
    floor.now = REMEMBERED_SECONDS + 1
    await floor.end_one(A)
    assert floor.holding[A] == 6


async def test_the_fewest_come_first(floor: Floor) -> None:
    for workspace in (A, B, C):
        await floor.want(workspace, times=3)
    assert floor.holding == {A: 3, B: 2, C: 1}  # A was alone when it came
    await floor.end_one(A)
    assert floor.holding == {A: 2, B: 2, C: 2}


async def test_whoever_gives_up_waiting_leaves_no_trace(floor: Floor) -> None:
    await floor.want(A, times=6)
    waiting = asyncio.create_task(_enter(floor.slots))
    await settled()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await floor.end_one(A)
    await floor.want(C)
    assert floor.holding == {A: 5, C: 1}


async def test_a_slot_that_is_given_to_somebody_who_gives_up_goes_on(floor: Floor) -> None:
    await floor.want(A, times=6)
    waiting = asyncio.create_task(_enter(floor.slots))
    await settled()
    await floor.want(C)
    # In one step of the loop the slot falls free for B, and B is cancelled.
    next(end for holder, end in floor.ends if holder == A).set()
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await settled()
    assert floor.holding == {A: 5, C: 1}


async def test_of_one_workspace_people_come_before_work_in_bulk() -> None:
    slots, order = Slots(1), list[str]()

    async def wait(name: str, priority: Priority) -> None:
        async with slots.one(A, priority):
            order.append(name)

    async with slots.one(A):
        waiting = [
            asyncio.create_task(wait(name, priority))
            for name, priority in (
                ("bulk", Priority.BATCH),
                ("timed", Priority.SCHEDULED),
                ("first", Priority.INTERACTIVE),
                ("second", Priority.INTERACTIVE),
            )
        ]
        await settled()
    await asyncio.gather(*waiting)

    assert order == ["first", "second", "timed", "bulk"]
