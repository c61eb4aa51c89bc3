"""The installation's signing key, in a file that only its owner may read; the database never has it."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from openloop.domain.audit_checkpoint import SigningKey
from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path


class KeyFile:
    """Reads the key anew each time, so that a rotation reaches every process of the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def next_path(self) -> Path:
        """Where a rotation that is under way keeps the key to come."""
        return self.path.with_name(f"{self.path.name}.next")

    def key(self) -> SigningKey:
        """The key, made where there is none.

        Raises:
            Misconfigured: the file is not what it must be
        """
        return _read(self.path) or self._made(self.path)

    def find(self) -> SigningKey | None:
        """The key, if there is one."""
        return _read(self.path)

    def next_key(self) -> SigningKey:
        """The key that a rotation brings; a rotation that broke off goes on with the same."""
        return _read(self.next_path) or self._made(self.next_path)

    def finish_rotation(self) -> None:
        """Put the next key in the place of the one before, which is gone then."""
        self.next_path.replace(self.path)
        _sync_folder(self.path.parent)

    def _made(self, path: Path) -> SigningKey:
        key = SigningKey.new()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not write_once(path, key.write(), mode=0o600):  # somebody else was first
            return _read(path) or key
        return key


def _read(path: Path) -> SigningKey | None:
    try:
        with path.open(encoding="ascii") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if mode & 0o077:
                message = f"Others may read the signing key {path}: chmod 600 it"
                raise Misconfigured(message)
            return SigningKey.read(stream.read())
    except FileNotFoundError:
        return None
    except ValueError as error:
        message = f"{path} holds no signing key"
        raise Misconfigured(message) from error


def write_once(path: Path, text: str, *, mode: int) -> bool:
    """Write a whole file that is there for good, or none; False where one of its name is there."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # Nobody who can write there too has put a link in its place.
    opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(opened, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        return False
    finally:
        new.unlink()
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
