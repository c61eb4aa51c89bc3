"""The Workspace manifest: people with their ids, groups, roles, budget, prices, retention."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Literal, TypeAlias, get_args

from annotated_types import Ge, Le, Len
from pydantic import PlainValidator, WithJsonSchema

from openloop.domain import manifest_login
from openloop.domain.manifest_agent import Finding
from openloop.domain.manifest_approvals import Repos, WorkspacePolicy
from openloop.domain.manifest_budget import WorkspaceBudget
from openloop.domain.manifest_login import Access, LoginSubject
from openloop.domain.manifest_parts import (
    Count,
    Distinct,
    Dollars,
    Email,
    Few,
    ModelName,
    Reference,
    SlackTeamId,
    SlackUserId,
    Slug,
    Some,
    Switch,
    part,
    refused,
    shorten,
)

RoleName: TypeAlias = Literal["owner", "admin", "approver", "operator", "viewer"]
References: TypeAlias = Annotated[tuple[Reference, ...], Some, Distinct]

_LOGIN = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
_LARGEST_ID = 2**53
MAX_PEOPLE = 2000


def _github_identity(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST_ID:
        return value
    # A login of digits alone would be taken for a number where people are looked up.
    if isinstance(value, str) and re.fullmatch(_LOGIN, value) and not value.isdecimal():
        return value
    raise refused(f"{shorten(value)} is not a GitHub user: a numeric id, or a login")


GithubIdentity: TypeAlias = Annotated[
    int | str,
    PlainValidator(_github_identity),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _LARGEST_ID - 1},
                {"type": "string", "pattern": f"^{_LOGIN}$"},
            ]
        }
    ),
]


@part
class WorkspaceMetadata:
    """Which workspace this is."""

    name: Slug


@part
class Person:
    """A person's stable ids on the surfaces: names and e-mail addresses never link anybody."""

    slack: SlackUserId | None = None
    github: GithubIdentity | None = None
    email: Email | None = None
    login: LoginSubject | None = None


@part
class GithubIntegration:
    """The repositories of tools that name none of their own."""

    repos: Repos


@part
class SlackIntegration:
    """The Slack team to which the ids in `people` belong; absent, the team of the bot token."""

    team: SlackTeamId


@part
class Integrations:
    """Settings of integrations that are no secrets."""

    github: GithubIntegration | None = None
    slack: SlackIntegration | None = None


@part
class Price:
    """What a model costs, in US dollars per million tokens. Cached input costs as other input."""

    input_per_million: Dollars
    output_per_million: Dollars
    cached_per_million: Dollars | None = None
    max_output_tokens: Annotated[Count, Ge(1), Le(10_000_000)] | None = None
    context_window: Annotated[Count, Ge(1), Le(100_000_000)] | None = None


@part
class Retention:
    """After how many days texts are deleted; memories follow their agent unless this is shorter."""

    messages_days: Annotated[Count, Ge(1), Le(3650)] = 30
    tool_payload_days: Annotated[Count, Ge(1), Le(3650)] = 90
    memories_days: Annotated[Count, Ge(1), Le(3650)] | None = None


@part
class AskLimits:
    """How much people are asked: what is over it is parked, and decided from the inbox.

    `per_run` counts everything that one run asks by a card, `per_approver` what one person has been
    asked about and nobody has decided.
    """

    per_run: Annotated[Count, Ge(1), Le(1000)] = 20
    per_approver: Annotated[Count, Ge(1), Le(1000)] = 10


@part
class WorkspaceLimits:
    """How many runs of all agents work at a time."""

    concurrency: Annotated[Count, Ge(1), Le(10_000)] | None = None


@part
class WorkspaceSpec:
    """Everything that the agents of a workspace share.

    `roles` say what people may do at all; which approvers decide what, an agent's manifest says.
    """

    people: Annotated[Mapping[Slug, Person], Len(1, MAX_PEOPLE)]
    groups: Annotated[Mapping[Slug, References], Few] = field(
        default_factory=dict[str, tuple[str, ...]]
    )
    roles: Mapping[RoleName, References] = field(default_factory=dict[RoleName, tuple[str, ...]])
    solo_mode: Switch = False
    asks: AskLimits = AskLimits()
    limits: WorkspaceLimits = WorkspaceLimits()
    budget: WorkspaceBudget
    integrations: Integrations = Integrations()
    prices: Annotated[Mapping[ModelName, Price], Few] = field(default_factory=dict[str, Price])
    retention: Retention = Retention()
    access: Access = Access()
    policy: WorkspacePolicy = WorkspacePolicy()


@part
class WorkspaceManifest:
    """One workspace."""

    metadata: WorkspaceMetadata
    spec: WorkspaceSpec

    def members(self, reference: str) -> frozenset[str]:
        """The people that `@person` or `@group` stands for, by name; nobody where it is unknown."""
        names = _reachable(self.spec, reference.removeprefix("@"))
        return frozenset(names & self.spec.people.keys())

    def references_to(self, name: str) -> frozenset[str]:
        """Every `@person` and `@group` that stands for this person, among others."""
        groups = (f"@{group}" for group in self.spec.groups)
        return frozenset(each for each in (f"@{name}", *groups) if name in self.members(each))

    @property
    def approvers(self) -> frozenset[str]:
        """Everybody whom the list of the role `approver` means, by name."""
        references = self.spec.roles.get("approver", ())
        return frozenset(name for each in references for name in self.members(each))

    def voters(self, reference: str) -> frozenset[str]:
        """Those of its members who may vote: they have the role `approver`, or may by a login."""
        members = self.members(reference)
        return members if self.spec.access.login.gives("approver") else members & self.approvers

    @property
    def has_owners(self) -> bool:
        """True where somebody is an owner, by the list or by the groups of their login."""
        listed = any(self.members(each) for each in self.spec.roles.get("owner", ()))
        return listed or self.spec.access.login.gives("owner")

    def links_of(self, name: str | None) -> dict[str, str]:
        """A person's ids at services, by the name of the service; # stands before a number.

        A login is none: it can pass to somebody else, and they would get this person's rights.
        """
        person = self.spec.people.get(name or "")
        if person is None or not isinstance(person.github, int):
            return {}
        return {"github": f"#{person.github}"}

    @property
    def named_by_login(self) -> tuple[str, ...]:
        """Everybody who has a login on GitHub here, and no number."""
        people = self.spec.people.items()
        return tuple(name for name, person in people if isinstance(person.github, str))


def _reachable(spec: WorkspaceSpec, name: str) -> set[str]:
    """The name itself and every name that its groups lead to."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _named(spec, name)
    return found


def _named(spec: WorkspaceSpec, group: str) -> list[str]:
    return [reference.removeprefix("@") for reference in spec.groups.get(group, ())]


# --- rules that look at more than one value ------------------------------------------------------


def findings(workspace: WorkspaceManifest) -> Iterator[Finding]:
    """What is wrong although every single value is well-formed."""
    spec = workspace.spec
    yield from _shared_identities(spec)
    yield from manifest_login.findings(spec)
    for name, references in spec.groups.items():
        path = ("spec", "groups", name)
        yield from _unknown(spec, path, references)
        if name in spec.people:
            message = f"{name!r} is a person too: a name means one of them"
            yield "manifest_duplicate", path, message
        elif name in get_args(RoleName):
            # Else a lost line `roles:` would silently turn roles into groups.
            yield "manifest_invalid_value", path, f"{name!r} is a role: call the group otherwise"
        elif any(name in _reachable(spec, member) for member in _named(spec, name)):
            yield "group_cycle", path, f"The group {name!r} contains itself"
    for role, references in spec.roles.items():
        yield from _unknown(spec, ("spec", "roles", role), references)


def _shared_identities(spec: WorkspaceSpec) -> Iterator[Finding]:
    for key in ("slack", "github", "email", "login"):
        owners: dict[str, str] = {}
        for name, person in spec.people.items():
            identity: str | int | None = getattr(person, key)
            if identity is None:
                continue
            first = owners.setdefault(str(identity).lower(), name)
            if first != name:
                message = f"{identity!r} is {first!r} already: an id belongs to one person"
                yield "identity_shared", ("spec", "people", name, key), message


def _unknown(
    spec: WorkspaceSpec, path: tuple[str, ...], references: tuple[str, ...]
) -> Iterator[Finding]:
    for index, reference in enumerate(references):
        name = reference.removeprefix("@")
        if name not in spec.people and name not in spec.groups:
            message = f"{reference!r} is neither a person nor a group of this workspace"
            yield "name_unresolved", (*path, index), message
