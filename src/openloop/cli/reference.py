"""docs/reference/cli.md, from the help texts: `python -m openloop.cli.reference`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from openloop.cli import root

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """\
# Command line

Written by `python -m openloop.cli.reference > docs/reference/cli.md` from the help texts.

Answers go to standard output, everything else to standard error. `-o json` and `-o yaml` write what
the API answers, `-o name` one `KIND/ID` a line, which every command takes as an id. With `-o json`
an error is JSON too, on standard error. `NO_COLOR` turns colours off; what came from outside is
shown without control characters.

The server is the one of `OPENLOOP_URL`, else the one on this machine. The token is
`OPENLOOP_TOKEN`, else the one that the first start left in `OPENLOOP_HOME`; that one is never sent
to another machine.

| Exit status | Meaning |
|---|---|
| 0 | done |
| 1 | failed; `doctor`, `slack check` and `github check`: there is a problem; `agents diff`: something differs |
| 2 | the command was called wrongly |
| 3 | invalid: a manifest, a setting or a value is refused |
| 4 | there is no such thing |
| 5 | denied: no token, or one without the right; or it waits for somebody's approval. \
`plan`: it widens rights, and nobody has acknowledged that |
| 6 | conflict: somebody else was first, or something is there already |
| 7 | the server or the database cannot be reached |
| 8 | `agents diff`: the comparison failed |
| 130 | interrupted |
"""
_WIDTH: Final = 100


def reference() -> str:
    """The whole page."""
    names = root.context_settings["help_option_names"]
    context = click.Context(
        root, info_name="openloop", terminal_width=_WIDTH, help_option_names=names
    )
    return "\n".join([_HEAD, *_sections(root, context)])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # noqa: S101  # it was just listed
            below = click.Context(inner, info_name=name, parent=context, terminal_width=_WIDTH)
            yield from _sections(inner, below)


if __name__ == "__main__":
    sys.stdout.write(reference())
