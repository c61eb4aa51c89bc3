"""Reading a file that has to be one person's own: by its true path, and by nobody else's hand."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from openloop.domain.secret import MAX_BYTES, SecretRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait at a pipe that somebody has put there.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def read_private(path: Path) -> str:
    """The text of a file that only its owner may read, who is us or root.

    No part of its path is a symbolic link, and nobody else may exchange a part of it: each folder is
    opened inside the one before, so that what is checked is what is read.

    Raises:
        SecretRefused: with what is wrong, never with the content
        FileNotFoundError
    """
    if not path.is_absolute() or ".." in path.parts:
        raise SecretRefused(f"{path} is not an absolute path without '..'")
    opened = _open_below(path.parts)
    try:
        _check(os.fstat(opened), path)
        with os.fdopen(opened, "rb", closefd=False) as stream:
            written = stream.read(MAX_BYTES + 1)
    finally:
        os.close(opened)
    if len(written) > MAX_BYTES:
        raise SecretRefused(f"{path} is larger than {MAX_BYTES // 1024} KiB")
    try:
        return written.decode()
    except UnicodeDecodeError as error:
        raise SecretRefused(f"{path} is not UTF-8 text") from error


def _open_below(parts: Sequence[str]) -> int:
    folder = os.open(parts[0], _FOLDER)
    try:
        for index, part in enumerate(parts[1:-1], start=1):
            inner = _open(part, _FOLDER, folder, Path(*parts[: index + 1]))
            os.close(folder)
            folder = inner
            _check_folder(os.fstat(folder), Path(*parts[: index + 1]))
        return _open(parts[-1], _FILE, folder, Path(*parts))
    finally:
        os.close(folder)


def _open(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            message = f"{path} is a symbolic link: name the file itself"
        else:
            message = f"{path} cannot be opened: {error.strerror}"
        raise SecretRefused(message) from error


def _check_folder(found: os.stat_result, path: Path) -> None:
    """Whoever may write to a folder may exchange what is in it; not so where it is sticky."""
    others_write = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if others_write or found.st_uid not in (os.geteuid(), 0):
        raise SecretRefused(f"others may write to the folder {path}, and exchange the file")


def _check(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretRefused(f"{path} is not a file")
    if found.st_uid not in (os.geteuid(), 0):
        raise SecretRefused(f"{path} belongs to somebody else")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise SecretRefused(f"others may read {path} (mode {mode:o}): chmod 600 it")
