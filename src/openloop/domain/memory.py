"""Memories: typed objects with an author, a source and a date."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from openloop.domain.audience import PlaceClass
from openloop.domain.audit import Who
from openloop.domain.ids import AgentId, MemoryId


class MemoryKind(StrEnum):
    """What kind of thing is remembered."""

    DECISION = "decision"
    FACT = "fact"
    PREFERENCE = "preference"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryScope:
    """Where a memory may be recalled: `scope_id` is the place for `channel`."""

    agent_id: AgentId
    scope: Literal["channel", "agent", "workspace"]
    scope_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One memory as its row says; `unconfirmed` until a person with the right confirms it.

    `visible_in` is the widest class of place in which it may be recalled.
    """

    id: MemoryId
    agent_id: AgentId
    scope: Literal["channel", "agent", "workspace"]
    scope_id: str
    kind: MemoryKind
    text: str
    author: Who
    source_link: str
    confidence: Literal["unconfirmed", "confirmed"]
    status: Literal["active", "superseded", "retracted"]
    effective_at: datetime
    expires_at: datetime | None
    created_at: datetime
    visible_in: PlaceClass = PlaceClass.PUBLIC
