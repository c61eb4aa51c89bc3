"""Scripts: what a scripted model says, turn by turn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from openloop.domain.pricing import Price
    from openloop.models.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedUsage:
    """Tokens as declared, even above what was reserved: so an overrun is exercised."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedUsage:
    """A share of the reservation, drawn from the SHA-256 of the request: the same for the same."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class NoUsage:
    """No count at all, as some providers answer."""


UsageRule = FixedUsage | HashedUsage | NoUsage
ScriptedFinish = Literal["stop", "length", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """A tool call; templates inside `arguments` are filled in when it is made."""

    name: str
    arguments: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One reply. `when` looks at the newest tool result or user message."""

    when: re.Pattern[str] | None
    say: Template
    calls: tuple[ScriptedCall, ...]
    usage: UsageRule
    delay_seconds: float
    finish: ScriptedFinish
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens in one run. A step is one turn, or several: then the first that fits counts."""

    name: str
    match: re.Pattern[str] | None
    loop: bool
    steps: tuple[tuple[Turn, ...], ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole file."""

    file: str
    price: Price
    max_output_tokens: int
    context_window: int
    scenarios: tuple[Scenario, ...]
