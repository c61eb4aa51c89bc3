"""Commits of the fake GitHub: each knows the whole tree, so that files and diffs come from one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from openloop.testing.rigs.github.happened import Happened
from openloop.testing.rigs.github.rows import ChangedFile, Commit, sha_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from openloop.testing.rigs.github.chronicle import Chronicle
    from openloop.testing.rigs.github.rows import Repository, User


class Commits:
    """The way to add commits; each is told as a push."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle

    def add(
        self,
        repository: Repository,
        message: str,
        *,
        by: User,
        files: Mapping[str, str | bytes | None],
        branch: str | None = None,
        made_at: datetime | None = None,
    ) -> Commit:
        """Commit to a branch; None as a text takes a file away.

        A branch that is new begins where the default branch stands.
        """
        history = repository.history
        name = branch if branch is not None else repository.default_branch
        tip = history.find(name) or history.find(repository.default_branch)
        after = dict(tip.files if tip is not None else {})
        for path, text in files.items():
            if text is None:
                after.pop(path, None)
            else:
                after[path] = text.encode() if isinstance(text, str) else text
        parents = (tip.sha,) if tip is not None else ()
        number = len(history.commits)
        made = Commit(
            sha=sha_of(f"{repository.id}:{number}:{parents}:{message}".encode()),
            message=message,
            author=by,
            made_at=made_at if made_at is not None else self._chronicle.now(),
            parents=parents,
            files=after,
        )
        history.commits[made.sha] = made
        history.branches[name] = made.sha
        self._chronicle.tell(
            Happened(event="push", action="", repository=repository, sender=by, commit=made)
        )
        return made


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[ChangedFile]:
    """What turns one tree into another."""
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        patch, added, removed = _patch(old or b"", new or b"")
        yield ChangedFile(
            filename=path,
            status="added" if old is None else "removed" if new is None else "modified",
            additions=added,
            deletions=removed,
            patch=patch,
        )


def diff_of(files: Iterable[ChangedFile]) -> str:
    """The unified diff of files, as git writes it."""
    parts: list[str] = []
    for file in files:
        old = "/dev/null" if file.status == "added" else f"a/{file.filename}"
        new = "/dev/null" if file.status == "removed" else f"b/{file.filename}"
        parts.append(f"diff --git a/{file.filename} b/{file.filename}")
        if file.patch is None:
            parts.append(f"Binary files {old} and {new} differ")
        else:
            parts += [f"--- {old}", f"+++ {new}", file.patch]
    return "".join(f"{part}\n" for part in parts)


def _patch(old: bytes, new: bytes) -> tuple[str | None, int, int]:
    if b"\0" in old or b"\0" in new:
        return None, 0, 0
    lines = [
        *difflib.unified_diff(
            old.decode(errors="replace").splitlines(),
            new.decode(errors="replace").splitlines(),
            lineterm="",
        )
    ][2:]
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    return "\n".join(lines), added, removed
