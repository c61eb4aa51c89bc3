"""The rigs of Slack and GitHub in processes of their own, so that their CPU is nobody's else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.measuring import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

BOT_TOKEN = "xoxb-1111-2222-bench"  # noqa: S105  # opens nothing
SIGNING_SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105  # opens nothing
GITHUB_TOKEN = "ghp_bench"  # noqa: S105  # opens nothing
TEAM = "T0ACME"
CHANNEL = "C0DEV"
CHANNEL_NAME = "dev-platform"
BOT = "<@U0BOT>"
REPOSITORY = "acme/platform"

_STOP_SECONDS = 10
_HTTP_OK = 200


class RigRefused(Exception):
    """The rig's control said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message in the rig; `at` is seconds on the clock that all processes here share."""

    channel: str
    ts: str
    text: str
    at: float
    buttons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One attempt to deliver something to the product, as the rig saw it."""

    id: str
    kind: str
    type: str
    status: int | None
    seconds: float
    at: float
    thread: str
    by_bot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackState:
    """All that has happened in the rig so far."""

    acks: list[Ack]
    calls: list[dict[str, Any]]
    statuses: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    lost: list[str]

    def replies(self) -> dict[str, list[dict[str, Any]]]:
        """What the bot said, by thread."""
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self.messages:
            if "bot_id" in message:
                found.setdefault(message.get("thread_ts", message["ts"]), []).append(message)
        return found


class Slack:
    """The control of a Slack rig."""

    def __init__(self, http: aiohttp.ClientSession, *, pid: int, url: str, api_url: str) -> None:
        self._http = http
        self.pid, self.url, self.api_url = pid, url, api_url

    async def ask(self, verb: str, **arguments: object) -> Any:
        """Use a verb of the control.

        Raises:
            RigRefused, TimeoutError: what was waited for did not happen
        """
        async with self._http.post(f"{self.url}{verb}", json=arguments) as response:
            answer = await response.json()
            if response.status == _HTTP_OK:
                return answer
            if answer["error"] == "timeout":
                raise TimeoutError(f"{verb} {arguments}")
            raise RigRefused(f"{verb}: {answer}")

    async def furnish(self, people: Sequence[str], *, deliver_to: str) -> None:
        """Add the people and the channel of the manifests, and say where the product listens."""
        for name in people:
            await self.ask("people", name=name, id=f"U0{name.upper()}")
        await self.ask("channels", name=CHANNEL_NAME, id=CHANNEL)
        await self.ask("deliver_to", url=deliver_to)

    async def say(self, text: str, *, by: str, thread: str | None = None) -> Said:
        """Have somebody say something in the channel."""
        return _said(await self.ask("say", channel=CHANNEL, by=by, text=text, thread=thread))

    async def reply(self, said: Said, *, count: int = 1, timeout_seconds: float = 30) -> Said:
        """Wait for the bot's message in a thread.

        Raises:
            TimeoutError
        """
        arguments = {"channel": said.channel, "thread": said.ts, "replies": count}
        return _said(await self.ask("wait", **arguments, timeout_seconds=timeout_seconds))

    async def click(self, message: Said, action: str, *, by: str) -> int | None:
        """Press a button; the product's HTTP status, None where it did not answer."""
        answer = await self.ask(
            "click", channel=message.channel, ts=message.ts, action_id=action, by=by
        )
        return answer["status"]

    async def state(self) -> SlackState:
        """Everything that was recorded; costs the rig some time, so not while it is measured."""
        state = await self.ask("state")
        return SlackState(
            acks=[_ack(delivery) for delivery in state["deliveries"]],
            calls=state["calls"],
            statuses=state["statuses"],
            messages=state["messages"].get(CHANNEL, []),
            lost=state["lost"],
        )


class GitHub:
    """The control of a GitHub rig."""

    def __init__(self, http: aiohttp.ClientSession, *, api_url: str) -> None:
        self._http, self.api_url = http, api_url

    async def titles(self) -> list[str]:
        """The titles of all issues there are."""
        async with self._http.get(f"{self.api_url}/control") as response:
            state = await response.json()
        return [issue["title"] for issue in state["repositories"][REPOSITORY]["issues"]]

    async def slow_down(self, operation: str, seconds: float) -> None:
        """Make the change at once and answer late: whoever dies meanwhile does not know."""
        fault = {
            "fault": "Slow",
            "operation": operation,
            "with": {"seconds": seconds},
            "times": None,
        }
        await self._http.post(f"{self.api_url}/control/faults", json=fault)

    async def heal(self) -> None:
        """From here on nothing is slow."""
        await self._http.delete(f"{self.api_url}/control/faults")


@asynccontextmanager
async def slack_rig(*, time_scale: float = 1.0) -> AsyncGenerator[Slack]:
    """A Slack rig that runs inside the block; `time_scale` shortens the waits between retries."""
    arguments = [
        *("openloop.testing.rigs.slack", "--control", "--time-scale", str(time_scale)),
        *("--bot-token", BOT_TOKEN, "--signing-secret", SIGNING_SECRET, "--team-id", TEAM),
    ]
    async with own_process(arguments) as (pid, addresses), _client() as http:
        yield Slack(http, pid=pid, url=addresses["control_url"], api_url=addresses["api_url"])


@asynccontextmanager
async def github_rig() -> AsyncGenerator[GitHub]:
    """A GitHub rig with the repository of the manifests."""
    arguments = ["openloop.testing.rigs.github", "--control", "--repository", REPOSITORY]
    async with own_process(arguments) as (_, addresses), _client() as http:
        yield GitHub(http, api_url=addresses["url"])


@asynccontextmanager
async def own_process(arguments: Sequence[str]) -> AsyncGenerator[tuple[int, dict[str, str]]]:
    """A module that runs until it is told to stop, and what its first line says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "GITHUB_TOKEN": GITHUB_TOKEN},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield process.pid, json.loads(line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _client() -> aiohttp.ClientSession:
    """Connections without limit: a hundred mentions may wait for their answers at once."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=120),
        trust_env=False,
    )


def _said(message: dict[str, Any]) -> Said:
    return Said(
        channel=message["channel"],
        ts=message["ts"],
        text=message["text"],
        at=message["stored_at"],
        buttons=tuple(button["action_id"] for button in message["buttons"]),
    )


def _ack(delivery: dict[str, Any]) -> Ack:
    event = delivery["payload"].get("event", {})
    return Ack(
        id=delivery["event_id"],
        kind=delivery["kind"],
        type=delivery["type"],
        status=delivery["status"],
        seconds=delivery["ack_seconds"],
        at=delivery["at"],
        thread=event.get("thread_ts", event.get("ts", "")),
        by_bot="bot_id" in event,
    )
