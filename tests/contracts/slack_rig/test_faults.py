"""Dialled faults happen to the calls they are meant for, and only there."""

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from openloop.testing.rigs.faults import (
    DropAnswer,
    DropRequest,
    Refuse,
    ServerError,
    Slow,
    TooMany,
)
from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import client_of, refusal


async def test_429_carries_retry_after_and_commits_nothing(rig: SlackRig) -> None:
    patient = client_of(rig, retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=1)])
    rig.faults.fail("chat.postMessage", with_=TooMany(retry_after_seconds=0))
    await patient.chat_postMessage(channel="C0DEV", text="hello")

    assert [call.status for call in rig.calls] == [429, 200]
    assert len(rig.messages("C0DEV")) == 1


async def test_a_dropped_answer_is_committed_and_a_dropped_request_is_not(rig: SlackRig) -> None:
    slack = client_of(rig, retry_handlers=[])  # by default it would send again, unasked
    rig.faults.fail("chat.postMessage", with_=DropAnswer())
    rig.faults.fail("chat.postMessage", with_=DropRequest())
    with pytest.raises(aiohttp.ClientError):
        await slack.chat_postMessage(channel="C0DEV", text="kept")
    with pytest.raises(aiohttp.ClientError):
        await slack.chat_postMessage(channel="C0DEV", text="lost")
    await slack.chat_postMessage(channel="C0DEV", text="plain")

    assert [message.text for message in rig.messages("C0DEV")] == ["kept", "plain"]
    assert [call.status for call in rig.calls] == [None, None, 200]


async def test_an_upstream_error_may_come_before_or_after_the_commit(
    rig: SlackRig, slack: Any
) -> None:
    rig.faults.fail("chat.postMessage", with_=ServerError())
    rig.faults.fail("chat.postMessage", with_=ServerError(status=502, after_commit=True))
    with pytest.raises(SlackApiError):
        await slack.chat_postMessage(channel="C0DEV", text="lost")
    with pytest.raises(SlackApiError):
        await slack.chat_postMessage(channel="C0DEV", text="kept")

    assert [message.text for message in rig.messages("C0DEV")] == ["kept"]


async def test_a_slow_answer_is_committed_before_it_comes(rig: SlackRig) -> None:
    hasty = client_of(rig, timeout=1)
    rig.faults.fail("chat.postMessage", with_=Slow(seconds=0.05))
    posting = asyncio.create_task(hasty.chat_postMessage(channel="C0DEV", text="hello"))
    await rig.until(lambda: rig.messages("C0DEV"))
    assert not posting.done()
    await posting


async def test_faults_are_counted_aimed_and_drawn_from_a_seed(rig: SlackRig, slack: Any) -> None:
    rig.faults.fail(
        "chat.postMessage", with_=Refuse("fatal_error"), when=lambda given: given["text"] == "bad"
    )
    rig.faults.fail("auth.test", with_=Refuse("internal_error"), skip=1)
    rig.faults.fail("team.info", with_=Refuse("internal_error"), times=None, probability=0.5)

    await slack.chat_postMessage(channel="C0DEV", text="good")
    bad = slack.chat_postMessage(channel="C0DEV", text="bad")
    assert (await refusal(bad))["error"] == "fatal_error"
    await slack.auth_test()
    assert (await refusal(slack.auth_test()))["error"] == "internal_error"
    await slack.auth_test()
    drawn = [rig.faults.draw("team.info", {}) is not None for _ in range(20)]
    rig.faults.random.seed(0)
    assert drawn == [rig.faults.draw("team.info", {}) is not None for _ in range(20)]
    assert True in drawn
    assert False in drawn


async def test_an_expired_token_works_again_once_renewed(rig: SlackRig, slack: Any) -> None:
    rig.faults.token_error = "token_expired"
    assert (await refusal(slack.auth_test()))["error"] == "token_expired"
    rig.faults.clear()
    assert (await slack.auth_test())["ok"] is True
