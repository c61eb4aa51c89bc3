"""Budgets: which limits are in force for a call, what an extension adds, and where a month ends up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from openloop.domain.manifest_budget import OnExceeded

if TYPE_CHECKING:
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_budget import Allowance, Extension
    from openloop.domain.manifest_workspace import WorkspaceManifest

Axis: TypeAlias = Literal["workspace", "agent", "place", "principal", "run"]
Span: TypeAlias = Literal["month", "day", "run"]
Unit: TypeAlias = Literal["usd", "tokens"]

EXTEND = "budget.extend"
"""What an approval of an extension is called where other approvals name their tool."""

_OWNED_BY_AGENT: frozenset[Axis] = frozenset({"agent", "run"})
_LEAST_ELAPSED = timedelta(days=1)
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one axis may use in one span; None means unlimited."""

    axis: Axis
    span: Span
    usd: Decimal | None = None
    tokens: int | None = None
    on_exceeded: OnExceeded = "block"


Limits: TypeAlias = tuple[Limit, ...]
"""Every row that a call needs: the months of its workspace and agent, and its run, are always there."""


def limits_of(agent: AgentManifest, workspace: WorkspaceManifest) -> Limits:
    """The limits in force for the runs of an agent."""
    shared, own = workspace.spec.budget, agent.spec.budget
    found = [
        Limit(
            axis="workspace",
            span="month",
            usd=shared.monthly_usd,
            tokens=shared.monthly_tokens,
            on_exceeded=shared.on_exceeded,
        ),
        Limit(
            axis="agent",
            span="month",
            usd=own.monthly_usd,
            tokens=own.monthly_tokens,
            on_exceeded=own.on_exceeded,
        ),
        Limit(
            axis="run",
            span="run",
            usd=own.per_task_usd,
            tokens=own.per_task_tokens,
            on_exceeded=own.on_exceeded,
        ),
        _day("workspace", shared.daily_usd, shared.daily_tokens, shared.on_exceeded),
        _day("agent", own.daily_usd, own.daily_tokens, own.on_exceeded),
        *_allowed("place", shared.per_place, shared.on_exceeded),
        *_allowed("principal", shared.per_person, shared.on_exceeded),
    ]
    basic = 3
    return (*found[:basic], *(each for each in found[basic:] if _is_any(each)))


def _day(axis: Axis, usd: Decimal | None, tokens: int | None, on_exceeded: OnExceeded) -> Limit:
    return Limit(axis=axis, span="day", usd=usd, tokens=tokens, on_exceeded=on_exceeded)


def _allowed(axis: Axis, allowance: Allowance | None, on_exceeded: OnExceeded) -> list[Limit]:
    if allowance is None:
        return []
    month = Limit(
        axis=axis,
        span="month",
        usd=allowance.monthly_usd,
        tokens=allowance.monthly_tokens,
        on_exceeded=on_exceeded,
    )
    return [month, _day(axis, allowance.daily_usd, allowance.daily_tokens, on_exceeded)]


def _is_any(limit: Limit) -> bool:
    return limit.usd is not None or limit.tokens is not None


def subject_of(*ids: str) -> UUID:
    """The subject of what has no id of ours: a place, or a person whom nobody has linked.

    128 bits of a hash of its ids on its surface; the trigger on `identities` makes the same.
    """
    return UUID(bytes=hashlib.sha256("\n".join(ids).encode()).digest()[:16])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tight:
    """The row that affords a call the least, and in what."""

    axis: Axis
    span: Span
    subject: UUID
    period: date
    unit: Unit

    @property
    def ends_at(self) -> datetime | None:
        """When a new row begins; None for a run."""
        if self.span == "run":
            return None
        after = (
            _month_after(self.period) if self.span == "month" else self.period + timedelta(days=1)
        )
        return datetime(after.year, after.month, after.day, tzinfo=UTC)

    def __str__(self) -> str:
        """As people read it: `The agent budget for November 2026`."""
        whose = "requester" if self.axis == "principal" else self.axis
        if self.span == "run":
            return "The run budget"
        return f"The {whose} budget for {self._when}"

    @property
    def _when(self) -> str:
        return f"{self.period:%B %Y}" if self.span == "month" else f"{self.period:%Y-%m-%d} (UTC)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An extension that people may be asked for: what it adds to which row, and who decides it."""

    tight: Tight
    usd: Decimal
    tokens: int
    approvers: tuple[str, ...]
    at_most_per_month: int
    is_agents: bool
    rule: str
    expires_hours: int


def offer(tight: Tight, agent: AgentManifest, workspace: WorkspaceManifest) -> Offer | None:
    """The extension that a manifest offers at a limit; None where it offers none that would help.

    The limits of an agent and of its runs are extended as the agent's manifest says, all others as
    the workspace's.
    """
    is_agents = tight.axis in _OWNED_BY_AGENT
    budget = agent.spec.budget if is_agents else workspace.spec.budget
    extension = budget.extension
    if budget.on_exceeded != "ask" or extension is None or not _helps(extension, tight.unit):
        return None
    fallback = agent.spec.approvals.approvers if is_agents else ()
    approvers = extension.approvers or fallback
    if not approvers:
        return None
    kind, name = ("agent", agent.metadata.name) if is_agents else ("workspace", "")
    return Offer(
        tight=tight,
        usd=(extension.usd if tight.unit == "usd" else None) or Decimal(0),
        tokens=(extension.tokens if tight.unit == "tokens" else None) or 0,
        approvers=approvers,
        at_most_per_month=extension.at_most_per_month,
        is_agents=is_agents,
        rule=f"{kind} {name}".strip() + ": spec.budget.extension",
        expires_hours=agent.spec.approvals.expires_hours,
    )


def _helps(extension: Extension, unit: Unit) -> bool:
    return (extension.usd if unit == "usd" else extension.tokens) is not None


def projected_usd(spent: Decimal, *, month: date, at: datetime) -> Decimal:
    """What a month comes to if it goes on like this: the spend by the share of the month that is over.

    Within its first day that day counts as over: an hour says too little of a month.
    """
    after = _month_after(month)
    begin = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = datetime(after.year, after.month, 1, tzinfo=UTC)
    elapsed = min(max(at - begin, _LEAST_ELAPSED), end - begin)
    share = Decimal((end - begin) // timedelta(seconds=1)) / Decimal(
        elapsed // timedelta(seconds=1)
    )
    return (spent * share).quantize(_CENT, rounding=ROUND_CEILING)


def _month_after(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
