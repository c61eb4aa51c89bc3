"""The things that a call touches, and the patterns by which manifests grant them."""

from __future__ import annotations

from typing import Literal, TypeAlias

ResourceKind: TypeAlias = Literal["repo", "channel", "host"]

KEYS: dict[ResourceKind, str] = {"repo": "repos", "channel": "channels", "host": "hosts"}
"""Under which key of a manifest the patterns of each kind stand."""


def covers(kind: ResourceKind, pattern: str, resource: str) -> bool:
    """True where a pattern names this resource.

    A repository is `owner/name`, or `owner/*` for all of an owner; a host is itself, or `*.host`
    for everything below it; neither has case. A channel is its id or name.
    """
    match kind:
        case "repo":
            wanted, found = pattern.lower(), resource.lower()
            if not wanted.endswith("/*"):
                return wanted == found
            owner, slash, name = found.partition("/")
            return f"{owner}{slash}*" == wanted and bool(name) and "/" not in name
        case "host":
            wanted, found = pattern.lower(), resource.lower()
            if not wanted.startswith("*."):
                return wanted == found
            return found.endswith(wanted[1:]) and len(found) > len(wanted) - 1
        case "channel":
            return pattern.removeprefix("#") == resource.removeprefix("#")


def is_within(kind: ResourceKind, pattern: str, other: str) -> bool:
    """True where `other` names everything that `pattern` names; a `*` counts as a name of its own."""
    return covers(kind, other, pattern)
