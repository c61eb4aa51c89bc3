"""A folder of files, best on another machine's disk: one file for each checkpoint, never changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openloop.runtime.destinations.destination import NotDelivered, diverged, path_of
from openloop.runtime.signing import write_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.checkpoints import CheckpointRow


class Folder:
    """Writes each file whole and once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = f"file:{root}"

    async def put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        """Write what is not there."""
        try:
            await asyncio.to_thread(self._put, workspace, documents)
        except OSError as error:
            raise NotDelivered(f"{self.name}: {error.strerror or error}") from error

    async def aclose(self) -> None:
        """Nothing is open."""

    def _put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        for each in documents:
            path = self.root / path_of(workspace, each.number)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = each.document + "\n"
            if not write_once(path, text, mode=0o644) and path.read_text("utf-8") != text:
                raise diverged(self.name, each.number)
        # Whoever counts anew from an older number has been set back.
        follower = documents[-1].number + 1
        if (self.root / path_of(workspace, follower)).exists():
            raise diverged(self.name, follower)


def read(root: Path, workspace: WorkspaceId) -> Iterator[str]:
    """The checkpoints of a workspace in a folder, in order; also in a checked-out repository."""
    for path in sorted((root / str(workspace)).glob("*/*.json")):
        yield path.read_text("utf-8").strip()
