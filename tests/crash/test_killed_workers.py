"""Workers that die, and everything that dies: whoever was acknowledged is answered, once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.crash.mentions import answered, answers, mention, mentions
from tests.crash.watching import watching

if TYPE_CHECKING:
    from openloop.testing.story.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.stack]

HIT = 10
RESUMED_WITHIN_SECONDS = 20
"""Twice what is promised, which `./run bench recovery` judges: the machine may be slow."""


async def test_runs_cut_in_the_middle_are_answered_once(stage: Stage) -> None:
    stack, slack = stage.stack, stage.slack
    async with watching(stack.home) as watch:
        asked = await mentions(stage, 20, "take your time")
        await slack.settled()
        await watch.until(
            "SELECT count(*) >= 10 FROM steps WHERE kind = 'model' AND state = 'started'"
        )
        await stack.kill("worker")
        killed_at = time.monotonic()
        hit = await watch.value("SELECT count(*) FROM steps WHERE state = 'started'")
        assert hit >= HIT
        before = sum(len(said) for said in answers(stage, asked))
        await slack.until(
            lambda: sum(len(said) for said in answers(stage, asked)) > before,
            timeout_seconds=RESUMED_WITHIN_SECONDS,
        )
        assert time.monotonic() - killed_at < RESUMED_WITHIN_SECONDS
        await answered(stage, asked)
        resumed = await watch.value("SELECT count(*) FROM steps WHERE kind = 'model' AND epoch > 1")
        assert resumed >= HIT
        assert await watch.value("SELECT count(*) FROM reservations WHERE state = 'held'") == 0
    await stack.stop()
    assert answers(stage, asked) == [["That took a while."]] * 20
    assert slack.lost == []


async def test_nothing_acknowledged_is_lost_when_everything_dies(stage: Stage) -> None:
    stack, slack, github = stage.stack, stage.slack, stage.github
    wanted = await mention(stage, "open an issue called Survive", by="ben")
    card = await slack.reply_to(wanted)
    asked = await mentions(stage, 20, "take your time")
    await slack.settled()
    assert slack.lost == []  # so all were acknowledged, if not at the first attempt
    await stack.kill_all()
    assert answers(stage, asked).count([]) >= HIT
    await stack.start()
    await answered(stage, asked)
    clicks = (slack.click(card, action_id="approve", by="anna") for _ in range(20))
    assert set(await asyncio.gather(*clicks)) == {200}
    done = await slack.reply_to(wanted, count=2)
    assert "The issue is there." in done.text
    await stack.stop()
    assert answers(stage, asked) == [["That took a while."]] * 20
    assert len(slack.replies_to(wanted)) == 2
    assert [call.status for call in github.calls if call.method == "POST"] == [201]


async def test_a_stop_hands_runs_over_and_the_next_start_ends_them(stage: Stage) -> None:
    stack, slack = stage.stack, stage.slack
    async with watching(stack.home) as watch:
        asked = [await mention(stage, "in two steps, please")]
        await watch.until("SELECT count(*) FROM steps WHERE kind = 'model' AND state = 'started'")
    await stack.stop()
    assert answers(stage, asked) == [[]]
    async with watching(stack.home) as watch:
        held = "SELECT count(*) FROM conversations WHERE claimed_by IS NOT NULL"
        assert await watch.value(held) == 0, "the next worker would wait for a lease to end"
    await stack.start()
    await answered(stage, asked)
    async with watching(stack.home) as watch:
        epochs = await watch.value("SELECT array_agg(epoch ORDER BY seq) FROM steps")
        assert epochs[-1] > epochs[0], "the second step is the second worker's"
        assert await watch.value("SELECT count(*) FROM steps WHERE kind = 'model'") == 2
    await stack.stop()
    assert len(slack.replies_to(asked[0])) == 1
