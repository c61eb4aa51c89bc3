"""Secrets by reference: a setting says where its secret is, instead of being it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from openloop.domain.errors import Invalid

Store = Literal["env", "file", "store"]

SCHEME: Final = "secretref://"
MAX_BYTES: Final = 64 * 1024
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class SecretRefused(Invalid):
    """A reference cannot be followed, or a secret cannot be kept; the sentence never has its value."""

    code = "secret_refused"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """`secretref://env/NAME`, `secretref://file/PATH` or `secretref://store/NAME`."""

    store: Store
    name: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.store}/{self.name.removeprefix('/')}"


def is_reference(text: str) -> bool:
    """Whether a value says where a secret is, rather than being one."""
    return text.startswith(SCHEME)


def parse_reference(text: str) -> SecretRef:
    """Read a reference. The path of a file is absolute: what follows `file` is all of it.

    Raises:
        SecretRefused: what is wrong with it; the text is not repeated, since it may be a secret
    """
    store, slash, name = text.removeprefix(SCHEME).partition("/")
    match store:
        case "env" if slash and _VARIABLE.fullmatch(name):
            return SecretRef("env", name)
        case "file" if slash and name and "\0" not in name:
            return SecretRef("file", "/" + name.lstrip("/"))
        case "store" if slash and NAME.fullmatch(name):
            return SecretRef("store", name)
        case _:
            message = (
                "a reference is secretref://env/NAME, secretref://file/ABSOLUTE/PATH or "
                "secretref://store/NAME"
            )
            raise SecretRefused(message)


def check_name(name: str) -> None:
    """Refuse what is no name of a stored secret.

    Raises:
        SecretRefused
    """
    if not NAME.fullmatch(name):
        message = (
            "a secret's name has 1 to 63 characters: lower-case letters, digits, dots, dashes and "
            "underscores, and begins with a letter or a digit"
        )
        raise SecretRefused(message)


def check_value(value: str) -> None:
    """Refuse what no service takes as a secret.

    Raises:
        SecretRefused
    """
    if not value:
        raise SecretRefused("it is empty")
    if "\0" in value:
        raise SecretRefused("it holds a NUL character")
    if len(value.encode()) > MAX_BYTES:
        raise SecretRefused(f"it is larger than {MAX_BYTES // 1024} KiB")
