"""`openloop db`: the database."""

from __future__ import annotations

import click

from openloop.cli.output import Format, field, output_option, show_list


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("migrate")
@output_option
def migrate(output: Format) -> None:
    """Bring the database up to date.

    `up`, `serve` and `worker` do so by themselves.
    """
    from openloop.cli import local  # noqa: PLC0415  # --help imports no psycopg

    applied = [{"name": name} for name in local.migrate()]
    show_list(
        {"applied": applied},
        applied,
        (field("APPLIED", "name"),),
        output=output,
        name=lambda each: f"migration/{each['name']}",
        nothing="The database is up to date.",
    )
