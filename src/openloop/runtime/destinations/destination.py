"""What a place that keeps checkpoints can do, and how it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from openloop.domain.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.checkpoints import CheckpointRow


class NotDelivered(Unavailable):
    """The place cannot be reached, or did not take it; the same is tried again."""

    code = "checkpoint_not_delivered"


class Diverged(Conflict):
    """The place has other checkpoints: the database was rolled back, rewritten or forked."""

    code = "checkpoint_diverged"


class Destination(Protocol):
    """One place; what it has once, it keeps."""

    @property
    def name(self) -> str:
        """How it is called in rows, logs and `doctor`: without any secret."""
        ...

    async def put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        """Keep these, in order. What is there already, byte for byte, is well.

        Raises:
            NotDelivered, Diverged
        """
        ...

    async def aclose(self) -> None:
        """Let go of what is open."""
        ...


def path_of(workspace: WorkspaceId, number: int) -> str:
    """Where a checkpoint is inside of a folder or repository."""
    return f"{workspace}/{number // 1000:06d}/{number:09d}.json"


def diverged(name: str, number: int) -> Diverged:
    """The place has another checkpoint of this number."""
    return Diverged(
        f"{name} has another checkpoint {number}: the database was rolled back, rewritten or forked"
    )
