"""The part of manifests that says what is held, who decides it, and what needs no decision."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le

from openloop.domain.manifest_parts import (
    ChannelName,
    Count,
    Distinct,
    Few,
    GatedPermission,
    HostName,
    Reference,
    RepoName,
    Some,
    Switch,
    part,
)
from openloop.domain.resources import KEYS, ResourceKind

Repos: TypeAlias = Annotated[tuple[RepoName, ...], Some, Distinct]
Channels: TypeAlias = Annotated[tuple[ChannelName, ...], Some, Distinct]
Hosts: TypeAlias = Annotated[tuple[HostName, ...], Some, Distinct]
References: TypeAlias = Annotated[tuple[Reference, ...], Some, Distinct]
VisibleIn: TypeAlias = Literal["private", "internal", "guests", "shared", "public"]
RequesterRights: TypeAlias = Literal["grant", "own"]


@part
class StandingRule:
    """A write that is not held: exactly this permission, on exactly these resources.

    Its sink arguments must have been typed by a requester. `links: typed` asks the same of every
    address and mention in its other texts.
    """

    permission: GatedPermission
    repos: Repos | None = None
    channels: Channels | None = None
    hosts: Hosts | None = None
    links: Literal["typed", "any"] = "typed"


@part
class CallMatch:
    """The held calls that a rule is about: all that is given has to fit."""

    permission: GatedPermission
    effect: Literal["read", "write", "destroy"] | None = None
    repos: Repos | None = None
    channels: Channels | None = None
    hosts: Hosts | None = None


@part
class EscalationStep:
    """Whom else to ask after some hours without a decision."""

    after_hours: Annotated[Count, Ge(1), Le(720)]
    approvers: References


@part
class HoldRule:
    """Who decides the held calls that match; every rule that matches has to be satisfied."""

    match: CallMatch
    approvers: References
    quorum: Annotated[Count, Ge(1), Le(10)] = 1
    expires_hours: Annotated[Count, Ge(1), Le(720)] | None = None
    not_requester: Switch = True
    may_edit: Switch = False
    escalation: Annotated[tuple[EscalationStep, ...], Few] = ()


@part
class Approvals:
    """Who decides held writes. Every write is held unless `allow` names it."""

    require_for: Annotated[tuple[GatedPermission, ...], Few, Distinct] = ()
    approvers: Annotated[tuple[Reference, ...], Few, Distinct] = ()
    allow: Annotated[tuple[StandingRule, ...], Few] = ()
    rules: Annotated[tuple[HoldRule, ...], Few] = ()
    expires_hours: Annotated[Count, Ge(1), Le(720)] = 72


@part
class WorkspacePolicy:
    """What holds for every agent of a workspace; an agent can only be stricter."""

    require_for: Annotated[tuple[GatedPermission, ...], Few, Distinct] = ()
    rules: Annotated[tuple[HoldRule, ...], Few] = ()
    visible_in: VisibleIn | None = None
    requester_rights: Literal["own"] | None = None


def patterns_of(entry: StandingRule | CallMatch, kind: ResourceKind) -> tuple[str, ...] | None:
    """The resources of one kind that a rule names."""
    match kind:
        case "repo":
            return entry.repos
        case "channel":
            return entry.channels
        case "host":
            return entry.hosts


def names_resources(entry: StandingRule | CallMatch) -> bool:
    """True where a rule names resources of any kind."""
    return any(patterns_of(entry, kind) is not None for kind in KEYS)
