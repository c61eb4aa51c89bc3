"""Deliveries of GitHub, doubled and out of order, while processes die: each is answered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.testing.story.storm import open_storm
from tests.crash.watching import watching

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.stack]

EVENTS = 30


async def test_each_mention_is_one_run_and_one_answer(home: Path) -> None:
    async with open_storm(home, events=EVENTS) as storm:
        storm.limit(EVENTS)
        storm.ask(EVENTS - 1)
        await storm.rig.until(lambda: storm.answered() >= EVENTS // 4)
        await storm.kill("worker")
        await storm.webhooks.settled()
        await storm.kill("serve")
        await storm.rig.until(lambda: storm.answered() == EVENTS - 1, timeout_seconds=60)
        await storm.stack.wait_ready()
        storm.ask(1)  # who was killed is there again
        await storm.rig.until(lambda: storm.answered() == EVENTS, timeout_seconds=60)
        await storm.webhooks.settled()
        async with watching(storm.stack.home) as watch:
            await watch.until(
                "SELECT count(*) = 0 FROM outbox WHERE state IN ('queued', 'sending')"
            )
            runs = await watch.value("SELECT count(*) FROM runs")
            done = await watch.value("SELECT count(*) FROM runs WHERE state = 'done'")
    assert (runs, done) == (EVENTS, EVENTS)
    assert storm.doubled == 0
    assert len(storm.webhooks.attempts) > EVENTS
    assert len(storm.kills) == 2
    assert storm.refused > 0
    assert storm.too_early == 0
    assert storm.rig.strays == []
