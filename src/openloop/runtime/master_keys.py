"""The master keys that wrap stored secrets, in a file that only its owner may read."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from openloop.domain.errors import Misconfigured
from openloop.domain.sealed_secret import MasterKey
from openloop.domain.secret import SecretRefused
from openloop.runtime.private_files import read_private
from openloop.runtime.signing import write_once

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

_COMMENT: Final = (
    "# OpenLoop's master keys, newest last. Never keep this beside the database's backup."
)


class MasterKeyFile:
    """Reads the file anew each time, so that a rotation reaches every process of the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def newest(self) -> MasterKey:
        """The key to seal with, made where there is none.

        Raises:
            Misconfigured: the file is not what it must be
        """
        keys = self._read()
        if keys:
            return keys[-1]
        key = MasterKey.new()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not write_once(self.path, _written([key]), mode=0o600):  # somebody else was first
            return self.newest()
        return key

    def by_id(self) -> dict[str, MasterKey]:
        """Every key, by its id; none where there is no file. Raises Misconfigured."""
        return {key.id: key for key in self._read()}

    @contextmanager
    def rotation(self) -> Generator[MasterKey]:
        """A new key inside the block; where it ends well, the older ones are gone.

        Whatever breaks off leaves all keys in the file, and the next rotation goes on with them.
        One rotation runs at a time.
        """
        self.newest()
        with self._alone():
            old = self._read()
            new = MasterKey.new()
            self._replace([*old, new])
            yield new
            self._replace([new])

    @contextmanager
    def _alone(self) -> Generator[None]:
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, keys: Iterable[MasterKey]) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        new.unlink(missing_ok=True)  # of a rotation that broke off; there is no other one now
        write_once(new, _written(keys), mode=0o600)
        new.replace(self.path)

    def _read(self) -> list[MasterKey]:
        try:
            text = read_private(self.path)
        except FileNotFoundError:
            return []
        except SecretRefused as refused:
            message = f"The master keys cannot be used: {refused}"
            raise Misconfigured(message, problems=(message,)) from refused
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        try:
            return [MasterKey.read(line) for line in lines]
        except ValueError as error:
            message = f"{self.path} holds something that is no master key"
            raise Misconfigured(message, problems=(message,)) from error


def _written(keys: Iterable[MasterKey]) -> str:
    return "\n".join([_COMMENT, *(key.write() for key in keys)]) + "\n"
