"""`openloop serve`: the process that people and platforms reach."""

from __future__ import annotations

from pathlib import Path

import click

from openloop.cli.options import child_options


@click.command()
@click.option(
    "--apply",
    "folder",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|DIR",
    help="Apply these manifests once the server is ready; an invalid file ends it with exit 3.",
)
@click.option(
    "--listen-fd",
    type=click.IntRange(min=3),
    metavar="N",
    help="Serve on this listening socket, not on OPENLOOP_HOST and OPENLOOP_PORT.",
)
@child_options(ready=True)
def serve(
    folder: Path | None,
    listen_fd: int | None,
    parent_fd: int | None,
    ready_fd: int | None,
    nice: int,
) -> int:
    """Serve the API and the webhooks, and receive over Socket Mode.

    The first start makes an owner token, prints it once and leaves it for the command line in
    OPENLOOP_HOME.
    """
    from openloop.cli.processes import serve as process  # noqa: PLC0415  # --help imports no fastapi

    return process.run(
        folder=folder, listen_fd=listen_fd, parent_fd=parent_fd, ready_fd=ready_fd, nice=nice
    )
