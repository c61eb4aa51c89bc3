"""What each test touches, kept between plays: only a test whose file has changed is learnt again.

Where a module has changed meanwhile, its lines are moved as the change has moved them; a line that is
new counts as touched by whatever touched the lines that it replaces, and the one before.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A test without any mutant: the digest of its file, how long it takes, the lines it touches."""

    digest: str
    seconds: float
    lines: dict[str, list[int]]


def digest(path: Path) -> str:
    """Of the bytes of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path, sources: Mapping[str, str]) -> dict[str, Known]:
    """What is known of tests, in lines of the modules as they are now."""
    if not path.exists():
        return {}
    kept: dict[str, Any] = json.loads(path.read_text())
    moved = {
        name: _moves(kept["sources"].get(name, text).splitlines(), text.splitlines())
        for name, text in sources.items()
    }
    return {
        test: Known(
            digest=entry["digest"],
            seconds=entry["seconds"],
            lines={
                name: sorted({new for old in lines for new in moved[name].get(old, ())})
                for name, lines in entry["lines"].items()
                if name in moved
            },
        )
        for test, entry in kept["tests"].items()
    }


def save(path: Path, sources: Mapping[str, str], known: Mapping[str, Known]) -> None:
    """Keep it, with the sources whose lines it names."""
    tests = {name: asdict(each) for name, each in known.items()}
    path.write_text(json.dumps({"sources": dict(sources), "tests": tests}))


def _moves(before: list[str], after: list[str]) -> dict[int, list[int]]:
    moved: dict[int, list[int]] = {}
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if kind == "equal":
            for offset in range(old_to - old_from):
                moved.setdefault(old_from + offset + 1, []).append(new_from + offset + 1)
            continue
        for old in range(max(old_from, 1), old_to + 1):
            moved.setdefault(old, []).extend(range(new_from + 1, new_to + 1))
    return moved
