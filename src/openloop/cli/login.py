"""`openloop login`: a browser on this machine, without an identity provider."""

from __future__ import annotations

import click

from openloop.cli.client import connect
from openloop.cli.output import say


@click.command()
def login() -> None:
    """Print a one-time link that logs a browser in, as this token.

    The login may do what the token may and ends with it. It is for a browser on the server's
    machine: people on other machines log in through the identity provider (docs/guides/login.md).
    """
    client = connect()
    made = client.post("/api/v1/login-links")
    say(f"Open it in a browser on the server's machine within {made['minutes']} minutes; once.")
    click.echo(client.server.url.rstrip("/") + made["path"])
