"""Reading OPENLOOP_AUDIT_CHECKPOINTS: a list of places, separated by commas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured
from openloop.runtime.destinations.folder import Folder
from openloop.runtime.destinations.git import Git
from openloop.runtime.destinations.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.runtime.destinations.destination import Destination

BRANCH: Final = "checkpoints"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def read_places(texts: Sequence[str], *, home: Path) -> list[Destination]:
    """The places of the setting; without one, a folder in the installation's home.

    Raises:
        Misconfigured: with every problem
    """
    places: list[Destination] = []
    problems: list[str] = []
    for text in texts or [f"file:{default_folder(home)}"]:
        try:
            places.append(_place(text, home))
        except Misconfigured as error:
            problems.append(f"OPENLOOP_AUDIT_CHECKPOINTS: {error}")
    if problems:
        raise Misconfigured("; ".join(problems), problems=problems)
    return places


def default_folder(home: Path) -> Path:
    """Where checkpoints go unless something else is said: outside of the database, on its machine."""
    return home / "audit" / "checkpoints"


def _place(text: str, home: Path) -> Destination:
    scheme, _, rest = text.partition(":")
    if scheme == "file" and rest.startswith("/"):
        return Folder(Path(rest.removeprefix("//")))
    if scheme == "git" and rest:
        url, _, branch = rest.partition("#")
        return Git(url, branch or BRANCH, home / "audit" / "git")
    parts = urlsplit(text)
    if parts.scheme == "https" and parts.hostname:
        return Webhook(text)
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return Webhook(text)
    message = (
        f"{scheme + ':...' if scheme else text!r} is no place: use file:/FOLDER, git:URL#BRANCH or "
        "https://HOST/PATH"
    )
    raise Misconfigured(message)
