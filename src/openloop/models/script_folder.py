"""The folder of scripts: read when they are asked for, and again when they have changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from openloop.models.errors import BadScript, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from openloop.models.script import Script

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


class ScriptFolder:
    """The scripts of one folder; a changed file is read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], Script]] = {}

    def names(self) -> Sequence[str]:
        """Every script there is, by name."""
        return sorted(
            path.stem for path in self._folder.glob("*.yaml") if _NAME.fullmatch(path.stem)
        )

    def read(self, name: str) -> Script:
        """The script `name`. Raises UnknownModel or BadScript."""
        if not _NAME.fullmatch(name):
            message = f"A script is named with a-z, 0-9, _ and -, not {name!r}"
            raise UnknownModel(message)
        path = self._folder / f"{name}.yaml"
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            known = self._read.get(name)
            if known and known[0] == version:
                return known[1]
            text = path.read_bytes()
        except FileNotFoundError:
            message = f"There is no script {path.name!r} in the scripts folder"
            raise UnknownModel(message) from None
        except OSError as error:
            message = f"The script {path.name!r} cannot be read: {type(error).__name__}"
            raise BadScript(message) from None
        script = _parse(text, file=path.name)
        self._read[name] = (version, script)
        return script


def _parse(text: bytes, *, file: str) -> Script:
    # Late, so that a process that knows no script never loads a YAML parser.
    from openloop.models.script_file import parse_script  # noqa: PLC0415

    return parse_script(text, file=file)
