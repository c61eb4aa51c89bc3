"""`openloop slack`: the Slack app of this installation."""

from __future__ import annotations

import json

import click

from openloop.cli.options import child_options
from openloop.cli.output import Format, output_option


@click.group()
def slack() -> None:
    """Make, check and listen to the Slack app."""


@slack.command("manifest")
@click.option("--socket", is_flag=True, help="Receive over Socket Mode: no public address needed.")
@click.option("--url", metavar="URL", help="The public https address of this server.")
@click.option("--name", default="OpenLoop", show_default=True, help="Name of the app.")
@click.option(
    "--agent-view/--no-agent-view",
    default=True,
    show_default=True,
    help="Make it an agent in Slack's sense, with a stop button; Slack asks a paid plan for that.",
)
def manifest(url: str | None, name: str, *, socket: bool, agent_view: bool) -> None:
    """Print the Slack app to create, with the scopes it needs.

    Paste it at https://api.slack.com/apps, "From a manifest".
    """
    # --help needs none of it.
    from openloop.integrations.slack.manifest import app_manifest  # noqa: PLC0415

    if socket == (url is not None):
        raise click.UsageError("Say how Slack reaches this server: --socket, or --url URL")
    made = app_manifest(socket=socket, request_url=url, name=name, agent_view=agent_view)
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))


@slack.command("check")
@output_option
def check(output: Format) -> int:
    """Look whether tokens, scopes, clock and channels are right."""
    from openloop.cli import checkup  # noqa: PLC0415  # --help imports no aiohttp

    return checkup.show(checkup.check_integration("slack"), output)


@slack.command("socket")
@child_options(ready=False)
def socket(parent_fd: int | None, nice: int) -> int:
    """Only receive over Socket Mode, in the foreground.

    `serve` does so beside its other work: run one of the two.
    """
    from openloop.cli.processes import socket as process  # noqa: PLC0415  # --help: no psycopg

    return process.run(parent_fd=parent_fd, nice=nice)
