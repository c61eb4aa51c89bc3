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
