"""What pydantic found wrong with a manifest, in sentences with line, column and a suggestion."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_parts import shorten
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.strict_yaml import Document, Path, Plain, Position, Problem, format_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic_core import ErrorDetails

_LATER = "is not supported yet in this version"

# What the product describes and this version does not do yet, by the path where it would stand.
LATER_KEYS: Mapping[type[object], Mapping[str, frozenset[str]]] = {
    AgentManifest: {
        "spec": frozenset({"replies", "skills"}),
        "spec.approvals": frozenset({"quorum", "escalation"}),
        "spec.model_policy": frozenset({"fallbacks", "classifier"}),
        "spec.model_policy.routes[].match": frozenset({"place", "cost", "input_size"}),
    },
    WorkspaceManifest: {
        "spec": frozenset({"secrets"}),
        "spec.integrations": frozenset({"discord", "linear", "zoom"}),
    },
}
LATER_VALUES: Mapping[str, frozenset[str]] = {
    "spec.memory.scope": frozenset({"agent", "workspace"}),
    "spec.wake[]": frozenset({"ambient", "dm"}),
}
LATER_KINDS = frozenset({"Schedule"})

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "model_attributes_type": "a mapping",
}
Keys: TypeAlias = Mapping[str, tuple[str, ...]]

_ENTRIES = frozenset({"surfaces", "tools"})  # lists whose entries are told apart by their `type`


class Locator:
    """Makes problems of one document."""

    def __init__(self, document: Document, kind: type[object] | None = None) -> None:
        self.document = document
        self._keys: Keys = keys_of(kind) if kind else {}
        self._later: Mapping[str, frozenset[str]] = LATER_KEYS.get(kind, {}) if kind else {}

    def problem(self, code: str, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """A problem with the value at `path`, or with the key that names it."""
        find = self.document.key_at if at_key else self.document.at
        return _problem(self.document.file, code, path, message, find(path))

    def nulls(self) -> Iterator[Problem]:
        """Keys without a value: never read as "not given", since that may be the wider meaning."""
        yield from self._nulls((), self.document.value)

    def translated(self, errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
        """Pydantic's errors."""
        for error in errors:
            # Bad entries are not counted, so a list of bad ones is reported as too short as well.
            if not (error["type"] == "too_short" and error["input"]):
                yield self._translate(error)

    def unknown_key(self, path: Path, known: Sequence[str], *, tag: str = "") -> Problem:
        """A key that means nothing here: from a later version, or mistyped."""
        *parent, key = path
        shown = str(key)
        if shown in self._later.get(_pattern(tuple(parent), self._keys), ()):
            message = f"{shown!r} {_LATER}"
            return self.problem("manifest_not_supported_yet", path, message, at_key=True)
        if tag and shown in known:
            message = f"{shown!r} does not belong to an entry of type {tag!r}"
        else:
            message = f"There is no key {shorten(shown)} here{_suggestion(shown, known)}"
        return self.problem("manifest_unknown_key", path, message, at_key=True)

    def _nulls(self, path: Path, value: Plain) -> Iterator[Problem]:
        match value:
            case None:
                message = (
                    "There is no value: give one or remove the key (text after # is a comment)"
                )
                yield self.problem("manifest_empty_value", path, message)
            case dict():
                for key, item in value.items():
                    yield from self._nulls((*path, key), item)
            case list():
                for index, item in enumerate(value):
                    yield from self._nulls((*path, index), item)
            case _:
                pass

    def _translate(self, error: ErrorDetails) -> Problem:
        kind, context = error["type"], error.get("ctx", {})
        path, tag, names_key = _path(error["loc"])
        if kind == "unexpected_keyword_argument":
            parent = _pattern(path[:-1], self._keys)
            return self.unknown_key(path, self._keys.get(parent, ()), tag=tag)
        if kind == "missing":
            message = f"{path[-1]!r} is missing"
            return self.problem("manifest_missing_key", path, message)
        if kind == "union_tag_not_found":
            return self.problem("manifest_missing_key", (*path, "type"), "'type' is missing")
        if kind == "union_tag_invalid":
            allowed = context["expected_tags"].replace("'", "").split(", ")
            return self._not_one_of((*path, "type"), context["tag"], allowed)
        if kind == "literal_error":
            allowed = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            return self._not_one_of(path, error["input"], allowed, at_key=names_key)
        if kind in _EXPECTED:
            message = f"Expected {_EXPECTED[kind]}, found {_described(error['input'])}"
            return self.problem("manifest_wrong_type", path, message)
        message = _sentence(kind, context) or error["msg"]
        return self.problem("manifest_invalid_value", path, message, at_key=names_key)

    def _not_one_of(
        self, path: Path, value: object, allowed: Sequence[str], *, at_key: bool = False
    ) -> Problem:
        if value in LATER_VALUES.get(_pattern(path, self._keys), ()):
            message = f"{value!r} {_LATER}"
            return self.problem("manifest_not_supported_yet", path, message, at_key=at_key)
        options = allowed[0] if len(allowed) == 1 else f"one of {', '.join(allowed)}"
        hint = _suggestion(value, allowed) if isinstance(value, str) else ""
        message = f"Expected {options}, found {shorten(value)}{hint}"
        return self.problem("manifest_invalid_value", path, message, at_key=at_key)


def unlocated(file: str, code: str, path: Path, message: str) -> Problem:
    """A problem of a manifest whose text is not at hand."""
    return _problem(file, code, path, message, Position(0, 0))


def _problem(file: str, code: str, path: Path, message: str, at: Position) -> Problem:
    return Problem(
        code=code,
        message=message,
        file=file,
        line=at.line,
        column=at.column,
        path=format_path(path),
    )


def _path(loc: tuple[str | int, ...]) -> tuple[Path, str, bool]:
    """A document's path from pydantic's: without the tag of a union, and whether a key is meant."""
    path: list[str | int] = []
    tag = ""
    after_entry = False
    for step in loc:
        if after_entry:
            tag, after_entry = str(step), False
            continue
        after_entry = (
            isinstance(step, int) and len(path) == 2 and path[1] in _ENTRIES
        )  # spec.tools[0]
        path.append(step)
    names_key = bool(path) and path[-1] == "[key]"
    return tuple(path[:-1] if names_key else path), tag, names_key


def _suggestion(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word[:60], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _described(value: object) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"the text {shorten(value)}"
        case bool():
            return str(value).lower()
        case _:
            return f"the number {str(value)[:60]}"


def _sentence(kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "refused":
            return str(context["sentence"])
        case "greater_than_equal":
            return f"The number must be at least {context['ge']}"
        case "less_than_equal":
            return f"The number must be at most {context['le']}"
        case "too_short":
            return "At least one entry is needed"
        case "too_long":
            return f"At most {context['max_length']} entries are allowed"
        case "string_too_long":
            return f"The text must have at most {context['max_length']} characters"
        case _:
            return ""


# --- the keys there are --------------------------------------------------------------------------


@cache
def keys_of(kind: type[object]) -> Keys:
    """The keys of every mapping in a manifest, by its path: `spec.tools[]`, `spec.people.*`."""
    found: dict[str, dict[str, None]] = {}
    _walk(kind, "", found)
    return {path: tuple(keys) for path, keys in found.items()}


def _walk(annotation: Any, path: str, found: dict[str, dict[str, None]]) -> None:
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        _walk(arguments[0], path, found)
    elif origin in (Union, types.UnionType):
        for option in arguments:
            _walk(option, path, found)
    elif origin is tuple:
        _walk(arguments[0], f"{path}[]", found)
    elif origin is Mapping:
        if get_origin(arguments[0]) is Literal:
            found.setdefault(path, {}).update(dict.fromkeys(get_args(arguments[0])))
        _walk(arguments[1], f"{path}.*", found)
    elif is_dataclass(annotation):
        for name, hint in get_type_hints(annotation, include_extras=True).items():
            if name in annotation.__dataclass_fields__:
                found.setdefault(path, {})[name] = None
                _walk(hint, f"{path}.{name}".removeprefix("."), found)


def _pattern(path: Path, keys: Keys) -> str:
    pattern = ""
    for step in path:
        if isinstance(step, int):
            pattern += "[]"
        elif step in keys.get(pattern, ()):
            pattern = f"{pattern}.{step}".removeprefix(".")
        else:
            pattern += ".*"
    return pattern
