"""What the fake GitHub keeps of each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True, kw_only=True)
class Call:
    """One request as it arrived and, once there is one, its answer.

    `operation` is None where GitHub knows no such path. `headers` has no Authorization: whose
    token it was stands in `login`. `status` None is a request that got no answer.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    content: object
    operation: str | None
    parts: Mapping[str, str]
    login: str | None
    status: int | None = None
    answer: object = None
    answer_headers: Mapping[str, str] = field(default_factory=dict[str, str])
