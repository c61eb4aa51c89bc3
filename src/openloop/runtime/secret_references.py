"""Following the references of settings, in the process that needs what they refer to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from openloop.domain.secret import (
    SecretRef,
    SecretRefused,
    check_value,
    is_reference,
    parse_reference,
)
from openloop.runtime.private_files import read_private

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An environment whose references to variables and files are replaced by what they refer to.

    The variables of stored secrets are missing from it: the database is not open yet.
    """

    environ: Mapping[str, str] = field(repr=False)
    references: Mapping[str, SecretRef]
    problems: tuple[str, ...]

    @property
    def values(self) -> list[str]:
        """What the references led to, so far."""
        return [self.environ[name] for name, r in self.references.items() if r.store != "store"]


def references_in(environ: Mapping[str, str]) -> dict[str, SecretRef]:
    """Every variable that is a well-formed reference."""
    found: dict[str, SecretRef] = {}
    for name, value in environ.items():
        if is_reference(value):
            try:
                found[name] = parse_reference(value)
            except SecretRefused:
                continue  # `follow` says so
    return found


def follow(environ: Mapping[str, str], *, never_stored: Collection[str]) -> Followed:
    """Follow every reference; `never_stored` are read before the database is open.

    A problem names the variable and what is wrong, and never repeats a value.
    """
    followed = dict(environ)
    references: dict[str, SecretRef] = {}
    problems: list[str] = []
    for name, value in environ.items():
        if not is_reference(value):
            continue
        del followed[name]  # nobody takes a reference that cannot be followed for a value
        try:
            reference = parse_reference(value.strip())
            if reference.store != "store":
                followed[name] = _read(reference, environ)
            elif name in never_stored:
                problems.append(f"{name}: it is needed to reach the store; use env or file")
                continue
        except SecretRefused as refused:
            problems.append(f"{name}: {refused}")
        else:
            references[name] = reference
    return Followed(environ=followed, references=references, problems=tuple(problems))


def _read(reference: SecretRef, environ: Mapping[str, str]) -> str:
    if reference.store == "env":
        value = environ.get(reference.name, "")
        if not value:
            raise SecretRefused(f"the variable {reference.name} is not set")
        if is_reference(value):
            raise SecretRefused(f"the variable {reference.name} is a reference itself")
    else:
        try:
            value = read_private(Path(reference.name)).removesuffix("\n").removesuffix("\r")
        except FileNotFoundError:
            raise SecretRefused(f"there is no file {reference.name}") from None
    check_value(value)
    return value
