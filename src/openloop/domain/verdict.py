"""Verdicts: what the policy says of a call, and what of two verdicts is the stricter one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Whom else to ask where nobody has decided after some hours."""

    after_hours: int
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One rule that holds a call: enough of these people have to agree.

    `rule` says where it is written (`spec.approvals.rules[1]`); `approvers` are references of the
    manifest. Everybody in `escalation` may vote once they were asked.
    """

    rule: str
    approvers: tuple[str, ...]
    quorum: int = 1
    not_requester: bool = True
    escalation: tuple[Escalation, ...] = ()

    @property
    def terms(self) -> tuple[object, ...]:
        """What it asks for, wherever it is written: equal terms are met by the same votes."""
        return self.approvers, self.quorum, self.not_requester, self.escalation


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The call is made at once."""

    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The call waits until every one of `demands` is met."""

    rule: str
    demands: tuple[Demand, ...]
    expires_hours: int
    may_edit: bool = False

    @property
    def approvers(self) -> tuple[str, ...]:
        """Everybody who is asked at once, in the order in which the rules name them."""
        return tuple(dict.fromkeys(name for demand in self.demands for name in demand.approvers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The call is not made; the model is told `reason`."""

    rule: str
    reason: str


Verdict = Allow | Hold | Deny


def stricter(one: Verdict, other: Verdict) -> Verdict:
    """The verdict that lets less through; of two holds, what both of them ask for."""
    match one, other:
        case (Deny(), _):
            return one
        case (_, Deny()):
            return other
        case (Hold(), Hold()):
            return _both(one, other)
        case (Hold(), Allow()):
            return one
        case (Allow(), Hold() | Allow()):
            return other


def _both(one: Hold, other: Hold) -> Hold:
    return Hold(
        rule=one.rule if one.rule == other.rule else f"{one.rule}; {other.rule}",
        demands=distinct((*one.demands, *other.demands)),
        expires_hours=min(one.expires_hours, other.expires_hours),
        may_edit=one.may_edit and other.may_edit,
    )


def distinct(demands: tuple[Demand, ...]) -> tuple[Demand, ...]:
    """The demands without those that ask for the same as an earlier one."""
    found: dict[tuple[object, ...], Demand] = {}
    for demand in demands:
        found.setdefault(demand.terms, demand)
    return tuple(found.values())
