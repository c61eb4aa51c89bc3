"""What a journal says has entered a run, and what nobody is asked for twice."""

from __future__ import annotations

from typing import Any

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import (
    AT_BEST,
    Requester,
    RunFacts,
    Seen,
    access_of,
    seen_in,
    source_of,
    target_of,
)
from openloop.domain.ids import RunId, new_id
from openloop.domain.principal import Role
from openloop.domain.step import Step, StepKind, StepState
from openloop.domain.tool import Effect
from tests.make import NOON

RUN = RunId(new_id())
PAYROLL: dict[str, Any] = {"label": "private", "source": "github:acme/payroll"}
READ = Seen(source="github:acme/payroll", visible_in=PlaceClass.PRIVATE)


def step(seq: int = 2, **changes: Any) -> Step:
    entry: dict[str, Any] = {
        "run_id": RUN,
        "seq": seq,
        "kind": StepKind.TOOL,
        "state": StepState.FINISHED,
        "epoch": 1,
        "name": "github__get_issue",
        "input": PAYROLL,
        "started_at": NOON,
    }
    return Step(**{**entry, **changes})


def test_a_read_says_where_it_came_from_and_how_far_it_may_go() -> None:
    assert seen_in([step()]) == (READ,)
    assert seen_in([step(input={"label": "guests"})]) == (
        Seen(source="", visible_in=PlaceClass.GUESTS),
    )
    assert seen_in([step(input={})]) == ()


@pytest.mark.parametrize(
    ("changes", "entered"),
    [
        ({"state": StepState.STARTED}, True),
        ({"state": StepState.FINISHED, "output": {"outcome": "done"}}, True),
        ({"state": StepState.FINISHED, "output": {"outcome": "failed"}}, True),
        ({"state": StepState.FINISHED, "output": {"outcome": "refused"}}, False),
        ({"state": StepState.HELD}, False),
        ({"state": StepState.HELD, "output": {"outcome": "done"}}, False),
    ],
)
def test_a_call_that_was_not_made_lets_nothing_in(
    changes: dict[str, Any], *, entered: bool
) -> None:
    assert seen_in([step(**changes)]) == ((READ,) if entered else ())


def test_the_context_notes_its_label_in_what_it_gave() -> None:
    context = step(kind=StepKind.CONTEXT, input={}, output=PAYROLL, name="")
    assert seen_in([context]) == (READ,)
    assert seen_in([step(kind=StepKind.CONTEXT, output={}, name="")]) == ()
    assert seen_in([step(kind=StepKind.TOOL, input={}, output=PAYROLL)]) == ()


def test_what_was_recalled_goes_no_further_than_where_it_was_noted() -> None:
    found = step(name="memory__search", input={}, output={"content": {"visible_in": "internal"}})
    assert seen_in([found]) == (Seen(source="memory__search", visible_in=PlaceClass.INTERNAL),)
    nothings: list[dict[str, Any] | None] = [{"content": {}}, {}, None]
    for nothing in nothings:
        empty = step(name="memory__search", input={}, output=nothing)
        assert seen_in([empty]) == (Seen(source="memory__search", visible_in=PlaceClass.PUBLIC),)


def test_a_call_is_judged_by_what_was_read_before_it() -> None:
    steps = [step(1), step(2, input={"label": "internal", "source": "a:b"}), step(3)]
    internal = Seen(source="a:b", visible_in=PlaceClass.INTERNAL)
    assert seen_in(steps) == (READ, internal, READ)
    assert seen_in(steps, before=1) == ()
    assert seen_in(steps, before=2) == (READ,)
    assert seen_in(steps, before=3) == (READ, internal)


def test_what_goes_back_to_its_source_is_as_wide_as_all_else() -> None:
    wide = Seen(source="a:b", visible_in=PlaceClass.GUESTS)
    facts = RunFacts(requesters=(), surface="slack", place=None, seen=(READ, wide))
    assert facts.label is PlaceClass.PRIVATE
    assert facts.label_beyond(READ.source) is PlaceClass.GUESTS
    assert facts.label_beyond("a:b") is PlaceClass.PRIVATE
    assert facts.label_beyond("c:d") is PlaceClass.PRIVATE
    assert RunFacts(requesters=(), surface="slack", place=None).label is PlaceClass.PUBLIC


def test_sources_have_no_case_and_targets_no_order() -> None:
    assert source_of("github", "Acme/Payroll") == "github:acme/payroll"
    assert source_of("github", None) == "github:"
    one, other = target_of("t", {"a": 1, "b": 2}), target_of("t", {"b": 2, "a": 1})
    assert one == other != target_of("t", {"a": 1, "b": 3})
    assert one != target_of("u", {"a": 1, "b": 2})


@pytest.mark.parametrize("effect", list(Effect))
def test_whatever_leaves_us_needs_a_right_to_write(effect: Effect) -> None:
    assert access_of(effect) == ("write" if effect in (Effect.WRITE, Effect.DESTROY) else "read")


@pytest.mark.parametrize("role", list(Role))
def test_rules_speak_for_whom_may_run_agents(role: Role) -> None:
    runs = role in (Role.OPERATOR, Role.ADMIN, Role.OWNER)
    assert Requester(name="anna", kind="member", roles=(role,)).may_run is runs
    assert not Requester(name="anna", kind="member").may_run


def test_facts_are_certain_unless_somebody_could_not_be_asked() -> None:
    facts = RunFacts(requesters=(), surface="slack", place=None)
    assert facts.is_certain
    assert (facts.audiences, facts.versions, facts.answered) == ({}, {}, frozenset())


def test_at_best_an_owner_asks_in_private() -> None:
    (owner,) = AT_BEST.requesters
    assert (owner.kind, owner.roles) == ("member", (Role.OWNER,))
    assert (AT_BEST.surface, AT_BEST.place) == ("slack", PlaceClass.PRIVATE)
