"""People and services, and what their roles let them do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId


class Role(StrEnum):
    """Roles of a workspace. An admin or owner does not vote unless also approver."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    OWNER = "owner"
    SYNC = "sync"


class Right(StrEnum):
    """What an API call needs."""

    SEE = "see"
    OVERSEE = "oversee"
    RUN = "run"
    VOTE = "vote"
    CONFIGURE = "configure"
    AUDIT = "audit"
    TOKENS = "tokens"
    ERASE = "erase"
    SYNC = "sync"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.OPERATOR: frozenset({Right.SEE, Right.RUN}),
    Role.APPROVER: frozenset({Right.SEE, Right.VOTE, Right.AUDIT}),
    Role.ADMIN: frozenset(
        {Right.SEE, Right.OVERSEE, Right.RUN, Right.CONFIGURE, Right.AUDIT, Right.SYNC}
    ),
    Role.OWNER: frozenset(
        {Right.SEE, Right.OVERSEE, Right.RUN, Right.CONFIGURE, Right.AUDIT, Right.TOKENS}
        | {Right.SYNC, Right.ERASE}
    ),
    # Of a service that applies a repository: what would widen rights it can only propose.
    Role.SYNC: frozenset({Right.SEE, Right.SYNC}),
}


def rights_of(roles: tuple[Role, ...]) -> frozenset[Right]:
    """The union of what the roles grant."""
    return frozenset[Right]().union(*(RIGHTS[role] for role in roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person or a service of a workspace."""

    id: PrincipalId
    name: str
    kind: Literal["person", "service"]
    roles: tuple[Role, ...]
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes an API call, as the token or the login says and the live roles allow.

    Nobody votes `with_lent_token`, such as a dashboard's, whatever its person may do in other ways.
    A token that `is_narrowed` carries some rights of its role only, and so does all that it makes.
    """

    workspace: WorkspaceId
    principal: PrincipalId
    name: str
    rights: frozenset[Right]
    token_id: str = ""
    login_id: LoginId | None = None
    with_lent_token: bool = False
    is_narrowed: bool = False
