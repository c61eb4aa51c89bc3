"""The part of manifests that says what may be spent, by whom, and what happens at a limit."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le

from openloop.domain.manifest_parts import Count, Distinct, Dollars, Few, Reference, part

Tokens: TypeAlias = Annotated[Count, Ge(256), Le(1_000_000_000_000)]
OnExceeded: TypeAlias = Literal["block", "warn", "ask"]


@part
class Extension:
    """What an approval adds to a limit that is reached, and how often in a calendar month.

    `approvers` are those of `approvals` where an agent names none here.
    """

    usd: Dollars | None = None
    tokens: Tokens | None = None
    at_most_per_month: Annotated[Count, Ge(1), Le(100)]
    approvers: Annotated[tuple[Reference, ...], Few, Distinct] = ()


@part
class Allowance:
    """What each place, or each person, may spend of a workspace's budget."""

    monthly_usd: Dollars | None = None
    daily_usd: Dollars | None = None
    monthly_tokens: Tokens | None = None
    daily_tokens: Tokens | None = None


@part
class AgentBudget:
    """What the agent may spend in a calendar month and day (UTC), and on one run."""

    monthly_usd: Dollars
    daily_usd: Dollars | None = None
    per_task_usd: Dollars
    monthly_tokens: Tokens | None = None
    daily_tokens: Tokens | None = None
    per_task_tokens: Tokens | None = None
    on_exceeded: OnExceeded = "block"
    extension: Extension | None = None


@part
class WorkspaceBudget:
    """What all agents together may spend in a calendar month and day (UTC); and places, and people."""

    monthly_usd: Dollars
    daily_usd: Dollars | None = None
    monthly_tokens: Tokens | None = None
    daily_tokens: Tokens | None = None
    per_place: Allowance | None = None
    per_person: Allowance | None = None
    on_exceeded: OnExceeded = "block"
    extension: Extension | None = None
