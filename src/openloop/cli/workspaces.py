"""`openloop workspaces`: the workspaces of this installation."""

from __future__ import annotations

import click

from openloop.cli.output import Format, field, output_option, say, show_list

WORKSPACES = (field("ID", "id"), field("NAME", "name"))


@click.group()
def workspaces() -> None:
    """Make and list workspaces.

    These commands go to the database and need no server and no token. Nothing of one workspace is
    seen from another.
    """


@workspaces.command("create")
@click.argument("name")
def create(name: str) -> None:
    """Make a workspace, and print a token that owns it.

    It is shown this once.
    """
    from openloop.cli import local  # noqa: PLC0415  # --help imports no psycopg

    text = local.create_workspace(name)
    say(f"{name} is made. This token owns it, and is shown once.")
    click.echo(text)


@workspaces.command("list")
@output_option
def list_(output: Format) -> None:
    """List them."""
    from openloop.cli import local  # noqa: PLC0415  # --help imports no psycopg

    rows = local.list_workspaces()
    answer = {"items": rows}
    show_list(
        answer,
        rows,
        WORKSPACES,
        output=output,
        name=lambda row: f"workspace/{row['name']}",
        nothing="There is no workspace.",
    )
