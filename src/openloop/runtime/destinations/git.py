"""A git repository: one commit for what is new, pushed without force and without a working tree.

Plain `git`, told to heed nobody's configuration: what a repository or a home folder holds could
otherwise make it run programs. Objects are written one by one, so nothing of the remote is ever
checked out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured
from openloop.runtime.destinations.destination import NotDelivered, diverged, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.checkpoints import CheckpointRow

SECONDS: Final = 30.0
NOBODY: Final = "OpenLoop"
ADDRESS: Final = "checkpoints@openloop.invalid"
BRANCH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_LONGEST_ERROR: Final = 300

# Whatever a configuration file says, this is what holds.
_OVERRIDES: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.askPass": "",
    "credential.helper": "",
    "commit.gpgSign": "false",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.recurseSubmodules": "false",
    "push.recurseSubmodules": "no",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.file.allow": "always",
    "transfer.fsckObjects": "true",
}
_PASSED_ON: Final = ("PATH", "HOME", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "SSL_CERT_FILE")


class Git:
    """Pushes to one branch of one remote; `folder` is ours to keep objects in."""

    def __init__(self, url: str, branch: str, folder: Path) -> None:
        """Take the remote.

        Raises:
            Misconfigured: the branch has a strange name
        """
        if (
            BRANCH.fullmatch(branch) is None
            or ".." in branch
            or branch.endswith((".lock", "/", "."))
        ):
            message = f"{branch!r} is no name for a branch"
            raise Misconfigured(message)
        if url.startswith("-"):
            message = "The address of a git repository does not begin with a hyphen"
            raise Misconfigured(message)
        self._url, self._branch = url, branch
        fingerprint = hashlib.sha256(url.encode()).hexdigest()[:8]
        self._repository = folder / f"{fingerprint}.git"
        self.name = f"git:{_shown(url)}#{branch}"

    async def put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        """Fetch the branch, add what it lacks as one commit, and push that."""
        if not (self._repository / "HEAD").exists():  # one look at our own disk
            self._repository.parent.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--bare", "--quiet", str(self._repository), outside=True)
        tip = await self._tip()
        missing = [each for each in documents if not await self._has(tip, workspace, each)]
        follower = documents[-1].number + 1
        if tip and await self._object(f"{tip}:{path_of(workspace, follower)}") is not None:
            raise diverged(self.name, follower)
        if missing:
            commit = await self._commit(tip, workspace, missing)
            await self._git("push", "--quiet", self._url, f"{commit}:refs/heads/{self._branch}")

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _tip(self) -> str:
        """The commit at the end of the branch, fetched; empty where there is no such branch yet."""
        reference = f"refs/heads/{self._branch}"
        listed = await self._git("ls-remote", "--quiet", self._url, reference)
        if not listed:
            return ""
        tip = listed.split()[0]
        if await self._object(f"{tip}^{{tree}}") is None:
            await self._git("fetch", "--quiet", "--no-tags", "--depth=1", self._url, reference)
        return tip

    async def _has(self, tip: str, workspace: WorkspaceId, each: CheckpointRow) -> bool:
        """Whether the branch has exactly this; another one in its place is an alarm."""
        if not tip:
            return False
        name = f"{tip}:{path_of(workspace, each.number)}"
        if await self._object(name) is None:
            return False
        if await self._git("cat-file", "blob", name) != each.document:
            raise diverged(self.name, each.number)
        return True

    async def _commit(
        self, tip: str, workspace: WorkspaceId, added: Sequence[CheckpointRow]
    ) -> str:
        index = {"GIT_INDEX_FILE": str(self._repository / f"index-{os.getpid()}")}
        try:
            await self._git("read-tree", tip or "--empty", extra=index)
            lines: list[str] = []
            for each in added:
                blob = await self._git("hash-object", "-w", "--stdin", text=each.document + "\n")
                lines.append(f"100644 {blob}\t{path_of(workspace, each.number)}\n")
            await self._git("update-index", "--index-info", text="".join(lines), extra=index)
            tree = await self._git("write-tree", extra=index)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(index["GIT_INDEX_FILE"])  # noqa: PTH108  # a blocking call of microseconds
        numbers = f"{added[0].number}" + (f"-{added[-1].number}" if len(added) > 1 else "")
        parents = ["-p", tip] if tip else []
        message = f"Checkpoint {numbers} of {workspace}\n"
        return await self._git("commit-tree", tree, *parents, text=message)

    async def _object(self, name: str) -> str | None:
        """The id of an object, if it is here."""
        try:
            return await self._git("rev-parse", "--verify", "--quiet", name)
        except NotDelivered:
            return None

    async def _git(
        self,
        *arguments: str,
        text: str = "",
        extra: Mapping[str, str] | None = None,
        outside: bool = False,
    ) -> str:
        where = [] if outside else [f"--git-dir={self._repository}"]
        process = await asyncio.create_subprocess_exec(
            "git",
            *where,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment(), **(extra or {})},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(SECONDS):
                out, err = await process.communicate(text.encode())
        except TimeoutError:
            raise NotDelivered(f"{self.name}: git {arguments[0]} took too long") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            reason = " ".join(err.decode(errors="replace").replace(self._url, "the remote").split())
            raise NotDelivered(f"{self.name}: git {arguments[0]}: {reason[:_LONGEST_ERROR]}")
        return out.decode().strip()


def environment() -> dict[str, str]:
    """What git is told: our overrides, and of the surroundings only what reaches a remote."""
    told = {"GIT_SSH_COMMAND": "ssh"}
    told |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    told |= {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_AUTHOR_NAME": NOBODY,
        "GIT_AUTHOR_EMAIL": ADDRESS,
        "GIT_COMMITTER_NAME": NOBODY,
        "GIT_COMMITTER_EMAIL": ADDRESS,
        "GIT_CONFIG_COUNT": str(len(_OVERRIDES)),
    }
    for number, (key, value) in enumerate(_OVERRIDES.items()):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return told


def _shown(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    if not parts.scheme or parts.hostname is None:
        return url.rpartition("@")[2]
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
