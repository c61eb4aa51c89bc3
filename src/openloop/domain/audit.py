"""Audit events: what is written about every change of state, in the transaction that makes it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from openloop.domain.surface import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whoever did it: a principal, an actor on a surface who is no principal, or ourselves.

    The name is empty where it was erased.
    """

    kind: Literal["principal", "actor", "agent", "system"]
    name: str = ""
    principal_id: UUID | None = None
    surface: str = ""
    external_id: str = ""
    via: str = ""


SYSTEM = Who(kind="system", name="openloop")


def actor_as_who(actor: Actor, *, via: str = "") -> Who:
    """Somebody on a surface, by stable id."""
    return Who(
        kind="actor",
        name=actor.name or actor.id,
        surface=actor.surface,
        external_id=actor.id,
        via=via or actor.surface,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One line of the record; kinds are stable for ever (docs/reference/audit.md)."""

    id: int
    at: datetime
    kind: str
    actor: Who
    subject: UUID | None = None
    run_id: UUID | None = None
    detail: dict[str, object] = field(default_factory=dict[str, object])
