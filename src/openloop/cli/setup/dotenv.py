"""Writing `.env`: what is there stays, and only its owner may read it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def already_set(file: Path, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that a file gives another value than the wanted one."""
    if not file.exists():
        return ()
    from dotenv import dotenv_values  # noqa: PLC0415  # `--help` need not pay for it

    present = dotenv_values(file, interpolate=False)
    return tuple(name for name, text in wanted.items() if present.get(name) not in (None, "", text))


def merge(file: Path, wanted: Mapping[str, str]) -> None:
    """Set the variables and keep every other line; the file is replaced in one step."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    kept = [line for line in lines if not ((m := _LINE.match(line)) and m[1] in wanted)]
    new = [f"{name}={_quoted(text)}" for name, text in wanted.items()]
    write_private(file, "\n".join([*kept, *new]) + "\n")


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read; never half of it."""
    temporary = file.with_name(f"{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(file)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
