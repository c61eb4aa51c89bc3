"""Manifests out of a git repository, without ever checking it out.

A repository is somebody else's text: its configuration, hooks, filters, attributes, submodules and
links are never acted on, since only blobs are read from a bare copy. Nothing of it gives a right;
of a commit only its hash is kept.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from openloop.cli.failures import Exit, LocalFailure
from openloop.cli.manifests import MOST_BYTES, File
from openloop.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS: Final = 120
_MOST_FILES: Final = 50
_SCHEMES: Final = ("https", "ssh", "file")
_REF: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
_ENTRY: Final = re.compile(
    rb"(?P<mode>\d+) (?P<type>\w+) (?P<id>[0-9a-f]{40,64}) +(?P<size>\d+|-)\t"
)
_SCP: Final = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]+")
_FILES: Final = ("100644", "100755")
_INHERITED: Final = (
    "PATH",
    "LANG",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GIT_ASKPASS",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
OVERRIDES: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.symlinks": "false",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.file.allow": "always",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "credential.helper": "",
    "init.templateDir": "",
    "gc.auto": "0",
}
"""What is set for every call, above anything that a repository says of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The manifests of one commit."""

    commit: str
    files: tuple[File, ...]


def is_url(place: str) -> bool:
    """Whether a place is a repository's address rather than a folder."""
    return "://" in place or _SCP.fullmatch(place) is not None


def refuse_url(url: str) -> None:
    """Take https, ssh and file, and no address that carries a password.

    Raises:
        Invalid
    """
    if _SCP.fullmatch(url):
        return
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        raise _refused(f"{url!r} is not an address") from None
    if parts.scheme not in _SCHEMES:
        raise _refused(f"A repository is read over {', '.join(_SCHEMES)}, not {parts.scheme!r}")
    if password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise _refused("The address must hold no password: git asks GIT_ASKPASS or the SSH agent")
    if parts.scheme == "file" and parts.netloc:
        raise _refused("A file address names no host: file:///path")


def fetch(url: str, *, ref: str, folder: str) -> Fetched:
    """The manifests (`*.yaml`, `*.yml`) of a folder at the tip of a branch or tag.

    Raises:
        Invalid: the address, the branch or what is in the folder is refused
        LocalFailure: git could not do it
    """
    refuse_url(url)
    if not _REF.fullmatch(ref) or ".." in ref:
        raise _refused(f"{ref!r} is not the name of a branch or tag")
    wanted = PurePosixPath(folder)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise _refused(f"{folder!r} is not a folder inside of the repository")
    with tempfile.TemporaryDirectory(prefix="openloop-sync-") as home:
        copy = f"{home}/copy.git"
        _git(
            [
                *("clone", "--bare", "--depth=1", "--single-branch", "--no-tags"),
                *("--no-recurse-submodules", "--template=", f"--branch={ref}", "--", url, copy),
            ],
            home,
        )
        commit = _git(["rev-parse", "--verify", "HEAD^{commit}"], home, copy).decode().strip()
        return Fetched(commit=commit, files=tuple(_files(home, copy, wanted)))


def _files(home: str, copy: str, folder: PurePosixPath) -> list[File]:
    prefix = "" if str(folder) == "." else f"{folder}/"
    listed = _git(["ls-tree", "-z", "-l", "--full-tree", "HEAD", "--", prefix or "."], home, copy)
    found: list[File] = []
    for entry in listed.split(b"\0"):
        matched = _ENTRY.match(entry)
        if matched is None:
            continue
        path = PurePosixPath(os.fsdecode(entry[matched.end() :]))
        # Links, submodules and folders below are no manifests.
        if path.suffix not in (".yaml", ".yml") or matched["mode"].decode() not in _FILES:
            continue
        if int(matched["size"]) > MOST_BYTES:
            raise _refused(f"{path} is larger than 256 KiB")
        if len(found) == _MOST_FILES:
            raise _refused(f"More than {_MOST_FILES} manifests at once")
        text = _git(["cat-file", "blob", matched["id"].decode()], home, copy)
        try:
            found.append(File(name=str(path), text=text.decode("utf-8")))
        except UnicodeDecodeError:
            raise _refused(f"{path} is not UTF-8 text") from None
    if not found:
        raise _refused(f"There is no manifest (*.yaml) in {prefix or 'the top folder'} at this ref")
    return found


def _git(arguments: Sequence[str], home: str, copy: str | None = None) -> bytes:
    place = ["--git-dir", copy] if copy is not None else []
    try:
        done = subprocess.run(
            ["git", *place, *arguments],  # noqa: S607  # as a person would call it
            cwd=home,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise LocalFailure("git is not installed here", code="git_missing") from None
    except subprocess.TimeoutExpired:
        raise _failed(f"git took longer than {SECONDS} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise _failed(f"git {arguments[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout


def environment(home: str) -> Mapping[str, str]:
    """What git sees of this machine: no configuration but ours, and nobody to ask."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # ssh finds its keys and known hosts by itself; git's own configuration is not in this HOME.
    ours = {
        "HOME": home,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES),
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": str(len(OVERRIDES)),
    }
    for index, (key, value) in enumerate(OVERRIDES.items()):
        ours[f"GIT_CONFIG_KEY_{index}"] = key
        ours[f"GIT_CONFIG_VALUE_{index}"] = value
    return {**kept, **ours}


def _refused(message: str) -> Invalid:
    return Invalid(message, problems=(message,), code="source_refused")


def _failed(message: str) -> LocalFailure:
    return LocalFailure(message, code="source_unreachable", exit=Exit.UNREACHABLE)
