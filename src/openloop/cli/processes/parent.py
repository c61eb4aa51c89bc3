"""A child's tie to its parent: it ends when the parent is gone, however that one ended."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

GRACE_SECONDS: Final = 3.0
"""How long a child may take to end in order after its parent went away."""


def follow(parent_fd: int, *, grace_seconds: float = GRACE_SECONDS) -> None:
    """Stop this process when the other end of a pipe closes: SIGTERM first, then at once.

    It is a thread, so that a blocked event loop does not keep the process alive.
    """
    # Waiting for the end must not keep the interpreter from ending by itself.
    watch = threading.Thread(
        target=_watch, args=(parent_fd, grace_seconds), name="parent", daemon=True
    )
    watch.start()


def _watch(parent_fd: int, grace_seconds: float) -> None:
    while os.read(parent_fd, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace_seconds)
    os._exit(1)


def report_ready(ready_fd: int | None) -> None:
    """Tell the parent that this process does its work now."""
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)
