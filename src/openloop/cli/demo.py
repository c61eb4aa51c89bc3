"""`openloop demo`: the product's story, played with real parts."""

from __future__ import annotations

from importlib import import_module

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """Play the story: from a mention to an approved GitHub issue.

    Everything runs on this machine, in a temporary directory; no account and no key is needed.
    """
    # By name: the command line and the test kit are on one floor and do not import each other.
    return int(import_module("openloop.testing.demo").main(list(arguments)) or 0)
