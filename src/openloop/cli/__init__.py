"""The command line: `openloop COMMAND`. Nothing is imported before its command is called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

import openloop
from openloop.cli.failures import Exit
from openloop.cli.lazy import Root

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "root"]

SECTIONS = {
    "Begin": ("init", "up", "demo", "doctor", "chat"),
    "Look and decide": (
        "agents",
        "plan",
        "changes",
        "runs",
        "approvals",
        "pause",
        "resume",
        "memory",
        "usage",
        "audit",
    ),
    "Set up": (
        "slack",
        "github",
        "secrets",
        "tokens",
        "login",
        "link",
        "people",
        "workspaces",
        "config",
        "db",
        "version",
    ),
    "Processes that `up` starts": ("serve", "worker", "gateway"),
}


@click.group(
    cls=Root,
    sections=SECTIONS,
    package="openloop.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(openloop.__version__, message="openloop %(version)s")
def root() -> None:
    """OpenLoop: AI colleagues in a team's own channels, who ask before they act."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status."""
    try:
        return int(root.main(arguments, prog_name="openloop", standalone_mode=False) or Exit.OK)
    except click.ClickException as error:
        error.show(sys.stderr)
        return Exit.USAGE if isinstance(error, click.UsageError) else Exit.FAILURE
    except click.Abort:
        click.echo("openloop: interrupted", err=True)
        return Exit.INTERRUPTED
