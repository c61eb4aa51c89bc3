"""Logins: what an identity provider vouches for, and which roles a request has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from openloop.domain.errors import Forbidden, Invalid
from openloop.domain.principal import Right, Role, rights_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from openloop.domain.principal import Principal

OIDC = "oidc"
"""The surface of identities that an identity provider gives: its issuer and a subject."""
UNNAMED = "login:"
"""How the name begins of a person whom no manifest names: no name of a manifest has a colon."""


class LoginRefused(Forbidden):
    """Whoever came back from the identity provider, or with a link, is not let in."""

    code = "login_refused"


class LoginTooOld(Forbidden):
    """This needs somebody who has proved a moment ago who they are."""

    code = "login_too_old"


class KnownByLogin(Invalid):
    """Whoever a login alone tells of has no tokens: one would outlast what it is given for."""

    code = "principal_known_by_login"


class RightNotOfRole(Invalid):
    """A token cannot carry a right that its role does not have."""

    code = "right_not_of_role"


class TokenTooWide(Forbidden):
    """A token makes none that carries more than itself."""

    code = "token_too_wide"


class TokenOfAnother(Forbidden):
    """Nobody makes a token for another person: they would ask, or decide, as two people."""

    code = "token_of_another"


class NotVouchedFor(LoginRefused):
    """The identity provider does not vouch any more for somebody who is logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What an identity provider gives along for asking again (a refresh token), and takes once.

    `outlives` a person's stay at the provider: where it is refused, they are not let in any more.
    Another one ends with that stay, so that its refusal ends the login and says no more.
    """

    secret: str = field(repr=False)
    outlives: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What a verified ID token says of a person; `authed_at` is when they proved it to the provider."""

    issuer: str
    subject: str
    groups: frozenset[str]
    email_verified: bool
    authed_at: datetime | None = None
    renewal: Renewal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedAgain:
    """What a provider says of a person who is logged in; `said` is None where it said no more."""

    said: Vouched | None
    renewal: Renewal


def name_of(issuer: str, subject: str) -> str:
    """The name of a person whom nothing but a login tells us of."""
    return UNNAMED + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:16]


def in_order(roles: Iterable[str]) -> tuple[Role, ...]:
    """Roles in the order of the table, each once."""
    wanted = set(roles)
    return tuple(role for role in Role if role in wanted)


def carries_vote(role: Role) -> bool:
    """True for a token with which its person decides; others are lent to dashboards and checks."""
    return role not in (Role.VIEWER, Role.SYNC)


def is_lent(principal: Principal, role: Role, only: Collection[Right] | None) -> bool:
    """True for a token with which nobody decides, whatever its person may do in other ways."""
    lacks_vote = only is not None and Right.VOTE not in only
    return lacks_vote or not carries_vote(role) or is_unnamed(principal.name)


def is_unnamed(name: str) -> bool:
    """True for whoever is known by a login alone: what their groups grant ends with that."""
    return name.startswith(UNNAMED)


def held_by_token(
    principal: Principal, role: Role, only: Collection[Right] | None = None
) -> frozenset[Right]:
    """The rights a token carries: those of its role, and the vote where its person has that.

    A service has what its token says. A person never has more by a token than by the roles of now;
    one who is listed without a role is a member, who sees and runs. Of all that a token with `only`
    carries those; and who is known by a login alone has nothing by a token, which would outlast it.
    """
    if is_unnamed(principal.name):
        return frozenset()
    held = _held_by_role(principal, role)
    return held if only is None else held & frozenset(only)


def _held_by_role(principal: Principal, role: Role) -> frozenset[Right]:
    if principal.kind == "service":
        return rights_of((role,))
    standing = principal.roles or (Role.OPERATOR,)
    is_approver = Role.APPROVER in principal.roles and carries_vote(role)
    carried = (role, Role.APPROVER) if is_approver else (role,)
    return rights_of(carried) & rights_of(standing)


def most_of_token(kind: Literal["person", "service"], role: Role) -> frozenset[Right]:
    """What a token of a role can ever carry: a person's votes where that person is an approver."""
    carries = (role, Role.APPROVER) if kind == "person" and carries_vote(role) else (role,)
    return rights_of(carries)


def check_token(
    *,
    principal: str,
    kind: Literal["person", "service"],
    role: Role,
    only: Collection[Right] | None,
    within: Collection[Right] | None,
) -> None:
    """Refuse a token for somebody who can have none, with rights that its role does not have, or with
    more than `within` (what the token carries that makes it, where that is narrowed).

    Raises:
        KnownByLogin, RightNotOfRole, TokenTooWide
    """
    if is_unnamed(principal):
        message = (
            f"{principal!r} is known by a login alone, and has what its groups grant for as long as "
            "that lasts: name this person in the Workspace manifest to give them tokens"
        )
        raise KnownByLogin(message)
    most = most_of_token(kind, role)
    carried = most if only is None else frozenset(only)
    if not carried or not carried <= most:
        message = f"A token of the role {role.value!r} carries at most {named(most)}"
        message += f"; it cannot carry {named(carried - most)}" if carried else ", and one at least"
        raise RightNotOfRole(message)
    if within is not None and not carried <= frozenset(within):
        message = (
            f"This token carries {named(within)}, and what it makes carries no more; "
            f"{named(carried - frozenset(within))} would be"
        )
        raise TokenTooWide(message)


def named(rights: Collection[Right]) -> str:
    """Rights in the order of the table."""
    return ", ".join(right.value for right in Right if right in rights)
