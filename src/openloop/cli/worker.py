"""`openloop worker`: the process that works on runs."""

from __future__ import annotations

import click

from openloop.cli.options import child_options


@click.command()
@child_options(ready=True)
def worker(parent_fd: int | None, ready_fd: int | None, nice: int) -> int:
    """Work on runs; any number of workers share one database.

    SIGTERM lets every run reach its next step and hands it over, for 30 s at most; a second
    signal ends the process at once. Nothing is lost either way.
    """
    from openloop.cli.processes import worker as process  # noqa: PLC0415  # --help imports no psycopg

    return process.run(parent_fd=parent_fd, ready_fd=ready_fd, nice=nice)
