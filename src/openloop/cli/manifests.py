"""Manifest files of a folder or a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openloop.domain.errors import Invalid
from openloop.domain.manifest import InvalidManifest, Loaded, check_references, load
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest

MOST_BYTES: Final = 256 * 1024
_MOST_FILES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A manifest as it was read; `name` is what messages call it."""

    name: str
    text: str


def read_files(*paths: Path) -> tuple[File, ...]:
    """Every manifest of files and folders (`*.yaml`, `*.yml`, not below); `-` is standard input.

    Raises:
        Invalid: nothing is there, or a file is no text of at most 256 KiB
    """
    found = [file for path in paths for file in _listed(path)]
    if not found:
        raise _refused(f"There is no manifest (*.yaml) in {', '.join(map(str, paths))}")
    if len(found) > _MOST_FILES:
        raise _refused(f"More than {_MOST_FILES} manifests at once")
    return tuple(_read(path) for path in found)


def check_files(files: tuple[File, ...]) -> list[dict[str, str]]:
    """Check manifests without a server; agents also against the Workspace among the files.

    Raises:
        Invalid: with every problem of every file
    """
    problems: list[str] = []
    read: list[tuple[File, Loaded]] = []
    for file in files:
        try:
            read.append((file, load(file.text, name=file.name)))
        except InvalidManifest as invalid:
            problems += invalid.problems
    problems += _unresolved([loaded for _, loaded in read])
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise Invalid(f"{problems[0]}{more}", problems=problems, code="manifest_invalid")
    return [
        {
            "file": file.name,
            "kind": "Agent" if isinstance(loaded.manifest, AgentManifest) else "Workspace",
            "name": loaded.manifest.metadata.name,
        }
        for file, loaded in read
    ]


def _unresolved(read: list[Loaded]) -> list[str]:
    """What agents name and the one Workspace does not have."""
    workspaces = [each.manifest for each in read if isinstance(each.manifest, WorkspaceManifest)]
    if len(workspaces) != 1:
        return []
    return [
        str(problem)
        for each in read
        if isinstance(each.manifest, AgentManifest)
        for problem in check_references(each.manifest, workspaces[0], document=each.document)
    ]


def _listed(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(
        each for each in path.iterdir() if each.suffix in (".yaml", ".yml") and each.is_file()
    )


def _read(path: Path) -> File:
    try:
        if str(path) == "-":
            read = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with path.open("rb") as stream:
                read = stream.read(MOST_BYTES + 1)
        if len(read) > MOST_BYTES:
            raise _refused(f"{path} is larger than 256 KiB")
        return File(name=str(path), text=read.decode("utf-8"))
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(f"{path} is not UTF-8 text") from error


def _refused(message: str) -> Invalid:
    return Invalid(message, problems=(message,), code="manifest_unreadable")
