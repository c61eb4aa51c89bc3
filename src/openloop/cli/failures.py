"""How a command ends badly: exit codes, and the words or the JSON that go to standard error."""

from __future__ import annotations

import json
from enum import IntEnum

import click

from openloop.cli.text import clean
from openloop.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OpenLoopError,
    Unavailable,
)


class Exit(IntEnum):
    """What a shell sees; documented in docs/reference/cli.md."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INVALID = 3
    NOT_FOUND = 4
    DENIED = 5
    CONFLICT = 6
    UNREACHABLE = 7
    NOT_COMPARED = 8
    INTERRUPTED = 130


_FAMILIES: tuple[tuple[type[OpenLoopError], Exit], ...] = (
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (Forbidden, Exit.DENIED),
    (Invalid, Exit.INVALID),
    (Unavailable, Exit.UNREACHABLE),
)


class LocalFailure(Exception):
    """Something on this machine is in the way; the sentence says what and what to do."""

    def __init__(self, message: str, *, code: str = "failed", exit: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.code, self.exit = code, exit


def exit_of(error: OpenLoopError | LocalFailure) -> Exit:
    """The exit code of an error, for ours that of its family."""
    if isinstance(error, LocalFailure):
        return error.exit
    for family, code in _FAMILIES:
        if isinstance(error, family):
            return code
    return Exit.FAILURE


def tell(error: OpenLoopError | LocalFailure, *, as_json: bool) -> None:
    """Say on standard error what went wrong, with every problem."""
    problems = error.problems if isinstance(error, Invalid) else ()
    if as_json:
        told = {
            "code": error.code,
            "message": str(error),
            "problems": list(problems),
            "exit": int(exit_of(error)),
        }
        click.echo(json.dumps({"error": told}, indent=2), err=True)
        return
    click.echo(f"openloop: {clean(str(error))}", err=True)
    if any(problem not in str(error) for problem in problems):
        for problem in problems:
            click.echo(f"  - {clean(problem)}", err=True)
