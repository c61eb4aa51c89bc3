"""What every manifest is made of: names, references, money, and how a part refuses unknown keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, cast, dataclass_transform
from urllib.parse import urlsplit

from annotated_types import Len
from pydantic import (
    AfterValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

T = TypeVar("T")
Items = TypeVar("Items", bound=tuple[object, ...])

MAX_ITEMS = 200
_SHOWN = 60


@dataclass_transform(frozen_default=True, kw_only_default=True)
def part(cls: type[T]) -> type[T]:
    """A frozen dataclass that pydantic reads strictly: a key it does not know is refused."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


def refused(message: str) -> PydanticCustomError:
    """What a validator raises; `message` is the sentence a person reads."""
    return PydanticCustomError("refused", "{sentence}", {"sentence": message})


@dataclass(frozen=True, slots=True)
class Grammar:
    """A pattern that the whole text matches, and the words that explain it."""

    pattern: str
    explanation: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        described.update(pattern=f"^(?:{self.pattern})$", description=self.explanation)
        return described

    def _check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise refused(f"{shorten(text)} is not {self.explanation}")
        return text


def shorten(value: object) -> str:
    """A value as messages quote it, at most 60 characters of it."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


# --- text ----------------------------------------------------------------------------------------

_SLUG = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_TOOL = r"[a-z0-9](?:(?!__)[a-z0-9_-]){0,40}(?<![_-])"
_PERMISSION = r"[a-z][a-z0-9_-]{0,40}:(?:read|write|destroy)"
_MCP_TOOL = r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}"

Slug: TypeAlias = Annotated[
    str, Grammar(_SLUG, "a name of small letters, digits and inner hyphens, at most 63 of them")
]
ToolName: TypeAlias = Annotated[
    str,
    Grammar(
        _TOOL, "a tool name of small letters, digits and inner, single '-' or '_', at most 41 long"
    ),
]
Permission: TypeAlias = Annotated[
    str, Grammar(_PERMISSION, "a permission: resource:read, resource:write or resource:destroy")
]
McpToolName: TypeAlias = Annotated[str, Grammar(_MCP_TOOL, "the exact name of an MCP tool")]
GatedPermission: TypeAlias = Annotated[
    str,
    Grammar(
        rf"{_TOOL}\.(?:{_PERMISSION}|{_MCP_TOOL})",
        "a tool's permission: tool.resource:verb (github.issues:write), or server.tool for MCP",
    ),
]
Reference: TypeAlias = Annotated[
    str, Grammar(f"@{_SLUG}", 'a person or group of the Workspace, in quotes: "@name"')
]
ChannelName: TypeAlias = Annotated[
    str, Grammar(r"#?[^\s#@,]{1,80}", 'a channel: its id or its name ("#dev-platform")')
]
_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})"
RepoName: TypeAlias = Annotated[
    str,
    Grammar(rf"{_OWNER}/(?!\.{{1,2}}$)[A-Za-z0-9._-]{{1,100}}", "a repository: owner/name"),
]
RepoPattern: TypeAlias = Annotated[
    str,
    Grammar(
        rf"{_OWNER}/(?:\*|(?!\.{{1,2}}$)[A-Za-z0-9._-]{{1,100}})",
        "a repository: owner/name, or owner/* for all of an owner",
    ),
]
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
HostName: TypeAlias = Annotated[str, Grammar(_HOST, "a host (api.example.com)")]
HostPattern: TypeAlias = Annotated[
    str, Grammar(rf"(?:\*\.)?{_HOST}", "a host, or *.example.com for all below it")
]
ResourceName: TypeAlias = Annotated[
    str, Grammar(r"[^\s,]{1,200}", "one resource: owner/name, a channel, or a host")
]
ModelName: TypeAlias = Annotated[
    str,
    Grammar(
        r"[a-z0-9][a-z0-9_-]{0,40}/[A-Za-z0-9][A-Za-z0-9._:@/-]{0,120}",
        "a model: provider/name (openai/gpt-4o-mini)",
    ),
]
Label: TypeAlias = Annotated[str, Grammar(r"\S(?:[^\r\n]{0,78}\S)?", "a name on one line")]
SlackUserId: TypeAlias = Annotated[
    str, Grammar(r"[UW][A-Z0-9]{1,30}", "a Slack member id (U012AB3CD), not a name")
]
SlackTeamId: TypeAlias = Annotated[
    str, Grammar(r"[TE][A-Z0-9]{1,30}", "a Slack workspace id (T012AB3CD)")
]
Email: TypeAlias = Annotated[
    str, Grammar(r"[^\s@<>\"]{1,64}@[A-Za-z0-9.-]{1,190}", "an e-mail address")
]


def _server_address(text: str) -> str:
    try:
        address = urlsplit(text)
        host, _ = address.hostname, address.port
    except ValueError:
        raise refused(f"{shorten(text)} is not an address: http(s)://host:port/path") from None
    if address.scheme not in ("http", "https") or not host or re.search(r"\s", text):
        raise refused(f"{shorten(text)} is not an address: http(s)://host:port/path")
    if address.username is not None or address.password is not None:
        raise refused("An address must not carry a user name or password: manifests hold no secret")
    if address.query or address.fragment:
        raise refused("An address must not carry a query or fragment: manifests hold no secret")
    return text


ServerAddress: TypeAlias = Annotated[
    str,
    AfterValidator(_server_address),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^\\s@?#]+$"}),
]

# --- numbers -------------------------------------------------------------------------------------

Count: TypeAlias = Annotated[int, Strict()]
Switch: TypeAlias = Annotated[bool, Strict()]

_PLACES = 6
_LIMIT = Decimal(1_000_000_000)


def read_dollars(value: object) -> Decimal:
    """An amount above zero, exactly as its digits say; a binary float is never taken."""
    if isinstance(value, str):
        if not re.fullmatch(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?", value):
            raise refused(f"{shorten(value)} is not an amount of US dollars (12.50)")
        amount = Decimal(value)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        amount = Decimal(value)
    else:
        raise refused(f"{shorten(value)} is not an amount of US dollars (12.50)")
    return _checked(amount)


def _checked(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise refused("An amount must be a finite number")
    if amount < 0:
        raise refused("An amount must not be negative")
    if amount == 0:
        raise refused("An amount must be above zero: what costs nothing reaches no limit")
    if amount >= _LIMIT:
        raise refused(f"An amount must be below {_LIMIT}")
    if amount != round(amount, _PLACES):
        raise refused(f"An amount has at most {_PLACES} places after the point")
    return amount


def format_dollars(amount: Decimal) -> str:
    """The shortest decimal text: `0.5`, `50`; never an exponent."""
    return format(amount.normalize(), "f")


Dollars: TypeAlias = Annotated[
    Decimal,
    PlainValidator(read_dollars),
    WithJsonSchema(
        {
            "description": "US dollars above zero, at most six places: a number, or text in quotes",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": int(_LIMIT)},
                {"type": "string", "pattern": r"^[0-9]{1,12}(?:\.[0-9]{1,6})?$"},
            ],
        }
    ),
]

# --- lists ---------------------------------------------------------------------------------------


def _distinct(items: Items) -> Items:
    seen: set[object] = set()
    for item in items:
        if item in seen:
            raise refused(f"{shorten(item)} is listed twice")
        seen.add(item)
    return items


Distinct = AfterValidator(_distinct)
"""Marks a tuple whose items differ from each other."""

Few = Len(0, MAX_ITEMS)
Some = Len(1, MAX_ITEMS)


def plain(value: object) -> Any:
    """A manifest part as JSON values: absent options left out, money as text."""
    if is_dataclass(value):
        fields = ((name, getattr(value, name)) for name in value.__dataclass_fields__)
        return {name: plain(item) for name, item in fields if item is not None}
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        return {key: plain(item) for key, item in entries.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in cast("tuple[object, ...]", value)]
    return format_dollars(value) if isinstance(value, Decimal) else value
