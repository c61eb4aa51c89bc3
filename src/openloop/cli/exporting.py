"""Writing the audit into a file: a page at a time, and from where an earlier export has ended."""

from __future__ import annotations

import csv
import json
import os
import sys
from typing import TYPE_CHECKING, Final, Literal

from openloop.cli.auditing import PAGE
from openloop.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from openloop.cli.client import Client

Kind = Literal["ndjson", "csv"]
_TAIL: Final = 4 * 1024 * 1024


def export(client: Client, kind: Kind, file: Path | None, after: int) -> int:
    """Write what comes after a link to a file or to standard output; up to which one it is there."""
    if file is None:
        return _copy(client, kind, sys.stdout.buffer, after)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as stream:
        after = max(after, _resume(stream, kind))
        reached = _copy(client, kind, stream, after)
        stream.flush()
        os.fsync(stream.fileno())
    say(f"{file} has the record up to link {reached}.")
    return reached


def _copy(client: Client, kind: Kind, stream: BinaryIO, after: int) -> int:
    while True:
        text = client.text("/api/v1/audit/export", after=after, limit=PAGE, format=kind)
        stream.write(text.encode())
        found = _last(text, kind)
        if found is None or found - after < PAGE:
            return found or after
        after = found


def _resume(stream: BinaryIO, kind: Kind) -> int:
    """Drop what a broken-off export has left of its last line, and say where it had got to."""
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL)
    stream.seek(start)
    tail = stream.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    while whole:
        found = _last(whole.decode(errors="replace"), kind)
        if found is not None:
            stream.truncate(start + len(whole))
            return found
        # What was put in behind the seals has no number and is written anew.
        whole = whole[: whole.rstrip(b"\n").rfind(b"\n") + 1]
    stream.truncate(start if start else 0)
    return 0


def _last(text: str, kind: Kind) -> int | None:
    """The number of the last link in some lines."""
    for line in reversed(text.splitlines()):
        number = _number(line, kind)
        if number is not None:
            return number
    return None


def _number(line: str, kind: Kind) -> int | None:
    try:
        if kind == "csv":
            return int(next(csv.reader([line]))[0])
        number = json.loads(line)["seq"]
    except (ValueError, KeyError, IndexError, StopIteration):
        return None
    return number if isinstance(number, int) else None
