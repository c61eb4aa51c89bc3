"""Rights: agent AND requesters AND audience. Whatever one of the three lacks, the call lacks.

The agent's part is its grant, which `domain.policy` finds. Here is the rest: everybody who asked
must have the right, and nobody may be shown what they could not read by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Answered, RunFacts, access_of, source_of
from openloop.domain.verdict import Deny

if TYPE_CHECKING:
    from openloop.domain.tool import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a manifest says about one granted resource.

    `visible_in` is the widest class of place in which it may be read. `requester_rights` says who
    speaks for the people who ask: `grant`, the manifest itself; `own`, the service, asked for each
    of them; None, what is usual in the place. `where` is the grant in its manifest.
    """

    where: str
    visible_in: PlaceClass = PlaceClass.INTERNAL
    requester_rights: Literal["grant", "own"] | None = None

    def asks_service(self, facts: RunFacts) -> bool:
        """True where the manifest does not speak for the requesters.

        It speaks for full members among themselves; on GitHub, and where anybody else reads along,
        the service has to say that each of them may.
        """
        if self.requester_rights is not None:
            return self.requester_rights == "own"
        among_members = facts.place is not None and facts.place.has_only_members
        return facts.surface == "github" or not among_members


def problem(
    service: str, resource: str | None, effect: Effect, terms: Terms, facts: RunFacts
) -> Deny | None:
    """Why a granted call may not be made for these people in this place; None where it may."""
    return (
        _unknown(facts)
        or told_too_widely(facts)
        or (
            _written_too_widely(service, resource, facts)
            if effect.leaves_us
            else _read_too_widely(resource, terms, facts)
        )
        or _not_for_everybody(service, resource, effect, terms, facts)
    )


def told_too_widely(facts: RunFacts) -> Deny | None:
    """Why nothing of this run may be said in its place any more; None where it may.

    A place can become wider while a run works; what was read before stays as narrow as it was.
    """
    if facts.label is PlaceClass.PUBLIC:
        return None
    if facts.place is None:
        return Deny(rule="rights: place", reason=_NOBODY_KNOWS)
    if facts.place.is_within(facts.label):
        return None
    reason = (
        f"This run has read what may be shown in {facts.label} places at most, and this place is "
        f"{facts.place} by now"
    )
    return Deny(rule="rights: label", reason=reason)


_NOBODY_KNOWS = "It could not be found out who can read in this place"


def _unknown(facts: RunFacts) -> Deny | None:
    if facts.place is None:
        return Deny(rule="rights: place", reason=_NOBODY_KNOWS)
    if not facts.requesters:
        return Deny(rule="rights: requesters", reason="It could not be found out who asked")
    for requester in facts.requesters:
        if requester.kind != "member":
            reason = f"{requester.name} is not a full member here ({requester.kind})"
            return Deny(rule="rights: requesters", reason=reason)
    return None


def _read_too_widely(resource: str | None, terms: Terms, facts: RunFacts) -> Deny | None:
    assert facts.place is not None  # noqa: S101  # checked before
    if facts.place.is_within(terms.visible_in):
        return None
    reason = (
        f"{resource or 'This'} may be shown in {terms.visible_in} places at most, and this place "
        f"is {facts.place}"
    )
    return Deny(rule=f"{terms.where}.visible_in: {terms.visible_in}", reason=reason)


def is_blind(service: str, resource: str | None, facts: RunFacts) -> bool:
    """True where something confined was read and the service cannot tell who reads what is written.

    A person may decide that, and no rule.
    """
    source = source_of(service, resource)
    confined = facts.label_beyond(source) is not PlaceClass.PUBLIC
    return confined and source not in facts.audiences


def _written_too_widely(service: str, resource: str | None, facts: RunFacts) -> Deny | None:
    """What was read elsewhere goes nowhere wider; back to where it came from it may go."""
    source = source_of(service, resource)
    label = facts.label_beyond(source)
    if label is PlaceClass.PUBLIC or source not in facts.audiences:
        return None
    readers = facts.audiences[source]
    if readers is not None and readers.is_within(label):
        return None
    shown = "nobody could say who reads it" if readers is None else f"it is {readers}"
    reason = (
        f"This run has read what may be shown in {label} places at most; it cannot be written to "
        f"{resource or service}: {shown}"
    )
    return Deny(rule="rights: label", reason=reason)


def _not_for_everybody(
    service: str, resource: str | None, effect: Effect, terms: Terms, facts: RunFacts
) -> Deny | None:
    if not terms.asks_service(facts):
        return None
    rule = f"{terms.where}.requester_rights: own"
    access = access_of(effect)
    for requester in facts.requesters:
        person = requester.links.get(service)
        if person is None:
            reason = (
                f"{requester.name} is not linked to {service}: people.NAME.{service} has to be the "
                "number of their account, which no login is"
            )
            return Deny(rule=rule, reason=reason)
        wanted = Answered(
            service=service, person=person, resource=(resource or "").lower(), access=access
        )
        if wanted not in facts.answered:
            reason = (
                f"{service} does not say that {requester.name} may {access} {resource or 'this'}"
            )
            return Deny(rule=rule, reason=reason)
    return None
