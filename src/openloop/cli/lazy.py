"""Groups whose commands are modules, imported when they are called or listed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from openloop.cli.failures import LocalFailure, exit_of, tell
from openloop.domain.errors import OpenLoopError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OUTPUT = "openloop.output"
"""Where the chosen output format is kept in a context's `meta`."""


class Root(click.Group):
    """The program: each command is a module of `package` and an attribute of the same name."""

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Sequence[str]],
        package: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the help."""
        return [name for names in self._sections.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command; None where there is no such command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{self._package}.{cmd_name}")
        return cast("click.Command", getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant; a wrong name is answered with the nearest one."""
        name = args[0]
        names = self.list_commands(ctx)
        if name not in names and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(name, possibilities=names, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section."""
        widest = max(len(name) for name in self.list_commands(ctx))
        room = formatter.width - widest - 6
        for title, names in self._sections.items():
            rows: list[tuple[str, str]] = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None  # noqa: S101  # the sections name modules of ours
                rows.append((name.ljust(widest), command.get_short_help_str(room)))
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours becomes a sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except click.NoSuchCommand as wrong:
            raise _with_the_word_used_here(wrong) from None
        except (OpenLoopError, LocalFailure) as error:
            tell(error, as_json=ctx.meta.get(OUTPUT) == "json")
            ctx.exit(exit_of(error))


def _with_the_word_used_here(wrong: click.NoSuchCommand) -> click.NoSuchCommand:
    """Where `list` was typed for `get`, or `get` for `list`, name the one that there is."""
    other = {"get": "list", "list": "get"}.get(wrong.command_name)
    group = wrong.ctx.command if wrong.ctx is not None else None
    if other is None or not isinstance(group, click.Group) or other not in group.commands:
        return wrong
    message = f"No such command {wrong.command_name!r}. Did you mean {other!r}?"
    return click.NoSuchCommand(wrong.command_name, message, ctx=wrong.ctx)
