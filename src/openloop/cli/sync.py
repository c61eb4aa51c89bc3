"""`openloop agents sync`: a folder or a repository is followed, and widens nothing by itself."""

from __future__ import annotations

import hashlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openloop.cli.applying import show_applied
from openloop.cli.client import connect
from openloop.cli.failures import Exit, LocalFailure, exit_of, tell
from openloop.cli.output import Format, Json, output_option, say
from openloop.domain.errors import OpenLoopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.cli.manifests import File

_SIGNS = 12


@click.command("sync")
@click.argument("place", metavar="DIR|URL")
@click.option("--ref", default="main", show_default=True, help="The branch or tag of a repository.")
@click.option("--path", "folder", default=".", metavar="DIR", help="The folder in a repository.")
@click.option(
    "--interval",
    type=click.IntRange(5, 86_400),
    metavar="SECONDS",
    help="Sync again and again; Ctrl-C stops.",
)
@output_option
def sync(place: str, ref: str, folder: str, interval: int | None, output: Format) -> int:
    """Follow a folder or a git repository.

    What narrows is applied, what widens is proposed to somebody else. Use a token of role `sync`,
    which can do nothing more. A repository is read over https, ssh or file; who wrote a commit is
    of no account.
    """
    if interval is None:
        return _once(place, ref, folder, None, output)
    stopped = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return repeat(lambda: _once(place, ref, folder, interval, output), interval, stopped)


def repeat(once: Callable[[], int], interval: float, stopped: threading.Event) -> int:
    """Sync until somebody stops it; what goes wrong is told and tried again."""
    while not stopped.is_set():
        try:
            once()
        except (OpenLoopError, LocalFailure) as error:
            tell(error, as_json=False)
            if exit_of(error) is Exit.DENIED:  # a token does not become better by waiting
                return Exit.DENIED
        stopped.wait(interval)
    return Exit.OK


def _once(place: str, ref: str, folder: str, interval: int | None, output: Format) -> int:
    origin, version, files = _read(place, ref, folder)
    body: Json = {
        "files": [{"name": file.name, "text": file.text} for file in files],
        "origin": origin,
        "version": version,
    }
    if interval is not None:
        body["every_seconds"] = interval
    say(f"{origin} at {version[:_SIGNS]}")
    return show_applied(connect().post("/api/v1/manifests/sync", body), output)


def _read(place: str, ref: str, folder: str) -> tuple[str, str, tuple[File, ...]]:
    """Where the manifests come from, which version of it, and the manifests."""
    from openloop.cli import git  # noqa: PLC0415  # --help needs no pydantic
    from openloop.cli.manifests import read_files  # noqa: PLC0415

    if git.is_url(place):
        fetched = git.fetch(place, ref=ref, folder=folder)
        return f"sync {place} {ref} {folder}", fetched.commit, fetched.files
    path = Path(place)
    if not path.is_dir():
        raise click.UsageError(f"{place} is neither a folder nor an address (https, ssh, file)")
    files = read_files(path)
    digest = hashlib.sha256("\0".join(f"{f.name}\0{f.text}" for f in files).encode()).hexdigest()
    return f"sync {path.resolve()}", digest, files
