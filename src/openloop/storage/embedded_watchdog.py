"""The watchdog of the embedded Postgres: it outlives every user of the server and then stops it.

A user of the server starts it with `python -I -S`, so it imports the standard library only. It
holds no state but kernel file locks, in the folder that `openloop.storage.embedded` describes, and
sleeps in them: it wakes when the last user is gone, or when the server is.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

REFS = "refs.lock"
START = "start.lock"
ALIVE = "alive.lock"
DOG = "dog.lock"

_FAST_STOP_SECONDS = 30


def try_lock(path: Path, operation: int) -> int | None:
    """Take a kernel lock without waiting; closing the returned descriptor gives it back.

    Never unlock it with LOCK_UN: a forked child shares the lock and would lose it too.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def clean_environment() -> dict[str, str]:
    """The environment without what would change Postgres or its tools behind our back."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LD_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def signal_sender(folder: Path, pid: int) -> Callable[[int], None]:
    """How to signal a postmaster that is not our child without ever hitting a reused pid."""
    lock_file = folder / "pgdata" / "postmaster.pid"

    def is_postmaster() -> bool:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(lock_file.read_text().splitlines()[0]) == pid
        return False

    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel or sandbox without pidfd
            descriptor = os.pidfd_open(pid)

            def send_to_descriptor(number: int) -> None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)

            if is_postmaster():
                return send_to_descriptor

    def send_to_pid(number: int) -> None:
        if is_postmaster():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return send_to_pid


def _start_postgres(alive: int, uid: int, gid: int, argv: list[str]) -> Callable[[int], None]:
    drops = uid != os.geteuid()
    try:
        # Never waited for: while it stays unreaped nobody else can get its pid.
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            env=clean_environment(),
            cwd="/",
            pass_fds=[alive],
            start_new_session=True,
            user=uid if drops else None,
            group=gid if drops else None,
            extra_groups=[] if drops else None,
        )
    except OSError as error:
        sys.exit(f"FATAL:  cannot run {argv[0]!r}: {error}")
    os.close(alive)

    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)

    return send


def _leave_with_the_server(folder: Path) -> None:
    descriptor = os.open(folder / ALIVE, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Run `run FOLDER ALIVE_FD UID GID ARGV...`, or `adopt FOLDER PID`, in a process of its own.

    The dog lock is held by the descriptor that was inherited for it; nothing else needs it.
    """
    if os.fork() != 0:
        os._exit(0)  # so that our starter has no child to wait for
    verb, folder = arguments[0], Path(arguments[1])
    if verb == "run":
        alive, uid, gid = (int(argument) for argument in arguments[2:5])
        send = _start_postgres(alive, uid, gid, arguments[5:])
    else:
        send = signal_sender(folder, int(arguments[2]))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    threading.Thread(target=_leave_with_the_server, args=[folder], daemon=True).start()
    users = os.open(folder / REFS, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(users, fcntl.LOCK_EX)  # held while stopping: newcomers wait for the end of it
    send(signal.SIGINT)
    time.sleep(_FAST_STOP_SECONDS)
    send(signal.SIGQUIT)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
