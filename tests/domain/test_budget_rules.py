"""What a budget says as a whole: each finding with its place and words, and each offer with all it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from openloop.domain.budget import (
    EXTEND,
    Limit,
    Offer,
    Tight,
    limits_of,
    offer,
    projected_usd,
    subject_of,
)
from openloop.domain.budget_rules import (
    agent_findings,
    reference_findings,
    workspace_findings,
)
from openloop.domain.manifest import InvalidManifest
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_budget import Allowance, Extension
from tests.manifests import agent_manifest, workspace_manifest

Found = list[tuple[str, tuple[str | int, ...], str]]
AGENT = agent_manifest({"budget": {"monthly_usd": 50, "per_task_usd": 1}})
WORKSPACE = workspace_manifest()
MISSING, INVALID = "manifest_missing_key", "manifest_invalid_value"
BUDGET = ("spec", "budget")
EXTENSION = Extension(usd=Decimal(5), tokens=None, approvers=("@priya",), at_most_per_month=2)
TIGHT = Tight(axis="agent", span="month", subject=UUID(int=1), period=date(2026, 11, 1), unit="usd")


def found_in_agent(agent: AgentManifest = AGENT, **budget: Any) -> Found:
    changed = replace(agent.spec, budget=replace(agent.spec.budget, **budget))
    return [(c, tuple(p), m) for c, p, m in agent_findings(replace(agent, spec=changed))]


def found_in_workspace(**budget: Any) -> Found:
    spec = WORKSPACE.spec
    changed = replace(spec, budget=replace(spec.budget, **budget))
    return [(c, tuple(p), m) for c, p, m in workspace_findings(replace(WORKSPACE, spec=changed))]


# --- limits that are never reached ---------------------------------------------------------------


@pytest.mark.parametrize("unit", ["usd", "tokens"])
def test_a_day_above_its_month_is_found_and_one_as_large_is_not(unit: str) -> None:
    amount = Decimal if unit == "usd" else int
    limits: dict[str, Any] = {f"monthly_{unit}": amount(40), f"daily_{unit}": amount(41)}
    found = [
        (INVALID, (*BUDGET, f"daily_{unit}"), f"It is above monthly_{unit}, so it is never reached")
    ]
    assert found_in_agent(**limits) == found
    assert found_in_workspace(**limits) == found
    limits[f"daily_{unit}"] = amount(40)
    assert not found_in_agent(**limits)


@pytest.mark.parametrize("unit", ["usd", "tokens"])
@pytest.mark.parametrize("span", ["daily", "monthly"])
def test_a_run_above_its_day_or_month_is_found_and_one_as_large_is_not(
    unit: str, span: str
) -> None:
    amount = Decimal if unit == "usd" else int
    limits: dict[str, Any] = {f"{span}_{unit}": amount(40), f"per_task_{unit}": amount(41)}
    assert found_in_agent(**limits) == [
        (
            INVALID,
            (*BUDGET, f"per_task_{unit}"),
            f"It is above {span}_{unit}, so it is never reached",
        )
    ]
    limits[f"per_task_{unit}"] = amount(40)
    assert not found_in_agent(**limits)


def test_a_run_above_both_is_found_once() -> None:
    limits: dict[str, Any] = {"daily_tokens": 10, "monthly_tokens": 20, "per_task_tokens": 30}
    assert [message for _, _, message in found_in_agent(**limits)] == [
        "It is above daily_tokens, so it is never reached"
    ]


@pytest.mark.parametrize("key", ["per_place", "per_person"])
def test_an_allowance_is_looked_through_and_names_something(key: str) -> None:
    allowed = Allowance(daily_usd=Decimal(3), monthly_usd=Decimal(2))
    assert found_in_workspace(**{key: allowed}) == [
        (INVALID, (*BUDGET, key, "daily_usd"), "It is above monthly_usd, so it is never reached")
    ]
    assert found_in_workspace(**{key: Allowance()}) == [
        (
            INVALID,
            (*BUDGET, key),
            "Name at least one limit: daily_usd, monthly_usd, daily_tokens, monthly_tokens",
        )
    ]
    assert not found_in_workspace(**{key: Allowance(daily_usd=Decimal(2))})


# --- extensions that nobody decides --------------------------------------------------------------


def test_asking_needs_an_extension_and_an_extension_asking() -> None:
    needs = "`ask` needs an `extension`: what an approval adds, and how often in a month"
    only = "An extension is asked for with `on_exceeded: ask` only"
    for found in (found_in_agent, found_in_workspace):
        assert found(on_exceeded="ask") == [(MISSING, (*BUDGET, "on_exceeded"), needs)]
        assert found(extension=EXTENSION) == [(INVALID, (*BUDGET, "extension"), only)]
        assert not found(on_exceeded="ask", extension=EXTENSION)
        assert not found(on_exceeded="warn")


def test_an_extension_adds_something() -> None:
    adds = "Name what an approval adds: usd, tokens, or both"
    nothing = replace(EXTENSION, usd=None)
    for found in (found_in_agent, found_in_workspace):
        asked = found(on_exceeded="ask", extension=nothing)
        assert asked == [(MISSING, (*BUDGET, "extension"), adds)]
        assert not found(on_exceeded="ask", extension=replace(nothing, tokens=1))


def test_somebody_decides_an_extension() -> None:
    names = (MISSING, (*BUDGET, "extension"), "Name the approvers who decide an extension")
    nobodys: dict[str, Any] = {"on_exceeded": "ask", "extension": replace(EXTENSION, approvers=())}
    approvals = replace(AGENT.spec.approvals, approvers=())
    alone = replace(AGENT, spec=replace(AGENT.spec, approvals=approvals))
    assert found_in_agent(alone, **nobodys) == [names]
    assert not found_in_agent(AGENT, **nobodys)
    assert found_in_workspace(**nobodys) == [names]


def test_an_approver_of_an_extension_is_somebody() -> None:
    strange = replace(EXTENSION, approvers=("@priya", "@nobody"))
    path = (*BUDGET, "extension", "approvers", 1)
    message = "'@nobody' is neither a person nor a group of this workspace"
    assert found_in_workspace(on_exceeded="ask", extension=strange) == [
        ("name_unresolved", path, message)
    ]
    assert not list(reference_findings(None, WORKSPACE))


def test_and_has_the_role_for_it() -> None:
    without = replace(EXTENSION, approvers=("@priya", "@ben"))
    [(code, path, _)] = found_in_workspace(on_exceeded="ask", extension=without)
    assert (code, path) == ("approver_without_role", (*BUDGET, "extension", "approvers", 1))


def test_a_manifest_with_such_a_budget_is_refused_with_its_words() -> None:
    with pytest.raises(InvalidManifest, match="It is above daily_usd, so it is never reached"):
        agent_manifest({"budget": {"monthly_usd": 50, "daily_usd": 1, "per_task_usd": 2}})


# --- offers --------------------------------------------------------------------------------------


def asking(extension: dict[str, Any], **spec: Any) -> Any:
    budget = {"monthly_usd": 50, "per_task_usd": 1, "on_exceeded": "ask", "extension": extension}
    return agent_manifest({"budget": budget, **spec})


SHARED = workspace_manifest(
    {
        "budget": {
            "monthly_usd": 200,
            "on_exceeded": "ask",
            "extension": {"usd": 7, "at_most_per_month": 4, "approvers": ["@priya"]},
        }
    }
)


def test_an_offer_says_what_whose_and_who_decides() -> None:
    agent = asking({"usd": 5, "tokens": 1000, "at_most_per_month": 3})
    hours = agent.spec.approvals.expires_hours
    assert offer(TIGHT, agent, SHARED) == Offer(
        tight=TIGHT,
        usd=Decimal(5),
        tokens=0,
        approvers=("@maintainers",),
        at_most_per_month=3,
        is_agents=True,
        rule="agent dev-platform: spec.budget.extension",
        expires_hours=hours,
    )
    place = replace(TIGHT, axis="place")
    assert offer(place, agent, SHARED) == Offer(
        tight=place,
        usd=Decimal(7),
        tokens=0,
        approvers=("@priya",),
        at_most_per_month=4,
        is_agents=False,
        rule="workspace: spec.budget.extension",
        expires_hours=hours,
    )


def test_an_extension_names_its_own_approvers_and_adds_what_runs_out() -> None:
    agent = asking({"tokens": 1000, "at_most_per_month": 1, "approvers": ["@anna"]})
    assert offer(TIGHT, agent, SHARED) is None
    found = offer(replace(TIGHT, unit="tokens"), agent, SHARED)
    assert found is not None
    assert (found.usd, found.tokens, found.approvers) == (0, 1000, ("@anna",))
    assert offer(replace(TIGHT, axis="place", unit="tokens"), agent, SHARED) is None


def test_what_nobody_may_decide_is_not_offered() -> None:
    agent = asking({"usd": 5, "at_most_per_month": 3})
    approvals = replace(agent.spec.approvals, approvers=())
    alone = replace(agent, spec=replace(agent.spec, approvals=approvals))
    assert offer(TIGHT, alone, SHARED) is None
    place, shared = replace(TIGHT, axis="place"), SHARED.spec.budget
    assert shared.extension is not None
    nobodys = replace(shared, extension=replace(shared.extension, approvers=()))
    workspace = replace(SHARED, spec=replace(SHARED.spec, budget=nobodys))
    assert offer(place, agent, SHARED) is not None
    assert offer(place, agent, workspace) is None


@pytest.mark.parametrize("changes", [{"on_exceeded": "block"}, {"extension": None}])
def test_asking_and_an_extension_belong_together(changes: dict[str, Any]) -> None:
    agent = asking({"usd": 5, "at_most_per_month": 3})
    budget = replace(agent.spec.budget, **changes)
    assert offer(TIGHT, agent, SHARED) is not None
    assert offer(TIGHT, replace(agent, spec=replace(agent.spec, budget=budget)), SHARED) is None


# --- limits, names and months --------------------------------------------------------------------


def test_limits_are_in_a_fixed_order_and_block_by_themselves() -> None:
    allowance = {"daily_usd": 1, "monthly_usd": 2}
    workspace = workspace_manifest(
        {
            "budget": {
                "monthly_usd": 200,
                "daily_tokens": 900,
                "on_exceeded": "warn",
                "per_place": {"daily_usd": 1, "monthly_tokens": 700},
                "per_person": allowance,
            }
        }
    )
    tokens = {"monthly_tokens": 9000, "daily_tokens": 5000, "per_task_tokens": 800}
    agent = agent_manifest({"budget": {"monthly_usd": 50, "per_task_usd": 1, **tokens}})
    found = limits_of(agent, workspace)
    assert [(each.axis, each.span) for each in found] == [
        *(("workspace", "month"), ("agent", "month"), ("run", "run")),
        *(("workspace", "day"), ("agent", "day")),
        *(("place", "month"), ("place", "day"), ("principal", "month"), ("principal", "day")),
    ]
    assert [each.tokens for each in found if each.axis in ("agent", "run")] == [9000, 800, 5000]
    warning = {(each.axis, each.on_exceeded) for each in found}
    assert warning == {
        *(("workspace", "warn"), ("place", "warn"), ("principal", "warn")),
        *(("agent", "block"), ("run", "block")),
    }
    assert Limit(axis="agent", span="day").on_exceeded == "block"


@pytest.mark.parametrize(
    ("axis", "span", "name"),
    [
        ("principal", "day", "The requester budget for 2026-11-01 (UTC)"),
        ("principal", "month", "The requester budget for November 2026"),
        ("place", "month", "The place budget for November 2026"),
        ("run", "run", "The run budget"),
    ],
)
def test_people_read_whose_budget_it_is(axis: Any, span: Any, name: str) -> None:
    tight = replace(TIGHT, axis=axis, span=span)
    assert str(tight) == name
    assert (tight.ends_at is None) is (span == "run")


def test_a_day_ends_with_it() -> None:
    for period, end in ((date(2026, 11, 29), (11, 30)), (date(2026, 11, 30), (12, 1))):
        tight = replace(TIGHT, span="day", period=period)
        assert tight.ends_at == datetime(2026, *end, tzinfo=UTC)


def test_a_place_is_known_by_all_of_its_ids() -> None:
    assert subject_of("slack", "T0ACME", "DEV") == UUID("509b57a1-fd08-bf00-426e-c7bab57e95b7")
    assert len({subject_of("a", "b"), subject_of("a", "c"), subject_of("ab")}) == 3


@pytest.mark.parametrize(
    ("at", "projected"),
    [
        (datetime(2026, 11, 2, tzinfo=UTC), "300.00"),
        (datetime(2026, 11, 1, 23, tzinfo=UTC), "300.00"),
        (datetime(2026, 11, 2, 12, tzinfo=UTC), "200.00"),
        (datetime(2026, 11, 30, tzinfo=UTC), "10.35"),
        (datetime(2026, 12, 9, tzinfo=UTC), "10.00"),
    ],
)
def test_a_projection_is_rounded_up_to_the_cent(at: datetime, projected: str) -> None:
    assert projected_usd(Decimal(10), month=date(2026, 11, 1), at=at) == Decimal(projected)


def test_december_is_followed_by_january() -> None:
    at = datetime(2026, 12, 16, 12, tzinfo=UTC)
    assert projected_usd(Decimal(1), month=date(2026, 12, 1), at=at) == Decimal("2.00")


def test_an_extension_is_stored_under_a_name_that_stays() -> None:
    assert EXTEND == "budget.extend"
