"""The archive of a whole run's logs: opened in memory, and only as far as it is harmless.

Whoever can push can decide what is in it. So its directory is looked at before it is read, names
are labels and never paths, an archive within is not opened, and what comes out is bounded by
itself and in relation to what went in.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.integrations.github.errors import Refused
from openloop.integrations.github.logs import Log, LogKeeper

if TYPE_CHECKING:
    from collections.abc import Callable

ARCHIVE_BYTES = 32 * 2**20
DIRECTORY_BYTES = 2**20
MOST_ENTRIES = 2000
MOST_UNPACKED_BYTES = 128 * 2**20
MOST_RATIO = 250
FREE_BYTES = 2**20
"""Up to here the ratio does not count: a short log of equal lines is packed very well."""

_CHUNK_BYTES = 65_536
_END = b"PK\x05\x06"
_END_SIZE = 22
_LARGE_LOCATOR = b"PK\x06\x07"
_LARGE_LOCATOR_SIZE = 20
_ARCHIVE = b"PK\x03\x04"
_LABEL_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedLog:
    """One log of an archive. `label` is what the archive calls it: text, and no path."""

    label: str
    log: Log


def unpack(archive: bytes, is_wanted: Callable[[str], bool]) -> tuple[ArchivedLog, ...]:
    """The logs in an archive whose labels are wanted; slow, so not for the event loop.

    Raises:
        Refused: it is none, or one that we do not open
    """
    _check_directory(archive)
    left = MOST_UNPACKED_BYTES
    logs: list[ArchivedLog] = []
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > MOST_ENTRIES:
                raise Refused(f"The archive of logs has more than {MOST_ENTRIES} files")
            for entry in entries:
                _check_entry(entry)
                label = _label(entry.filename)
                if not is_wanted(label):
                    continue
                log = _unpacked(opened, entry, left)
                if log is not None:
                    left -= log.total_bytes
                    logs.append(ArchivedLog(label=label, log=log))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
        raise Refused("The archive of logs is damaged") from None
    return tuple(logs)


def _check_directory(archive: bytes) -> None:
    """Refuse a directory that would take much memory to read; its size is what is gone by."""
    at = archive.rfind(_END, max(0, len(archive) - _END_SIZE - 65_535))
    if at < 0 or len(archive) - at < _END_SIZE:
        raise Refused("What GitHub gave is no archive of logs")
    entries, size = struct.unpack_from("<HL", archive, at + 10)
    before = archive[max(0, at - _LARGE_LOCATOR_SIZE) : at]
    if entries > MOST_ENTRIES or size > DIRECTORY_BYTES or before.startswith(_LARGE_LOCATOR):
        raise Refused(f"The archive of logs has more than {MOST_ENTRIES} files")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    is_plain = entry.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if entry.flag_bits & 0x1 or not is_plain:
        raise Refused("The archive of logs is packed in a way that we do not open")


def _unpacked(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> Log | None:
    """One log; None for an archive within the archive."""
    keeper = LogKeeper()
    taken = 0
    with opened.open(entry) as packed:
        while chunk := packed.read(_CHUNK_BYTES):
            if taken == 0 and chunk.startswith(_ARCHIVE):
                return None
            taken += len(chunk)
            is_bomb = taken > FREE_BYTES and taken > MOST_RATIO * max(entry.compress_size, 1)
            if is_bomb or taken > left or not keeper.take(chunk):
                raise Refused("The archive of logs holds more than we unpack")
    return keeper.log()


def _label(name: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", name)[:_LABEL_LIMIT]
