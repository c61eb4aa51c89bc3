"""`openloop gateway`: the process that calls models."""

from __future__ import annotations

from typing import Final

import click

from openloop.cli.options import child_options

WARM: Final = ("auto", "yes", "no")


@click.command()
@click.option(
    "--tcp",
    metavar="HOST:PORT",
    help="Listen there and not on the socket in OPENLOOP_HOME; needs OPENLOOP_GATEWAY_TOKEN.",
)
@click.option(
    "--warm",
    type=click.Choice(WARM),
    default="auto",
    show_default=True,
    help="Load what calls real models at the start; auto: where a provider's key is set.",
)
@click.option(
    "--warm-fd",
    type=click.IntRange(min=3),
    metavar="N",
    help="Do so only once the other end of this pipe closes.",
)
@child_options(ready=False)
def gateway(
    tcp: str | None, warm: str, warm_fd: int | None, parent_fd: int | None, nice: int
) -> int:
    """Run the model gateway: it alone holds provider keys.

    Scripted models are answered without loading anything more.
    """
    from openloop.cli.processes import gateway as process  # noqa: PLC0415  # --help imports no aiohttp

    return process.run(tcp=tcp, warm=warm, warm_fd=warm_fd, parent_fd=parent_fd, nice=nice)
