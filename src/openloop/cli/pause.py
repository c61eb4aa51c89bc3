"""`openloop pause`: the brake."""

from __future__ import annotations

from typing import Final

import click

from openloop.cli.client import connect
from openloop.cli.output import say

SCOPES: Final = ("agent", "workspace", "all")
scope_argument = click.argument("scope", type=click.Choice(SCOPES))
name_argument = click.argument("name", required=False, metavar="[NAME]")


@click.command()
@scope_argument
@name_argument
@click.option("--reason", required=True, metavar="TEXT", help="Why; everybody who waits sees it.")
def pause(scope: str, name: str | None, reason: str) -> None:
    """Pause an agent, the workspace, or everything. Nothing of it starts until it is resumed.

    What is paused starts no model call, no tool call and no effect; runs wait where people see it,
    and approvals cannot be decided. What had begun is finished and recorded. `all` goes to the
    database of this installation and stops every workspace of it; it needs no server and no token.
    """
    agent = agent_of(scope, name)
    if scope == "all":
        from openloop.cli import local  # noqa: PLC0415  # --help imports no psycopg

        say(f"paused: every workspace ({local.pause_everything(reason)})")
        return
    connect().post("/api/v1/pauses", {"scope": scope, "agent": agent, "reason": reason})
    say(f"paused: {agent or 'the workspace'}")


def agent_of(scope: str, name: str | None) -> str | None:
    """The agent that is meant, where one is."""
    if (scope == "agent") != (name is not None):
        message = "NAME goes with `agent`: the workspace is the token's, and `all` is everything"
        raise click.UsageError(message)
    return name and name.removeprefix("agent/")
