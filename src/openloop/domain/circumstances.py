"""Circumstances of a call that manifests decide by: who asks, where, what was typed and read.

A grid of them stands for all runs: every class of place, people who are linked to the service and
people who are not, recipients and links that somebody typed and some that nobody did, and a run
that has read something narrow before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, Requester, RunFacts, Seen, access_of
from openloop.domain.principal import Role
from openloop.domain.sinks import SinkValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.facts import Access
    from openloop.domain.policy import Call

RECIPIENT: Final = "U0RECIPIENT"
KEPT: Final = 4096
LINK: Final = "https://elsewhere.example/page"
SINKS: Final = (SinkValue(argument="to", spellings=(RECIPIENT,)),)
TEXTS: Final = (f"see {LINK}",)
_PERSON: Final = "somebody"
_ELSEWHERE: Final = "elsewhere:"

FactsOf: TypeAlias = Callable[["Call"], RunFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstance:
    """One of them, in words that follow a sentence, and its facts for a call; usual ones say nothing."""

    words: str
    facts: FactsOf


def usual() -> Circumstance:
    """A full member who may, in a place of full members, who typed all that matters."""
    return Circumstance(words="", facts=_facts(PlaceClass.INTERNAL))


@cache
def grid() -> tuple[Circumstance, ...]:
    """The usual one first, then each departure from it."""
    return tuple(_grid())


def _grid() -> Iterator[Circumstance]:
    yield usual()
    for place in PlaceClass:
        if place is not PlaceClass.INTERNAL:
            yield Circumstance(words=f" in {place} places", facts=_facts(place))
    for place in PlaceClass:
        words = f" in {place} places, for people whom the service does not know"
        yield Circumstance(words=words, facts=_facts(place, linked=False))
    words = " on GitHub, for people whom the service does not know"
    yield Circumstance(
        words=words, facts=_facts(PlaceClass.INTERNAL, linked=False, surface="github")
    )
    yield Circumstance(
        words=", for recipients that nobody typed",
        facts=_facts(PlaceClass.INTERNAL, typed=LINK),
    )
    yield Circumstance(
        words=", with links that nobody typed",
        facts=_facts(PlaceClass.INTERNAL, typed=RECIPIENT),
    )
    yield Circumstance(
        words=", for people without a role", facts=_facts(PlaceClass.INTERNAL, roles=())
    )
    for label in PlaceClass:
        yield Circumstance(
            words=f", after something was read that {label} places may see",
            facts=_facts(PlaceClass.PRIVATE, label=label),
        )


def possible(call: Call, recorded: RunFacts) -> Iterator[RunFacts]:
    """What may have been true of a recorded call, of which its record says only a part.

    Who asked, what they typed and what was read is on record. Who could read along and what the
    services said of the requesters is not, so each possibility is one.
    """
    linked = tuple(
        replace(requester, links={call.toolset: requester.name})
        for requester in recorded.requesters
    )
    for place in PlaceClass:
        yield replace(recorded, place=place)
        known = replace(recorded, place=place, requesters=linked)
        access = access_of(call.effect)
        yield replace(known, answered=_answered(call.toolset, call.resource, access, known))


def _answered(
    service: str, resource: str | None, access: Access, facts: RunFacts
) -> frozenset[Answered]:
    return frozenset(
        Answered(
            service=service,
            person=requester.links[service],
            resource=(resource or "").lower(),
            access=access,
        )
        for requester in facts.requesters
        if service in requester.links
    )


def _facts(
    place: PlaceClass,
    *,
    linked: bool = True,
    typed: str = f"{RECIPIENT} {LINK}",
    roles: tuple[Role, ...] = (Role.OPERATOR,),
    surface: str = "slack",
    label: PlaceClass | None = None,
) -> FactsOf:
    @lru_cache(maxsize=KEPT)
    def of(service: str, resource: str | None, access: Access) -> RunFacts:
        requester = Requester(
            name=_PERSON,
            kind="member",
            roles=roles,
            links={service: _PERSON} if linked else {},
            typed=(typed,),
        )
        bare = RunFacts(
            requesters=(requester,),
            surface=surface,
            place=place,
            seen=() if label is None else (Seen(source=_ELSEWHERE, visible_in=label),),
        )
        return replace(bare, answered=_answered(service, resource, access, bare))

    return lambda call: of(call.toolset, call.resource, access_of(call.effect))
