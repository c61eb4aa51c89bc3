"""Twins: told twice at once, taken once, and the database decides where this process knows nothing."""

from __future__ import annotations

import asyncio

import pytest

from openloop.actions.twins import Twins


async def test_a_twin_waits_for_the_first_and_is_taken_with_it() -> None:
    twins, first_is_in, may_end = Twins(), asyncio.Event(), asyncio.Event()
    seen: list[bool] = []

    async def first() -> None:
        async with twins.alone("x") as was_taken:
            seen.append(was_taken)
            first_is_in.set()
            await may_end.wait()
            twins.note("x")

    async def second() -> None:
        async with twins.alone("x") as was_taken:
            seen.append(was_taken)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(first())
        await first_is_in.wait()
        group.create_task(second())
        await asyncio.sleep(0)
        assert seen == [False]
        may_end.set()
    assert seen == [False, True]


async def test_a_twin_of_what_failed_is_tried_by_itself() -> None:
    twins = Twins()
    with pytest.raises(ValueError, match="no database"):
        async with twins.alone("x"):
            raise ValueError("no database")
    async with twins.alone("x") as was_taken:
        assert not was_taken


async def test_others_do_not_wait() -> None:
    twins = Twins()
    async with twins.alone("x"), asyncio.timeout(30), twins.alone("y") as was_taken:
        assert not was_taken


async def test_only_the_latest_are_kept() -> None:
    twins = Twins(kept=2)
    for subject in "abc":
        twins.note(subject)
    for subject, expected in (("a", False), ("b", True), ("c", True)):
        async with twins.alone(subject) as was_taken:
            assert was_taken is expected
