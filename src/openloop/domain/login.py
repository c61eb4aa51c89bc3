"""Logins: what an identity provider vouches for, and which roles a request has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openloop.domain.errors import Forbidden
from openloop.domain.principal import Role, rights_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openloop.domain.principal import Principal, Right

OIDC = "oidc"
"""The surface of identities that an identity provider gives: its issuer and a subject."""
UNNAMED = "login:"
"""How the name begins of a person whom no manifest names: no name of a manifest has a colon."""


class LoginRefused(Forbidden):
    """Whoever came back from the identity provider, or with a link, is not let in."""

    code = "login_refused"


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
    """What a verified ID token says of a person."""

    issuer: str
    subject: str
    groups: frozenset[str]
    email_verified: bool
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


def held_by_token(principal: Principal, role: Role) -> frozenset[Right]:
    """The rights a token carries: those of its role, and the vote where its person has that.

    A service has what its token says. A person never has more by a token than by the roles of now;
    one who is listed without a role is a member, who sees and runs.
    """
    if principal.kind == "service":
        return rights_of((role,))
    standing = principal.roles or (Role.OPERATOR,)
    is_approver = Role.APPROVER in principal.roles and role is not Role.VIEWER
    carried = (role, Role.APPROVER) if is_approver else (role,)
    return rights_of(carried) & rights_of(standing)
