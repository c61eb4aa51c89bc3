"""Processes that race for approvals: voters at every door, and workers that are killed.

`python -m tests.guarantees.racing voters|worker` reads what it needs from its standard input. The
doors are the product's own: signed deliveries of Slack, the HTTP API, and the command line over it.
Effects are lines of a file, which outlives whoever writes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import structlog
import uvicorn

from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.api.application import create_api
from openloop.cli import approvals as cli
from openloop.cli.client import Client, Server
from openloop.domain.errors import OpenLoopError
from openloop.domain.ids import WorkspaceId
from openloop.domain.surface import Delivery
from openloop.domain.tool import ToolResult
from openloop.integrations.slack.settings import SlackSettings
from openloop.integrations.slack.surface import SlackSurface
from openloop.runtime import calling, editing
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.worker import Worker
from openloop.storage import conversations
from openloop.storage.database import Database
from openloop.testing.rigs.slack.wire import signed_headers
from openloop.tools.registry import Registry
from tests import make
from tests.api.conftest import make_kit
from tests.runtime.fakes import TENANT, FakeModels, FakeSurface, FakeTracker, reply

if TYPE_CHECKING:
    from openloop.domain.tool import Arguments, CallContext

SECRET = "a-signing-secret"  # of the race only
CHANNEL = make.CHANNEL
AT_ONCE = 3
"""Voters of one process who try at the same time: some come early, some when it is decided."""
KILLED_BEFORE, KILLED_AFTER = 0.25, 0.25
"""How often a worker dies right before an effect, and right after it."""


@dataclass
class FileTracker(FakeTracker):
    """A tracker whose issues are lines of a file, in a process that dies now and then."""

    file: Path = field(default_factory=Path)
    dice: random.Random = field(default_factory=random.Random)

    async def create(self, arguments: Arguments, context: CallContext) -> ToolResult:
        fate = self.dice.random()
        if fate < KILLED_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        line = json.dumps({"key": context.key, "arguments": arguments}) + "\n"
        with self.file.open("a") as stream:
            stream.write(line)
        if fate > 1 - KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return ToolResult.done({"number": 1})

    async def find(self, arguments: Arguments, context: CallContext) -> ToolResult | None:
        there = any(effect["key"] == context.key for effect in effects_in(self.file))
        return ToolResult.done({"number": 1}) if there else None


def effects_in(file: Path) -> list[dict[str, Any]]:
    """Every effect that happened."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def stage_of(database: Database, workspace: WorkspaceId, file: Path) -> make.Stage:
    """A runtime over an existing workspace, whose effects go into a file."""
    configuration, tracker = Configuration(), FileTracker(file=file)
    return make.Stage(
        database=database,
        workspace=workspace,
        configuration=configuration,
        surface=FakeSurface(),
        models=FakeModels(turns=[reply("All done.")]),
        tracker=tracker,
        registry=Registry((tracker.toolset(), memory_toolset())),
        intake=Intake(database, configuration),
    )


# --- a worker ------------------------------------------------------------------------------------


async def work(given: dict[str, Any]) -> None:
    """Do what is due in the workspace, until killed."""
    workspace = WorkspaceId(UUID(given["workspace"]))
    database = Database(given["dsn"], size=3, name="racing-worker")
    await database.open()
    stage = stage_of(database, workspace, Path(given["file"]))
    worker = Worker(stage.kit())
    calling.LOOK_UP_PAUSE_SECONDS = 0  # the file knows at once
    while True:
        async with database.transaction(workspace) as tx:
            due = await conversations.list_due(tx, workspace, limit=20)
            # Whatever is asked is asked by the race itself, whose model knows what to ask for.
            asked = await tx.tuples("SELECT DISTINCT conversation_id FROM approvals")
        for ref in (each for each in due if (each.id,) in asked):
            await worker.advance(ref)
        await asyncio.sleep(0.01)


# --- voters --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """One held call, as everybody who wants to decide it sees it."""

    approval: str
    hash: str
    button: str
    root: str
    voters: list[dict[str, str]]


async def vote(given: dict[str, Any]) -> None:
    """Serve the API, and let the voters of each line race through every door."""
    workspace = WorkspaceId(UUID(given["workspace"]))
    database = Database(given["dsn"], size=8, name="racing-voters")
    await database.open()
    stage = stage_of(database, workspace, Path(given["file"]))
    kit = make_kit(database, edit=partial(editing.edit, stage.kit()))
    slack = SlackSurface(SlackSettings(bot_token="xoxb-racing", signing_secret=SECRET))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_api(kit), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    tell("ready")
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while line := await asyncio.to_thread(sys.stdin.readline):
            turn = Round(**json.loads(line))
            doors = Doors(stage=stage, slack=slack, http=http, url=url, turn=turn)
            done = await asyncio.gather(*(doors.go(voter) for voter in turn.voters))
            tell({"done": len(done), "counted": sum(done)})
    server.should_exit = True
    await serving
    await database.close()


@dataclass
class Doors:
    """The ways to an approval."""

    stage: make.Stage
    slack: SlackSurface
    http: httpx.AsyncClient
    url: str
    turn: Round
    crowd: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def go(self, voter: dict[str, str]) -> bool:
        """One person's try, beside a few others'; True where the product took it."""
        async with self.crowd:
            return await self._try(voter)

    async def _try(self, voter: dict[str, str]) -> bool:
        with contextlib.suppress(OpenLoopError):
            match voter["door"]:
                case "slack":
                    return await self._click(voter)
                case "cli":
                    return await asyncio.to_thread(self._command, voter)
                case _:
                    return await self._call(voter)
        return False

    async def _click(self, voter: dict[str, str]) -> bool:
        at = f"{time.time():.6f}"
        payload = {
            "type": "block_actions",
            "user": {"id": voter["slack"], "name": voter["name"], "team_id": TENANT},
            "api_app_id": "A0RACE",
            "team": {"id": TENANT},
            "channel": {"id": CHANNEL},
            "trigger_id": f"{at}.{voter['slack']}",
            "message": {"ts": self.turn.root, "thread_ts": self.turn.root},
            "actions": [{"action_id": voter["does"], "value": self.turn.button, "action_ts": at}],
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        headers = {name.lower(): value for name, value in signed_headers(SECRET, body).items()}
        headers["content-type"] = "application/x-www-form-urlencoded"
        now = make.datetime.now(make.UTC)
        accepted = self.slack.accept(Delivery(headers=headers, body=body, received_at=now))
        for event in accepted.events:
            await self.stage.intake.take(event, self.stage.workspace)
        return True

    async def _call(self, voter: dict[str, str]) -> bool:
        path = f"/api/v1/approvals/{self.turn.approval}"
        match voter["does"]:
            case "edit":
                new = {"repo": "acme/platform", "title": f"edited by {voter['name']}"}
                body, path = {"arguments": new, "hash": self.turn.hash}, f"{path}/edit"
            case "withdraw":
                body, path = {"reason": "not needed"}, f"{path}/withdraw"
            case decision:
                body, path = {"decision": decision, "hash": self.turn.hash}, f"{path}/vote"
        headers = {"Authorization": f"Bearer {voter['token']}"}
        answer = await self.http.post(path, json=body, headers=headers)
        if answer.status_code >= 500 and answer.status_code != 503:
            sys.stderr.write(answer.text)
        return answer.status_code < 300

    def _command(self, voter: dict[str, str]) -> bool:
        client = Client(Server(url=self.url, token=voter["token"]))
        with contextlib.redirect_stderr(None):
            cli.vote(client, self.turn.approval, voter["does"], seen=self.turn.hash)
        return True


def tell(what: object) -> None:
    """Say something to whoever runs the race."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def live_again(given: dict[str, Any]) -> None:
    """A worker after the other: each is a fork, since what it imports would take longer than it lives."""
    while True:
        child = os.fork()
        if child == 0:
            asyncio.run(work(given))
        _, status = os.waitpid(child, 0)
        tell({"killed": os.WIFSIGNALED(status)})


def main() -> None:
    """Take the role that the command line names."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    given = json.loads(sys.stdin.readline())
    if sys.argv[1] == "worker":
        live_again(given)
    asyncio.run(vote(given))


if __name__ == "__main__":
    main()
