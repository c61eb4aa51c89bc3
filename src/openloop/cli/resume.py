"""`openloop resume`: the brake is lifted."""

from __future__ import annotations

import click

from openloop.cli.client import connect
from openloop.cli.output import say
from openloop.cli.pause import agent_of, name_argument, scope_argument


@click.command()
@scope_argument
@name_argument
def resume(scope: str, name: str | None) -> None:
    """Resume what was paused. Runs that waited go on where they were."""
    agent = agent_of(scope, name)
    if scope == "all":
        from openloop.cli import local  # noqa: PLC0415  # --help imports no psycopg

        say(f"resumed: every workspace ({local.resume_everything()})")
        return
    connect().post("/api/v1/pauses/resume", {"scope": scope, "agent": agent})
    say(f"resumed: {agent or 'the workspace'}")
