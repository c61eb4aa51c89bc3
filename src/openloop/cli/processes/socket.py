"""The process that only receives over Slack's Socket Mode."""

from __future__ import annotations

import asyncio
import os

import uvloop

from openloop import app
from openloop.cli.failures import Exit
from openloop.cli.output import say
from openloop.cli.processes.boot import explained
from openloop.cli.processes.environment import load_settings
from openloop.cli.processes.listening import keep_listening
from openloop.cli.processes.signals import on_stop
from openloop.domain.errors import Misconfigured
from openloop.settings import Settings


def run(*, parent_fd: int | None, nice: int) -> int:
    """Receive until SIGTERM, or until the parent is gone."""
    settings = load_settings(is_child=parent_fd is not None, keys=False)
    os.nice(nice)
    app.set_up_logging(settings.log_level, settings.redactor)
    with explained(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_receive(settings))


async def _receive(settings: Settings) -> int:
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with app.build(settings, pool_size=4) as application:
        slack = application.surfaces.get("slack")
        if slack is None:
            message = "Slack is not configured: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN"
            raise Misconfigured(message, problems=(message,))
        listening = asyncio.create_task(keep_listening(slack, application.intake))
        stopped = asyncio.create_task(stopping.wait())
        say("listening to Slack; Ctrl-C stops")
        await asyncio.wait({listening, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if listening.done():
            message = "Socket Mode is not configured: set SLACK_APP_TOKEN"
            raise Misconfigured(message, problems=(message,))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return Exit.OK
