"""The rig runs in a process of its own, with a control over HTTP."""

import asyncio
import json
import os
import sys
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from tests.contracts.slack_rig.app import CARD, App, refusal


async def test_a_rig_in_another_process_is_controlled_over_http(app: App) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "openloop.testing.rigs.slack", "--control", "--deliver-to", app.url,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert program.stdout is not None
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            addresses = json.loads(await program.stdout.readline())

            async def control(verb: str, **fields: Any) -> dict[str, Any]:
                async with http.post(addresses["control_url"] + verb, json=fields) as answer:
                    return {"http": answer.status, **await answer.json()}

            await control("people", name="priya")
            await control("channels", name="dev-platform")
            said = await control("say", channel="#dev-platform", by="priya", text="<@U0BOT> hello")
            slack: Any = AsyncWebClient(token="xoxb-rig", base_url=addresses["api_url"])
            await slack.chat_postMessage(
                channel=said["channel"], text="?", blocks=CARD, thread_ts=said["ts"]
            )
            reply = await control("wait", channel=said["channel"], thread=said["ts"])
            click = {"channel": said["channel"], "ts": reply["ts"], "by": "priya"}
            assert (await control("click", **click, action_id="approve"))["status"] == 200
            assert (await control("click", **click, action_id="nothing"))["http"] == 400
            await control("fail", method="auth.test", fault="refuse", error="fatal_error")
            assert (await refusal(slack.auth_test()))["error"] == "fatal_error"
            await control("settled")
            state = await control("state")
            assert len(state["messages"][said["channel"]]) == 2
            assert state["calls"][0]["method"] == "chat.postMessage"
            assert all(delivery["status"] == 200 for delivery in state["deliveries"])
    finally:
        program.terminate()
        async with asyncio.timeout(30):
            assert await program.wait() == 0
