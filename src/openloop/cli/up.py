"""`openloop up`: everything on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from openloop.cli.gateway import WARM


@click.command()
@click.option(
    "-f",
    "--file",
    "folder",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|DIR",
    help="Apply these manifests once everything is ready.",
)
@click.option(
    "--warm",
    type=click.Choice(WARM),
    default="auto",
    show_default=True,
    help="Load what calls real models at the start; auto: where a provider's key is set.",
)
def up(folder: Path | None, warm: str) -> int:
    """Start everything on this machine, and keep it running.

    That is a server, a worker and the model gateway; without DATABASE_URL, Postgres too, in
    OPENLOOP_HOME. Ctrl-C stops them in order, a second one at once.
    """
    from openloop.cli.processes import up as process  # noqa: PLC0415  # --help imports no asyncio

    return process.run(folder=folder, warm=warm)
