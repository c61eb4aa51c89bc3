"""Two manifests side by side: every value by a path that stays the same when lists are reordered.

Entries of a list are named by what tells them apart (`spec.tools[github].repos`), never by their
position, so that an entry that moved is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import rfc8785

from openloop.domain.manifest import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.manifest import Manifest

Keyed: TypeAlias = "Mapping[str, Keyed] | tuple[Any, ...] | str | int | bool | None"
KeyPath: TypeAlias = tuple[str, ...]

_NAMES: Final = ("name", "permission", "match")
"""What tells the entries of a list apart, the first that they have."""
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not the same; None where it is absent."""

    path: str
    before: Any
    after: Any


def keyed(manifest: Manifest) -> Mapping[str, Keyed]:
    """A manifest as nested mappings, defaults written out; lists of entries become mappings."""
    plain = to_plain(manifest)
    return {"metadata": _keyed(plain["metadata"]), "spec": _keyed(plain["spec"])}


def leaves(manifest: Manifest) -> dict[str, Any]:
    """Every single value of a manifest by its path."""
    return {format_keys(path): value for path, value in _leaves((), keyed(manifest))}


def differences(before: Manifest | None, after: Manifest) -> tuple[Difference, ...]:
    """What changes from one manifest to another, by path."""
    return compare(leaves(before) if before is not None else {}, leaves(after))


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The same over values by path."""
    return tuple(
        Difference(path=path, before=before.get(path), after=after.get(path))
        for path in dict.fromkeys((*before, *after))
        if before.get(path) != after.get(path)
    )


def format_keys(path: KeyPath) -> str:
    """`spec.tools[github].repos`."""
    shown = "".join(f".{key}" if _WORD.fullmatch(key) else f"[{key}]" for key in path)
    return shown.removeprefix(".")


def text_of(value: object) -> str:
    """A value in canonical JSON: equal texts are equal values."""
    return rfc8785.dumps(value).decode()  # pyright: ignore[reportArgumentType]  # JSON values


def _keyed(value: Any) -> Keyed:
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: _keyed(item) for key, item in entries.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if items and all(isinstance(item, Mapping) for item in items):
            return _named(cast("list[Mapping[str, Any]]", items))
        return tuple(items)
    return value


def _named(items: Sequence[Mapping[str, Any]]) -> Mapping[str, Keyed]:
    found: dict[str, Keyed] = {}
    for item in items:
        name = entry_name(item)
        count = sum(1 for known in found if known == name or known.startswith(f"{name}#"))
        found[f"{name}#{count + 1}" if count else name] = _keyed(item)
    return found


def entry_name(item: Mapping[str, Any]) -> str:
    """What tells an entry of a list apart from the others."""
    for key in _NAMES:
        if key in item:
            named = item[key]
            return named if isinstance(named, str) else text_of(named)
    return " ".join(value if isinstance(value, str) else text_of(value) for value in item.values())


def _leaves(path: KeyPath, value: Keyed) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif value != ():
        yield path, list(value) if isinstance(value, tuple) else value
