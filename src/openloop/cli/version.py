"""`openloop version`."""

from __future__ import annotations

import platform

import click

import openloop
from openloop.cli.output import Format, output_option, show_one


@click.command()
@output_option
def version(output: Format) -> None:
    """Show the versions of OpenLoop and Python, and the system."""
    found = {
        "openloop": openloop.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    show_one(found, list(found.items()), output=output, name=openloop.__version__)
