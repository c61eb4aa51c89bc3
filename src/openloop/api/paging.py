"""Lists: a page at a time, newest first, with the place where the event stream goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, ConfigDict, StringConstraints

from openloop.api.problems import MalformedRequest
from openloop.storage import audit

if TYPE_CHECKING:
    from openloop.storage.database import Transaction

T = TypeVar("T")

LARGEST = 2**63 - 1
_POSITION = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")

Limit = Annotated[int, Query(ge=1, le=200, description="How many, at most.")]
Before = Annotated[
    UUID | None, Query(alias="cursor", description="The `next_cursor` of the page before.")
]
BeforeNumber = Annotated[
    int | None,
    Query(alias="cursor", ge=1, le=LARGEST, description="The `next_cursor` of the page before."),
]

STRICT_BODY = ConfigDict(extra="forbid", strict=False)
"""For the classes of request bodies: a key that we do not know is refused."""


def _no_nul(text: str) -> str:
    if "\0" in text:
        message = "NUL characters are not taken"
        raise ValueError(message)
    return text


Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_no_nul)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_no_nul)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """`as_of` is the event id from which the stream goes on: nothing is lost in between."""

    items: tuple[T, ...]
    next_cursor: str | None
    as_of: str


def page_of(items: Sequence[T], *, limit: int, last: object | None, as_of: str) -> Page[T]:
    """A page; `last` is what the next one begins after."""
    more = len(items) >= limit and last is not None
    return Page(items=tuple(items), next_cursor=str(last) if more else None, as_of=as_of)


async def position(tx: Transaction) -> str:
    """Where the stream goes on; read before the list, so that nothing falls between."""
    return position_text(await audit.position(tx))


def position_text(position: tuple[int, int]) -> str:
    """A position as an event id."""
    return f"{position[0]}-{position[1]}"


def parse_position(text: str) -> tuple[int, int]:
    """The position that an event id names.

    Raises:
        MalformedRequest
    """
    found = _POSITION.fullmatch(text)
    if found is None:
        raise MalformedRequest("This is not the id of an event: it is two numbers and a hyphen")
    xid, number = int(found[1]), int(found[2])
    if xid > LARGEST or number > LARGEST:
        raise MalformedRequest("This is not the id of an event: a number is too large")
    return xid, number
