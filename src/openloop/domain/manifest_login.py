"""The part of a Workspace manifest about access: what groups of other systems mean here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Literal, Protocol, TypeAlias

from annotated_types import Len

from openloop.domain.manifest_agent import Finding
from openloop.domain.manifest_parts import Distinct, Few, Grammar, Label, Slug, part

GrantedRole: TypeAlias = Literal["owner", "admin", "approver", "operator", "viewer"]
SlackGroupId: TypeAlias = Annotated[
    str, Grammar(r"S[A-Z0-9]{1,30}", "a Slack user group's id (S0614TZR7), not its name")
]
ClaimName: TypeAlias = Annotated[
    str, Grammar(r"[A-Za-z0-9_:./-]{1,120}", "the name of a claim: letters, digits and _:./-")
]
LoginSubject: TypeAlias = Annotated[
    str,
    Grammar(r"[!-~]{1,255}", "the `sub` of the identity provider: visible ASCII, no spaces"),
]


@part
class Login:
    """What the identity provider's groups grant. A person in none of them is granted nothing."""

    groups_claim: ClaimName = "groups"
    roles: Annotated[
        Mapping[Label, Annotated[tuple[GrantedRole, ...], Len(1, 5), Distinct]], Few
    ] = field(default_factory=dict[str, tuple[GrantedRole, ...]])

    def gives(self, role: GrantedRole) -> bool:
        """True where membership in some group gives this role."""
        return any(role in roles for roles in self.roles.values())

    def granted(self, groups: frozenset[str]) -> frozenset[str]:
        """The roles that membership in these groups gives."""
        return frozenset(
            role for group, roles in self.roles.items() if group in groups for role in roles
        )


@part
class Access:
    """Who gets in from elsewhere: logins, and Slack user groups whose members join a group here."""

    login: Login = Login()
    slack_groups: Annotated[Mapping[Slug, SlackGroupId], Few] = field(
        default_factory=dict[str, str]
    )


class Spec(Protocol):
    """What the findings look at."""

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def access(self) -> Access: ...


def findings(spec: Spec) -> Iterator[Finding]:
    """What is wrong although every single value is well-formed."""
    mirrored: dict[str, str] = {}
    for name, group in spec.access.slack_groups.items():
        path = ("spec", "access", "slack_groups", name)
        if name not in spec.groups:
            message = f"{name!r} is no group of this workspace: name it in `groups` first"
            yield "name_unresolved", path, message
        first = mirrored.setdefault(group, name)
        if first != name:
            message = f"{group!r} is mirrored as {first!r} already"
            yield "manifest_duplicate", path, message
