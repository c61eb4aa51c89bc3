"""The circumstances in which two manifests are compared, and what may have been true of a recorded call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openloop.domain import circumstances
from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, Requester, RunFacts, Seen
from openloop.domain.policy import Call
from openloop.domain.principal import Role
from openloop.domain.sinks import SinkValue
from openloop.domain.tool import Effect

CALL = Call(
    toolset="github", permission="issues:write", effect=Effect.WRITE, resource="Acme/Platform"
)
READ = Call(toolset="github", permission="issues:read", effect=Effect.READ)
YES = Answered(service="github", person="somebody", resource="acme/platform", access="write")
SOMEBODY = Requester(
    name="somebody",
    kind="member",
    roles=(Role.OPERATOR,),
    links={"github": "somebody"},
    typed=("U0RECIPIENT https://elsewhere.example/page",),
)
USUAL = RunFacts(
    requesters=(SOMEBODY,),
    surface="slack",
    place=PlaceClass.INTERNAL,
    answered=frozenset({YES}),
)
UNLINKED = replace(USUAL, requesters=(replace(SOMEBODY, links={}),), answered=frozenset[Answered]())


def typing(text: str) -> RunFacts:
    return replace(USUAL, requesters=(replace(SOMEBODY, typed=(text,)),))


def expected() -> dict[str, RunFacts]:
    """Each circumstance by its words, written down once more."""
    unknown = "for people whom the service does not know"
    others = [each for each in PlaceClass if each is not PlaceClass.INTERNAL]
    return {
        "": USUAL,
        **{f" in {each} places": replace(USUAL, place=each) for each in others},
        **{f" in {each} places, {unknown}": replace(UNLINKED, place=each) for each in PlaceClass},
        f" on GitHub, {unknown}": replace(UNLINKED, surface="github"),
        ", for recipients that nobody typed": typing("https://elsewhere.example/page"),
        ", with links that nobody typed": typing("U0RECIPIENT"),
        ", for people without a role": replace(USUAL, requesters=(replace(SOMEBODY, roles=()),)),
        **{
            f", after something was read that {each} places may see": replace(
                USUAL,
                place=PlaceClass.PRIVATE,
                seen=(Seen(source="elsewhere:", visible_in=each),),
            )
            for each in PlaceClass
        },
    }


def test_the_grid_is_the_usual_case_and_each_departure_from_it() -> None:
    found = circumstances.grid()
    assert found[0].words == ""
    assert {each.words: each.facts(CALL) for each in found} == expected()
    assert len(found) == len(expected())
    assert circumstances.usual().facts(CALL) == USUAL


def test_a_call_of_the_grid_has_one_recipient_and_one_link() -> None:
    assert (SinkValue(argument="to", spellings=("U0RECIPIENT",)),) == circumstances.SINKS
    assert circumstances.TEXTS == ("see https://elsewhere.example/page",)


def test_a_service_is_asked_for_what_the_call_needs() -> None:
    yes = Answered(service="github", person="somebody", resource="", access="read")
    assert circumstances.usual().facts(READ).answered == frozenset({yes})


@pytest.mark.parametrize("call", [CALL, READ])
def test_what_no_record_says_may_have_been_either_way(call: Call) -> None:
    asked = (Requester(name="anna", kind="member"), Requester(name="ben", kind="guest"))
    recorded = RunFacts(requesters=asked, surface="slack", place=None)
    found = list(circumstances.possible(call, recorded))
    assert [each.place for each in found] == [place for place in PlaceClass for _ in range(2)]
    resource = "acme/platform" if call is CALL else ""
    access = "write" if call is CALL else "read"
    answers = frozenset(
        Answered(service="github", person=name, resource=resource, access=access)
        for name in ("anna", "ben")
    )
    for nothing, everything in zip(found[::2], found[1::2], strict=True):
        assert nothing == replace(recorded, place=nothing.place)
        assert everything.answered == answers
        assert [each.links for each in everything.requesters] == [
            {"github": "anna"},
            {"github": "ben"},
        ]
