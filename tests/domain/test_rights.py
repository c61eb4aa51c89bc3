"""Rights, rule by rule: what was read goes nowhere wider, and a denial says who may read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openloop.domain import rights
from openloop.domain.audience import PlaceClass, narrowest
from openloop.domain.facts import Answered, Requester, RunFacts, Seen, source_of
from openloop.domain.rights import Terms
from openloop.domain.tool import Effect
from openloop.domain.verdict import Deny, Hold

SOURCE = source_of("github", "acme/website")
BEN = Requester(name="ben", kind="member", links={"github": "#4711"})
FACTS = RunFacts(requesters=(BEN,), surface="slack", place=PlaceClass.PRIVATE)
GRANT = Terms(where="spec.tools[0]", requester_rights="grant")
OWN = Terms(where="spec.tools[0]", requester_rights="own")


def having_read(label: PlaceClass, *, source: str = "github:acme/payroll") -> RunFacts:
    return replace(FACTS, seen=(Seen(source=source, visible_in=label),))


def written(facts: RunFacts, resource: str | None = "acme/website") -> Deny | None:
    return rights.problem("github", resource, Effect.WRITE, GRANT, facts)


@pytest.mark.parametrize("label", PlaceClass)
@pytest.mark.parametrize("readers", PlaceClass)
def test_what_was_read_is_written_where_nobody_else_reads_it(
    label: PlaceClass, readers: PlaceClass
) -> None:
    facts = replace(having_read(label), audiences={SOURCE: readers})
    denied = written(facts)
    if readers.is_within(label):
        assert denied is None
    else:
        assert denied is not None
        assert denied.rule == "rights: label"
        assert denied.reason == (
            f"This run has read what may be shown in {label} places at most; it cannot be written "
            f"to acme/website: it is {readers}"
        )


def test_a_service_that_should_say_who_reads_and_does_not_is_denied_only_what_is_confined() -> None:
    silent = replace(having_read(PlaceClass.INTERNAL), audiences={SOURCE: None})
    denied = written(silent)
    assert denied is not None
    assert denied.reason.endswith("to acme/website: nobody could say who reads it")
    assert written(replace(having_read(PlaceClass.PUBLIC), audiences={SOURCE: None})) is None
    assert written(replace(FACTS, audiences={SOURCE: None})) is None


def test_what_was_read_there_may_go_back_there() -> None:
    facts = having_read(PlaceClass.PRIVATE, source=SOURCE)
    assert written(replace(facts, audiences={SOURCE: PlaceClass.INTERNAL})) is None


def test_a_service_is_asked_about_itself_where_a_call_names_nothing_of_it() -> None:
    yes = Answered(service="github", person="#4711", resource="", access="write")
    asked = replace(FACTS, answered=frozenset({yes}))
    assert rights.problem("github", None, Effect.WRITE, OWN, asked) is None
    denied = rights.problem("github", None, Effect.WRITE, OWN, FACTS)
    assert denied is not None
    assert denied.reason == "github does not say that ben may write this"


@pytest.mark.parametrize("effect", list(Effect))
def test_for_a_read_who_may_read_is_enough_and_for_a_write_it_is_not(effect: Effect) -> None:
    reads = Answered(service="github", person="#4711", resource="acme/website", access="read")
    facts = replace(FACTS, answered=frozenset({reads}))
    denied = rights.problem("github", "ACME/Website", effect, OWN, facts)
    assert (denied is None) is not effect.leaves_us


@pytest.mark.parametrize("one", PlaceClass)
@pytest.mark.parametrize("other", PlaceClass)
def test_of_two_classes_the_narrower_one_counts(one: PlaceClass, other: PlaceClass) -> None:
    assert narrowest([one, other]) is (one if one.is_within(other) else other)
    assert narrowest([]) is PlaceClass.PUBLIC


def test_what_is_told_in_its_place_is_denied_with_both_classes() -> None:
    facts = replace(having_read(PlaceClass.INTERNAL), place=PlaceClass.SHARED)
    denied = rights.told_too_widely(facts)
    assert denied is not None
    assert denied.rule == "rights: label"
    assert "in internal places at most, and this place is shared by now" in denied.reason


def test_nobody_may_edit_unless_a_rule_says_so() -> None:
    assert not Hold(rule="r", demands=(), expires_hours=1).may_edit
