"""What the gate makes of a call: refused, made at once, or held for people.

`facts` are what it was decided by, as its step notes them; None where the policy had no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openloop.domain.facts import Seen
    from openloop.domain.ids import PrincipalId
    from openloop.domain.model import ToolCall
    from openloop.domain.surface import Card
    from openloop.domain.tool import Effect, ToolResult
    from openloop.domain.verdict import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The gate said no; the model is told why."""

    seq: int
    call: ToolCall
    rule: str
    result: ToolResult
    facts: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The call may be made now; `seen` is what it lets into the run, where it reads."""

    seq: int
    call: ToolCall
    rule: str
    effect: Effect
    arguments: dict[str, object]
    seen: Seen | None = None
    facts: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The call waits for a person. `arguments` are canonical bytes: shown, hashed, and run as such."""

    seq: int
    call: ToolCall
    rule: str
    effect: Effect
    permission: str
    arguments: bytes
    preconditions: dict[str, object]
    hash: str
    card: Card
    demands: tuple[Demand, ...]
    expires_hours: int
    may_edit: bool
    solo_mode: bool
    edited_by: PrincipalId | None = None
    seen: Seen | None = None
    facts: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Why an approval does not hold any more, and what would be asked now (None: nothing)."""

    reason: str
    anew: Held | None = None


Judged = Refused | Started | Held
