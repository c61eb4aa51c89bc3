"""Manifests hold no secret: no key is one, and no address carries one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from openloop.domain.manifest import InvalidManifest, load
from openloop.domain.manifest_schema import schema
from tests import manifests

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = re.compile(r"secret|token|passw|passphrase|credential|api_?key|private_?key|auth", re.I)
COUNTED = re.compile(r"(monthly|daily|per_task|output|max_output)_tokens|tokens")
"""Tokens of a model are counted, and give nobody anything."""


def keys(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        entries = cast("dict[str, Any]", part)
        yield from entries.get("properties", {})
        for each in entries.values():
            yield from keys(each)
    elif isinstance(part, list):
        for each in cast("list[Any]", part):
            yield from keys(each)


def test_no_key_of_a_manifest_is_a_secret() -> None:
    """A key that is one has to take `secretref://`, and nothing but the caller may follow it."""
    found = {key for kind in ("Agent", "Workspace") for key in keys(schema(kind))}
    assert len(found) > 80
    assert {key for key in found if SECRET.search(key) and not COUNTED.fullmatch(key)} == set()


@pytest.mark.parametrize(
    "server",
    [
        "http://user:hunter2@ci.example:8931",
        "http://hunter2@ci.example",
        "https://ci.example/?key=hunter2",
        "https://ci.example/#hunter2",
        "secretref://store/ci",
    ],
)
def test_an_address_that_carries_a_secret_is_refused(server: str) -> None:
    tool = {"name": "ci", "type": "mcp", "server": server, "permissions": ["list_runs"]}
    with pytest.raises(InvalidManifest):
        load(manifests.agent_yaml({"tools": [tool]}), name="agent")
