"""Which limits are in force, what an extension adds, and where a month ends up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.domain.budget import Tight, limits_of, offer, projected_usd
from openloop.domain.manifest import InvalidManifest
from tests.manifests import agent_manifest, workspace_manifest

if TYPE_CHECKING:
    from openloop.domain.budget import Axis, Span, Unit

AGENT = {"monthly_usd": 50, "per_task_usd": 1}
EXTENSION = {"usd": 5, "tokens": 1000, "at_most_per_month": 3}


def limits(
    agent: dict[str, Any] | None = None, workspace: dict[str, Any] | None = None
) -> set[Any]:
    found = limits_of(
        agent_manifest({"budget": {**AGENT, **(agent or {})}}),
        workspace_manifest({"budget": {"monthly_usd": 200, **(workspace or {})}}),
    )
    return {(each.axis, each.span, each.usd, each.tokens, each.on_exceeded) for each in found}


def test_three_rows_are_always_there_and_no_other() -> None:
    assert limits() == {
        ("workspace", "month", 200, None, "block"),
        ("agent", "month", 50, None, "block"),
        ("run", "run", 1, None, "block"),
    }


def test_every_limit_that_is_written_is_in_force() -> None:
    found = limits(
        {"daily_usd": 5, "daily_tokens": 1000, "per_task_tokens": 500, "on_exceeded": "warn"},
        {
            "monthly_tokens": 10_000,
            "daily_tokens": 5000,
            "per_place": {"monthly_usd": 20},
            "per_person": {"daily_usd": 2, "daily_tokens": 700},
        },
    )
    assert found == {
        ("workspace", "month", 200, 10_000, "block"),
        ("workspace", "day", None, 5000, "block"),
        ("agent", "month", 50, None, "warn"),
        ("agent", "day", 5, 1000, "warn"),
        ("run", "run", 1, 500, "warn"),
        ("place", "month", 20, None, "block"),
        ("principal", "day", 2, 700, "block"),
    }


# --- extensions ----------------------------------------------------------------------------------


def offered(axis: Axis, unit: Unit = "usd", span: Span = "month", **budget: Any) -> Any:
    """What both manifests offer at a limit; `budget` changes the agent's."""
    own = {"on_exceeded": "ask", "extension": EXTENSION, **budget}
    shared = {"on_exceeded": "ask", "extension": {**EXTENSION, "approvers": ["@priya"]}}
    tight = Tight(axis=axis, span=span, subject=UUID(int=1), period=date(2026, 11, 1), unit=unit)
    return offer(
        tight,
        agent_manifest({"budget": {**AGENT, **own}}),
        workspace_manifest({"budget": {"monthly_usd": 200, **shared}}),
    )


@pytest.mark.parametrize("axis", ["agent", "run"])
def test_an_agents_limits_are_extended_by_its_approvers(axis: Axis) -> None:
    found = offered(axis)
    assert (found.usd, found.tokens, found.at_most_per_month) == (5, 0, 3)
    assert (found.approvers, found.is_agents) == (("@maintainers",), True)


@pytest.mark.parametrize("axis", ["workspace", "place", "principal"])
def test_a_workspaces_limits_are_extended_by_whom_it_names(axis: Axis) -> None:
    found = offered(axis)
    assert (found.approvers, found.is_agents) == (("@priya",), False)


def test_what_runs_out_is_what_is_added() -> None:
    assert (offered("agent", "tokens").usd, offered("agent", "tokens").tokens) == (0, 1000)
    only_usd = {"usd": 5, "at_most_per_month": 1}
    assert offered("agent", "tokens", extension=only_usd) is None


@pytest.mark.parametrize("on_exceeded", ["block", "warn"])
def test_only_ask_offers_an_extension(on_exceeded: str) -> None:
    agent = agent_manifest({"budget": {**AGENT, "on_exceeded": on_exceeded}})
    tight = Tight(
        axis="agent", span="month", subject=UUID(int=1), period=date(2026, 11, 1), unit="usd"
    )
    assert offer(tight, agent, workspace_manifest()) is None


@pytest.mark.parametrize(
    ("span", "period", "name", "ends_at"),
    [
        ("month", date(2026, 11, 1), "The agent budget for November 2026", (2026, 12, 1)),
        ("month", date(2026, 12, 1), "The agent budget for December 2026", (2027, 1, 1)),
        ("day", date(2026, 12, 31), "The agent budget for 2026-12-31 (UTC)", (2027, 1, 1)),
    ],
)
def test_a_row_has_a_name_and_an_end(
    span: Span, period: date, name: str, ends_at: tuple[int, int, int]
) -> None:
    tight = Tight(axis="agent", span=span, subject=UUID(int=1), period=period, unit="usd")
    assert (str(tight), tight.ends_at) == (name, datetime(*ends_at, tzinfo=UTC))


# --- what a manifest may say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "path"),
    [
        ({"daily_usd": 51}, "spec.budget.daily_usd"),
        ({"monthly_tokens": 1000, "daily_tokens": 1001}, "spec.budget.daily_tokens"),
        ({"per_task_usd": 51}, "spec.budget.per_task_usd"),
        ({"daily_usd": "0.5"}, "spec.budget.per_task_usd"),
        ({"on_exceeded": "ask"}, "spec.budget.on_exceeded"),
        ({"extension": EXTENSION}, "spec.budget.extension"),
        ({"on_exceeded": "ask", "extension": {"at_most_per_month": 1}}, "spec.budget.extension"),
        ({"daily_tokens": 100}, "spec.budget.daily_tokens"),
        (
            {"on_exceeded": "ask", "extension": {"usd": 1}},
            "spec.budget.extension.at_most_per_month",
        ),
    ],
)
def test_an_agents_budget_is_refused(budget: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidManifest) as refused:
        agent_manifest({"budget": {**AGENT, **budget}})
    assert path in {problem.path for problem in refused.value.found}


@pytest.mark.parametrize(
    ("budget", "path"),
    [
        ({"per_place": {}}, "spec.budget.per_place"),
        ({"per_person": {"daily_usd": 3, "monthly_usd": 2}}, "spec.budget.per_person.daily_usd"),
        ({"on_exceeded": "ask", "extension": EXTENSION}, "spec.budget.extension"),
        (
            {"on_exceeded": "ask", "extension": {**EXTENSION, "approvers": ["@nobody"]}},
            "spec.budget.extension.approvers[0]",
        ),
    ],
)
def test_a_workspaces_budget_is_refused(budget: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidManifest) as refused:
        workspace_manifest({"budget": {"monthly_usd": 200, **budget}})
    assert path in {problem.path for problem in refused.value.found}


# --- where a month ends up -----------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("at", "projected"),
    [
        (datetime(2026, 11, 16, tzinfo=UTC), 20),  # half of thirty days
        (datetime(2026, 11, 1, 1, tzinfo=UTC), 300),  # the first day counts as over
        (datetime(2026, 12, 1, tzinfo=UTC), 10),
        (datetime(2026, 11, 11, tzinfo=UTC), 30),
    ],
)
def test_a_month_goes_on_as_it_went(at: datetime, projected: int) -> None:
    assert projected_usd(Decimal(10), month=date(2026, 11, 1), at=at) == projected


@given(at=MOMENTS, cents=st.integers(0, 10_000_000))
def test_a_month_ends_at_no_less_than_what_is_spent(at: datetime, cents: int) -> None:
    spent = Decimal(cents) / 100
    found = projected_usd(spent, month=date(at.year, at.month, 1), at=at)
    assert spent <= found <= spent * 31 + 1
