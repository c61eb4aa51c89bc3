"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def child_options(*, ready: bool) -> Callable[[F], F]:
    """What `up` passes to its children; of use to any other supervisor too."""

    def add(command: F) -> F:
        if ready:
            command = click.option(
                "--ready-fd",
                type=click.IntRange(min=3),
                metavar="N",
                help="Write a line to this file descriptor once the work has begun.",
            )(command)
        command = click.option(
            "--parent-fd",
            type=click.IntRange(min=3),
            metavar="N",
            callback=_tie,
            help="Stop when the other end of this pipe closes; .env is not read then.",
        )(command)
        return click.option(
            "--nice",
            type=click.IntRange(0, 19),
            default=0,
            metavar="N",
            help="Give way to other processes, as nice(1) does.",
        )(command)

    return add


def _tie(_context: click.Context, _option: click.Parameter, parent_fd: int | None) -> int | None:
    """Tie this process to its parent before it imports what takes seconds on a busy machine."""
    if parent_fd is not None:
        from openloop.cli.processes.parent import follow  # noqa: PLC0415  # --help imports less

        follow(parent_fd)
    return parent_fd
