"""The environment that AgentDojo runs in: made in the ignored cache from a lock of its own.

AgentDojo's packages never meet OpenLoop's: what it needs is not what the product is made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measuring import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = ROOT / ".cache" / "agentdojo"
LOCK = Path(__file__).with_name("worlds") / "requirements.lock"
_PYTHON = FOLDER / "venv" / "bin" / "python"
_MADE_FROM = FOLDER / "made-from"
_EXACT = ("--require-hashes", "--only-binary", ":all:")


class NotInstalled(Exception):
    """AgentDojo could not be installed; the message holds the end of what the installer said."""


def python() -> Path:
    """The interpreter of the environment, which is made where it is missing or stale.

    Raises:
        NotInstalled
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test worker may be making it
        wanted = _contents()
        if not (_PYTHON.exists() and _MADE_FROM.exists() and _MADE_FROM.read_text() == wanted):
            _make()
            _MADE_FROM.write_text(wanted)
    return _PYTHON


def _contents() -> str:
    made_of = f"{LOCK.read_text()}{sys.version}{FOLDER}"
    return hashlib.sha256(made_of.encode()).hexdigest()


def _make() -> None:
    _MADE_FROM.unlink(missing_ok=True)
    shutil.rmtree(FOLDER / "venv", ignore_errors=True)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is not None and _succeeds(uv, "venv", "--python", sys.executable, FOLDER / "venv"):
        target = ("--python", _PYTHON)
        if _succeeds(uv, "pip", "sync", *target, *_EXACT, LOCK):
            return
        shutil.rmtree(FOLDER / "venv")
    _run(sys.executable, "-m", "venv", FOLDER / "venv")  # pip finds indexes that uv does not
    _run(_PYTHON, "-m", "pip", "install", "--no-deps", *_EXACT, "--requirement", LOCK)


def _succeeds(*command: str | Path) -> bool:
    try:
        _run(*command)
    except NotInstalled:
        return False
    return True


def _run(*command: str | Path) -> None:
    arguments: Sequence[str] = [str(part) for part in command]
    done = subprocess.run(
        arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise NotInstalled(f"{' '.join(arguments)}:\n{said}")
