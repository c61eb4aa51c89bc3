"""The JSON Schema of each kind: `python -m openloop.domain.manifest_schema Agent`."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from pydantic import TypeAdapter

from openloop.domain.agent_test import AgentTest
from openloop.domain.manifest import API_VERSION
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}
_KINDS = {"Agent": AgentManifest, "Workspace": WorkspaceManifest, "AgentTest": AgentTest}


def schema(kind: str) -> dict[str, Any]:
    """What editors check a manifest of this kind against; `openloop` itself checks more."""
    body = _without_null(TypeAdapter[object](_KINDS[kind]).json_schema())
    properties = {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": kind},
        **body.pop("properties"),
    }
    required = ["apiVersion", "kind", *body.pop("required")]
    head = {"$schema": _DIALECT, "title": f"OpenLoop {kind} manifest", "type": "object"}
    return {**head, **body, "title": head["title"], "properties": properties, "required": required}


def text(kind: str) -> str:
    """The file of `schema`."""
    return json.dumps(schema(kind), indent=2) + "\n"


def _without_null(node: Any) -> Any:
    """An absent option is an absent key: null is refused, so the schema does not offer it."""
    if isinstance(node, list):
        return [_without_null(item) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    entries = cast("dict[str, Any]", node)
    kept = {key: _without_null(item) for key, item in entries.items() if item is not None}
    if _NULL in kept.get("anyOf", ()):
        options = [option for option in kept.pop("anyOf") if option != _NULL]
        kept = {**(options[0] if len(options) == 1 else {"anyOf": options}), **kept}
    return kept


if __name__ == "__main__":
    sys.stdout.write(text(sys.argv[1]))
