"""Holding recorded calls against GitHub's OpenAPI document, more strictly than it asks for.

The document lets any further property through; here one that it does not name is a deviation,
since a fake that invents fields proves nothing about a client that reads them.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.contracts.github_shapes import fetch
from tests.contracts.github_shapes.fetch import DOCUMENT, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from openloop.testing.rigs.github import Call

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/"
_ANY_ERROR = {
    "anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("basic-error", "validation-error")]
}


class Oracle:
    """GitHub's word on what a call may look like; builds only the schemas that are asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Schema] = {}
        for name in ("basic-error", "validation-error"):
            self._define(name)

    @classmethod
    def load_or_skip(cls) -> Oracle:
        """Read the cached document; without it a test fails in CI and is skipped elsewhere."""
        if DOCUMENT.exists():
            return cls(json.loads(DOCUMENT.read_bytes()))
        reason = f"{PACKAGE} is not in the cache: run `python -m {fetch.__name__}`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def deviations(self, call: Call) -> list[str]:
        """What GitHub would not have asked or answered so; a sentence each."""
        if call.operation is None:
            return [f"{call.method} {call.path} is no operation"]
        method, template = call.operation.split(" ")
        operation = self._document["paths"][template][method.lower()]
        found = [
            *self._in_query(operation, call),
            *self._in_body(operation, call),
            *self._in_answer(operation, call),
        ]
        return [f"{call.operation}: {each}" for each in found]

    def _in_query(self, operation: Mapping[str, Any], call: Call) -> Iterator[str]:
        known = {
            parameter["name"]: parameter["schema"]
            for parameter in map(self._resolved, operation.get("parameters", []))
            if parameter["in"] == "query"
        }
        for name, text in call.query.items():
            if name not in known:
                yield f"the query has an undocumented {name!r}"
            else:
                yield from self._against(known[name], _typed(text, known[name]), f"query {name!r}")

    def _in_body(self, operation: Mapping[str, Any], call: Call) -> Iterator[str]:
        wanted = operation.get("requestBody")
        if wanted is None and call.body:
            yield "there should be no body"
        elif wanted is not None and (call.status or 200) < 400:
            schema = wanted["content"]["application/json"]["schema"]
            yield from self._against(schema, call.content, "request")

    def _in_answer(self, operation: Mapping[str, Any], call: Call) -> Iterator[str]:
        if call.status is None or call.status == 304:
            return
        if call.status >= 400:
            yield from self._against(_ANY_ERROR, call.answer, f"answer {call.status}")
            return
        documented = operation["responses"].get(str(call.status))
        if documented is None:
            yield f"{call.status} is not documented"
            return
        content = self._resolved(documented).get("content", {}).get("application/json")
        if content is None or "vnd.github.diff" in call.headers.get("accept", ""):
            if call.answer is not None:
                yield f"answer {call.status} should not be JSON"
            return
        schema = content["schema"]
        yield from self._against(schema, call.answer, f"answer {call.status}")
        if "Link" in call.answer_headers and not _LINKS.fullmatch(call.answer_headers["Link"]):
            yield f"Link is {call.answer_headers['Link']!r}"

    def _against(self, schema: Schema, value: object, where: str) -> Iterator[str]:
        strict = self._strict(schema)
        validator = Draft202012Validator(
            {**strict, "$defs": self._schemas}, format_checker=self._formats
        )
        for error in validator.iter_errors(cast("Any", value)):  # pyright: ignore[reportUnknownMemberType]
            yield f"{where} at {error.json_path}: {error.message[:200]}"

    def _resolved(self, thing: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = thing.get("$ref")
        if reference is None:
            return thing
        found: Any = self._document
        for part in str(reference).removeprefix("#/").split("/"):
            found = found[part]
        return found

    def _define(self, name: str) -> None:
        if name not in self._schemas:
            self._schemas[name] = {}
            self._schemas[name].update(self._strict(self._document["components"]["schemas"][name]))

    def _strict(self, schema: Schema, *, closed: bool = True) -> Schema:
        """OpenAPI 3.0 as JSON Schema 2020-12: `nullable` spelled out, unnamed properties refused.

        Parts of an `allOf` stay open, since each of them names only some of the properties.
        """
        reference = schema.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix(_REFERENCE)
            if name.startswith("#/"):
                return schema
            self._define(name)
            return {"$ref": f"#/$defs/{name}"}
        made: Schema = {
            key: schema[key]
            for key in ("type", "enum", "format", "required", "pattern", "minLength", "maxLength")
            if key in schema
        }
        for key in ("oneOf", "anyOf", "allOf"):
            if key in schema:
                made[key] = [self._strict(one, closed=key != "allOf") for one in schema[key]]
        if "items" in schema:
            made["items"] = self._strict(schema["items"])
        further = schema.get("additionalProperties")
        if "properties" in schema:
            named = cast("dict[str, Schema]", schema["properties"])
            made["properties"] = {name: self._strict(one) for name, one in named.items()}
            made["additionalProperties"] = not closed
        if further is not None:
            made["additionalProperties"] = (
                self._strict(cast("Schema", further)) if isinstance(further, dict) else further
            )
        return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made

    @cached_property
    def _formats(self) -> FormatChecker:
        checker = FormatChecker(formats=())
        checker.checks("date-time", raises=ValueError)(_is_moment)
        checker.checks("uri")(_is_uri)
        return checker


_LINK = r'<https?://[^<>\s]+[?&](?:page|cursor)=[0-9a-z_]+[^<>\s]*>; rel="(?:next|prev|first|last)"'
_LINKS = re.compile(f"{_LINK}(?:, {_LINK})*")


def _typed(text: str, schema: Schema) -> object:
    """A query parameter as the type it is documented with; unchanged where it is none."""
    return int(text) if schema["type"] == "integer" and text.isdigit() else text


def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return "T" in value and datetime.fromisoformat(value).tzinfo is not None


def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return bool(parts.scheme and parts.netloc) and not re.search(r"[\s{}<>]", value)
