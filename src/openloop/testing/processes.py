"""The processes of one installation, as the kernel lists them: who they are and what they use.

Linux only, since it reads `/proc`; elsewhere nothing is listed, and whoever asks has to say so.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROC = Path("/proc")
ROLES = ("up", "serve", "worker", "gateway", "postgres", "watchdog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, as it was when the kernel was asked. CPU counts its reaped children too."""

    pid: int
    parent: int
    state: str
    command: tuple[str, ...]
    home: str
    cpu_seconds: float
    rss_bytes: int

    @property
    def is_dead(self) -> bool:
        """True for one that has ended and is only waited for by nobody."""
        return self.state in "ZX"


def is_supported() -> bool:
    """Whether this system can be asked at all."""
    return (PROC / "self" / "stat").exists()


def of_home(home: Path) -> dict[int, Process]:
    """Everything that runs for an installation: its environment or arguments name the home, or
    one of its ancestors' do."""
    everyone = {process.pid: process for process in _list_all()}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for process in everyone.values():
        children[process.parent].append(process.pid)
    found: set[int] = set()
    line = [p.pid for p in everyone.values() if _names(p, str(home))]
    while line:
        pid = line.pop()
        if pid not in found:
            found.add(pid)
            line += children[pid]
    return {pid: everyone[pid] for pid in found if not everyone[pid].is_dead}


def by_role(found: Iterable[Process]) -> dict[str, list[Process]]:
    """The processes of an installation sorted by what they do; what is unknown is `other`."""
    sorted_: dict[str, list[Process]] = {role: [] for role in (*ROLES, "other")}
    for process in sorted(found, key=lambda each: each.pid):
        sorted_[_role(process.command)].append(process)
    return sorted_


def _names(process: Process, home: str) -> bool:
    if process.home == home:
        return True
    return any(word == home or word.startswith(f"{home}/") for word in process.command)


def _role(command: tuple[str, ...]) -> str:
    if not command:
        return "other"
    if Path(command[0]).name == "postgres" or command[0].startswith("postgres:"):
        return "postgres"
    if any(Path(word).name == "embedded_watchdog.py" for word in command):
        return "watchdog"
    return next((word for word in command[1:] if word in ROLES), "other")


def _list_all() -> Iterator[Process]:
    names = os.listdir(PROC) if PROC.exists() else []  # noqa: PTH208  # names alone, many of them
    for name in names:
        if name.isdecimal() and (process := _read(int(name))) is not None:
            yield process


def _read(pid: int) -> Process | None:
    """None where the process has ended in between, or belongs to somebody else."""
    folder = PROC / str(pid)
    try:
        stat = (folder / "stat").read_text(errors="replace")
        command = _words((folder / "cmdline").read_bytes())
    except OSError:
        return None
    # The name in parentheses may hold anything, so the fields are counted from behind it.
    fields = stat.rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    return Process(
        pid=pid,
        parent=int(fields[1]),
        state=fields[0],
        command=command,
        home=_home(folder),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _home(folder: Path) -> str:
    try:
        environ = _words((folder / "environ").read_bytes())
    except OSError:
        return ""
    prefix = "OPENLOOP_HOME="
    return next((word[len(prefix) :] for word in environ if word.startswith(prefix)), "")


def _words(zeroed: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(word) for word in zeroed.split(b"\0") if word)
