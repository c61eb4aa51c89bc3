"""The tools of this installation by the name a model sees, with their compiled schemas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import Draft202012Validator, exceptions

from openloop.domain.errors import Misconfigured
from openloop.domain.model import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openloop.domain.tool import Arguments
    from openloop.plugin import Tool, Toolset

_best_match: Any = exceptions.best_match  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]

# What every provider accepts as a function name.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A tool, the toolset it belongs to, and the name a model sees."""

    model_name: str
    toolset: str
    tool: Tool
    validator: Draft202012Validator

    @property
    def gated(self) -> str:
        """The permission as a manifest's `approvals` names it."""
        return f"{self.toolset}.{self.tool.permission}"

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model is told about it."""
        return ToolSpec(
            name=self.model_name,
            description=self.tool.description,
            parameters=self.tool.parameters,
        )

    def problem_with(self, arguments: Arguments) -> str | None:
        """Why these arguments do not fit the schema; unknown ones never do."""
        error = _best_match(self._errors(arguments))
        if error is None:
            return None
        where = ".".join(str(part) for part in error.absolute_path)
        return f"{where}: {error.message}" if where else str(error.message)

    def _errors(self, arguments: Arguments) -> Any:
        validator: Any = self.validator  # jsonschema's types are half written
        return validator.iter_errors(arguments)


class Registry:
    """Every tool of the configured toolsets."""

    def __init__(self, toolsets: Iterable[Toolset]) -> None:
        self.toolsets: dict[str, Toolset] = {}
        for toolset in toolsets:
            if toolset.name in self.toolsets:
                raise Misconfigured(f"Two toolsets are called {toolset.name!r}")
            self.toolsets[toolset.name] = toolset
        self._tools = dict(self._register())

    def find(self, model_name: str) -> Registered | None:
        """The tool that a model called by this name."""
        return self._tools.get(model_name)

    def all(self) -> Iterable[Registered]:
        """Every tool, in a stable order: the prefix of a prompt must not change between calls."""
        return self._tools.values()

    def _register(self) -> Iterable[tuple[str, Registered]]:
        seen: set[str] = set()
        for toolset in self.toolsets.values():
            for tool in toolset.tools:
                name = f"{toolset.name}__{tool.name}"
                if NAME.fullmatch(name) is None:
                    raise Misconfigured(f"Tool name {name!r} is not one that models accept")
                if name.lower() in seen:
                    raise Misconfigured(f"Two tools are called {name!r}")
                seen.add(name.lower())
                yield name, Registered(name, toolset.name, tool, compile_schema(tool.parameters))


def compile_schema(parameters: Mapping[str, object]) -> Draft202012Validator:
    """A validator that refuses unknown arguments, whatever the schema says about them."""
    return _compiled(orjson.dumps(_closed(parameters)))


@lru_cache(maxsize=1024)  # checking a schema takes milliseconds
def _compiled(schema: bytes) -> Draft202012Validator:
    strict = orjson.loads(schema)
    Draft202012Validator.check_schema(strict)
    return Draft202012Validator(strict)


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its objects, also those in properties and lists, closed to what they do not name."""
    closed = dict(schema)
    if "properties" in closed or closed.get("type") == "object":
        properties: Mapping[str, Any] = closed.get("properties", {})
        closed["properties"] = {name: _closed(each) for name, each in properties.items()}
        closed["additionalProperties"] = False
    if isinstance(closed.get("items"), dict):
        closed["items"] = _closed(closed["items"])
    return closed
