"""What a step notes of the facts its call was decided by, for deciding it again: no name, no text.

What a run had read is on record in the steps before, and what was typed in its messages, as long as
those are kept. Here is the rest: the class of the place, who asked by kind and roles, and what the
service of the call said of each of them and of who reads there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, Requester, RunFacts, access_of, source_of
from openloop.domain.principal import Role

if TYPE_CHECKING:
    from openloop.domain.facts import Seen
    from openloop.domain.policy import Call

NOTED = "facts"
"""The key of a step's input under which they stand."""
_ANYBODY = "somebody"


def note(call: Call, facts: RunFacts, *, was_asked: bool) -> dict[str, object]:
    """The facts that concern a call; `was_asked`: its service was asked about the people."""
    source = source_of(call.toolset, call.resource)
    noted: dict[str, object] = {
        "place": None if facts.place is None else str(facts.place),
        "people": [
            _note_person(call, each, facts, was_asked=was_asked) for each in facts.requesters
        ],
        "typed": sum(len(each.typed) for each in facts.requesters),
    }
    if source in facts.audiences:
        readers = facts.audiences[source]
        noted["readers"] = None if readers is None else str(readers)
    return noted


def _note_person(
    call: Call, requester: Requester, facts: RunFacts, *, was_asked: bool
) -> dict[str, object]:
    person = requester.links.get(call.toolset)
    noted: dict[str, object] = {
        "kind": requester.kind,
        "roles": [str(role) for role in requester.roles],
        "linked": person is not None,
    }
    if was_asked and person is not None:
        noted["may"] = _answer(call, person) in facts.answered
    return noted


def recall(
    call: Call, noted: object, *, typed: Sequence[str], surface: str, seen: tuple[Seen, ...]
) -> tuple[RunFacts, ...]:
    """The facts under which a call was decided; none where its step noted none that can be read.

    They are two where a service was not asked, as nothing depended on it then: it may say either.
    `typed` is what is still kept of what the run had taken in, oldest first.
    """
    if not isinstance(noted, dict):
        return ()
    given = cast("Mapping[str, Any]", noted)
    try:
        return tuple(_facts(call, given, typed, surface, seen))
    except (KeyError, TypeError, ValueError):
        return ()


def _facts(
    call: Call,
    noted: Mapping[str, Any],
    typed: Sequence[str],
    surface: str,
    seen: tuple[Seen, ...],
) -> list[RunFacts]:
    kept = tuple(typed[: int(noted["typed"])])
    if len(kept) < int(noted["typed"]):
        return []  # what was said is deleted sooner than what was done
    people: list[Mapping[str, Any]] = noted["people"]
    place, source = noted["place"], source_of(call.toolset, call.resource)
    facts = RunFacts(
        requesters=tuple(
            Requester(
                name=_ANYBODY,
                kind=each["kind"],
                roles=tuple(Role(role) for role in each["roles"]),
                links={call.toolset: str(index)} if each["linked"] else {},
                typed=kept if index == 0 else (),
            )
            for index, each in enumerate(people)
        ),
        surface=surface,
        place=None if place is None else PlaceClass(place),
        seen=seen,
        audiences=(
            {source: None if noted["readers"] is None else PlaceClass(noted["readers"])}
            if "readers" in noted
            else {}
        ),
    )
    said = frozenset(_answer(call, str(i)) for i, each in enumerate(people) if each.get("may"))
    unasked = frozenset(
        _answer(call, str(i))
        for i, each in enumerate(people)
        if each["linked"] and "may" not in each
    )
    certain = replace(facts, answered=said)
    return [certain, replace(facts, answered=said | unasked)] if unasked else [certain]


def _answer(call: Call, person: str) -> Answered:
    return Answered(
        service=call.toolset,
        person=person,
        resource=(call.resource or "").lower(),
        access=access_of(call.effect),
    )
