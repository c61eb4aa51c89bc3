"""Logins in browsers: begun through an identity provider or a one-time link, checked, and ended.

The cookie is `<workspace>.<secret>`; its secret is 256 random bits, so its SHA-256 is kept and no
slow hash is needed. What a login may do is decided at each request, from the roles of now.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.actions import offboarding, vouching
from openloop.domain.audit import SYSTEM, Who
from openloop.domain.errors import NotFound
from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId, new_id
from openloop.domain.login import (
    OIDC,
    LoginRefused,
    held_by_token,
    in_order,
    is_lent,
    name_of,
)
from openloop.domain.principal import Caller, Principal, Role, rights_of
from openloop.storage import audit, logins, principals, tokens
from openloop.storage import secrets as stored
from openloop.storage.logins import Attempt

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.actions.configuration import Configuration
    from openloop.actions.secrets import KeyRing
    from openloop.domain.login import Vouched
    from openloop.storage.database import Database, Transaction
    from openloop.storage.logins import Login

_SECRET_BYTES = 32
_SHAPE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")
VIA = "login"
NOT_AGAIN = "Your identity provider does not say that you have just proved again who you are"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A new login, or one that got a new secret: `cookie` is shown to its browser only."""

    cookie: str
    id: LoginId
    name: str
    return_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Who a cookie is; `cookie` where the browser has to take a new one."""

    caller: Caller
    csrf: str
    cookie: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTheWay:
    """What a browser takes along to the identity provider."""

    state: str
    browser: str
    nonce: str
    verifier: str
    again: bool = False


def workspace_of(text: str) -> WorkspaceId | None:
    """Which workspace a cookie, a state or a link says that it belongs to; it proves nothing."""
    found = _SHAPE.fullmatch(text)
    return WorkspaceId(UUID(found[1])) if found else None


def csrf_of(cookie: str) -> str:
    """What a page of ours has to send with a write: it follows from the cookie, and not back."""
    return hashlib.sha256(b"csrf\0" + cookie.encode()).hexdigest()


def _fresh(workspace: WorkspaceId) -> str:
    return f"{workspace.hex}.{secrets.token_urlsafe(_SECRET_BYTES)}"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


# --- through an identity provider ----------------------------------------------------------------


async def set_out(
    database: Database, workspace: WorkspaceId, *, return_to: str, again: bool = False
) -> OnTheWay:
    """Note that a browser is on its way to the identity provider, maybe `again` to prove who it is."""
    way = OnTheWay(
        state=_fresh(workspace),
        browser=_fresh(workspace),
        nonce=secrets.token_urlsafe(_SECRET_BYTES),
        verifier=secrets.token_urlsafe(48),
        again=again,
    )
    attempt = Attempt(nonce=way.nonce, verifier=way.verifier, return_to=return_to, again=again)
    async with database.transaction(workspace) as tx:
        await logins.add_attempt(
            tx,
            workspace,
            attempt,
            state_sha256=_hash(way.state),
            browser_sha256=_hash(way.browser),
        )
    return way


async def come_back(
    database: Database, workspace: WorkspaceId, *, state: str, browser: str
) -> Attempt | None:
    """What this browser set out with; None where it did not, or took too long, or came twice."""
    async with database.transaction(workspace) as tx:
        return await logins.take_attempt(
            tx, state_sha256=_hash(state), browser_sha256=_hash(browser)
        )


async def refuse(
    database: Database, workspace: WorkspaceId, *, why: str, subject: PrincipalId | None = None
) -> None:
    """Write down that somebody was not let in; whoever it is loses every login there is."""
    async with database.transaction(workspace) as tx:
        await _refuse(tx, workspace, why=why, subject=subject)


async def _refuse(
    tx: Transaction, workspace: WorkspaceId, *, why: str, subject: PrincipalId | None
) -> None:
    ended = await logins.end_of(tx, subject) if subject is not None else 0
    await audit.append(
        tx, workspace, "login.refused", actor=SYSTEM, subject=subject, reason=why, ended=ended
    )


async def log_in(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    vouched: Vouched,
    *,
    return_to: str,
    keys: KeyRing,
    again: bool = False,
) -> LoggedIn:
    """Begin a login for whoever the identity provider vouches for.

    An unknown subject becomes a person of its own, whose rights are those of its groups: nobody is
    recognised by a name or an e-mail address. Whom the provider had refused is back. Where they were
    to prove `again` who they are, the provider has to say that they did.

    Raises:
        LoginRefused: they have left, have no role here, their address is not verified, or they proved
            nothing anew; every login that they have ends but for the last of these
    """
    if again:
        await _check_again(database, workspace, vouched)
    async with database.transaction(workspace) as tx:
        await stored.hold_off_rotation(tx)
        person = await _person(tx, workspace, vouched)
        roles = await _roles(tx, configuration, person, vouched.groups)
        problem = _problem(roles, vouched)
        if problem is None and not person.active:
            problem = await _still_gone(tx, configuration, workspace, person)
        if problem is None:
            begun = await _begin(
                tx,
                workspace,
                person,
                method="oidc",
                groups=sorted(vouched.groups),
                roles=roles,
                return_to=return_to,
                authed_at=vouched.authed_at,
            )
            if vouched.renewal is not None:
                await vouching.keep(tx, workspace, begun.id, vouched.renewal, version=1, keys=keys)
            return begun
        await _refuse(tx, workspace, why=problem, subject=person.id)
    raise LoginRefused(problem)


async def _check_again(database: Database, workspace: WorkspaceId, vouched: Vouched) -> None:
    """Hold the answer to the `max_age` that was asked for (OpenID Connect Core 3.1.2.1, 3.1.3.7)."""
    async with database.transaction(workspace) as tx:
        oldest = await tx.now() - timedelta(minutes=logins.FRESH_MINUTES)
        if vouched.authed_at is not None and vouched.authed_at > oldest:
            return
        await _refuse(tx, workspace, why=NOT_AGAIN, subject=None)
    raise LoginRefused(NOT_AGAIN)


async def _still_gone(
    tx: Transaction, configuration: Configuration, workspace: WorkspaceId, person: Principal
) -> str | None:
    """Bring back whom nobody but the provider sent away; why not, where that is not all."""
    who = Who(kind="principal", name=person.name, principal_id=person.id, via=VIA)
    await offboarding.come_back(tx, configuration, workspace, person, by=who, by_login=True)
    if (await principals.get(tx, person.id)).active:
        return None
    return "You are not a member of this workspace any more"


def _problem(roles: tuple[Role, ...], vouched: Vouched) -> str | None:
    if not vouched.email_verified:
        return "Your identity provider does not say that your e-mail address is verified"
    if not roles:
        return "You have no role in this workspace; an owner can give you one"
    return None


async def _person(tx: Transaction, workspace: WorkspaceId, vouched: Vouched) -> Principal:
    known = await principals.find_any_by_identity(
        tx, surface=OIDC, tenant=vouched.issuer, external_id=vouched.subject
    )
    if known is not None:
        return known
    id = await principals.put(
        tx, workspace, name=name_of(vouched.issuer, vouched.subject), kind="person", roles=()
    )
    await principals.set_identity(
        tx,
        workspace,
        id,
        surface=OIDC,
        tenant=vouched.issuer,
        external_id=vouched.subject,
        origin="login",
    )
    return await principals.get(tx, id)


async def _roles(
    tx: Transaction, configuration: Configuration, person: Principal, groups: frozenset[str]
) -> tuple[Role, ...]:
    """The roles of now: those of the manifest's list, and those that the groups are granted."""
    manifest = await configuration.workspace(tx)
    if manifest is None:
        return person.roles
    return in_order([*person.roles, *manifest.spec.access.login.granted(groups)])


async def _begin(
    tx: Transaction,
    workspace: WorkspaceId,
    person: Principal,
    *,
    method: str,
    groups: list[str],
    roles: tuple[Role, ...],
    token_id: str | None = None,
    return_to: str = "",
    authed_at: datetime | None = None,
) -> LoggedIn:
    cookie, id = _fresh(workspace), LoginId(new_id())
    await logins.add(
        tx,
        workspace,
        id=id,
        secret_sha256=_hash(cookie),
        principal_id=person.id,
        method="oidc" if method == "oidc" else "link",
        groups=groups,
        roles=roles,
        token_id=token_id,
        authed_at=authed_at,
    )
    who = Who(kind="principal", name=person.name, principal_id=person.id, via=VIA)
    await audit.append(
        tx,
        workspace,
        "login.begun",
        actor=who,
        subject=id,
        method=method,
        roles=[str(role) for role in roles],
    )
    return LoggedIn(cookie=cookie, id=id, name=person.name, return_to=return_to)


# --- by a one-time link --------------------------------------------------------------------------


async def make_link(database: Database, workspace: WorkspaceId, token_id: str, *, by: Who) -> str:
    """A secret that makes the browser which opens it first the holder of this token."""
    secret = _fresh(workspace)
    async with database.transaction(workspace) as tx:
        if await tokens.find_valid(tx, token_id) is None:
            raise NotFound(f"No live token {token_id!r}")
        await logins.add_link(tx, workspace, secret_sha256=_hash(secret), token_id=token_id)
        await audit.append(tx, workspace, "login.link_made", actor=by, token=token_id)
    return secret


async def log_in_by_link(database: Database, secret: str) -> LoggedIn:
    """Begin a login that may do what its token may, as long as that lives.

    Raises:
        LoginRefused: the link was used, is too old, or never was one
    """
    workspace = workspace_of(secret)
    if workspace is None:
        raise LoginRefused("This link is not valid")
    async with database.transaction(workspace) as tx:
        token_id = await logins.take_link(tx, secret_sha256=_hash(secret))
        token = await tokens.find_valid(tx, token_id) if token_id is not None else None
        person = await principals.find(tx, token.principal_id) if token is not None else None
        if token is not None and person is not None and person.active:
            return await _begin(
                tx,
                workspace,
                person,
                method="link",
                groups=[],
                roles=person.roles if person.kind == "person" else (token.role,),
                token_id=token.id,
            )
    raise LoginRefused("This link was used already, or is too old: ask for another one")


# --- at each request -----------------------------------------------------------------------------


async def recognise(
    database: Database, configuration: Configuration, cookie: str, *, is_request: bool = True
) -> Recognised | None:
    """Who a cookie is now; None where it is no live login of ours.

    Where the roles have changed the login gets a new secret, so that none outlives a change of
    rights. Of several requests at once one gets it; the others are served all the same. With
    `is_request` false a stream looks again: the browser cannot be told, and nobody has come by.
    """
    workspace = workspace_of(cookie)
    if workspace is None:
        return None
    async with database.transaction(workspace) as tx:
        login = await logins.find_live(tx, _hash(cookie))
        if login is None:
            return None
        person = Principal(
            id=login.principal_id, name=login.name, kind=login.kind, roles=login.standing
        )
        roles = await _roles_now(tx, configuration, person, login)
        fresh = None
        if is_request and login.is_current and set(roles) != set(login.roles):
            fresh = _fresh(workspace)
            if not await logins.rotate(
                tx, login.id, before_sha256=_hash(cookie), after_sha256=_hash(fresh), roles=roles
            ):
                fresh = None
        if is_request:
            await logins.touch(tx, login.id)
    by_link = login.token_role
    caller = Caller(
        workspace=workspace,
        principal=person.id,
        name=person.name,
        rights=(
            rights_of(roles)
            if by_link is None
            else held_by_token(person, by_link, login.token_only)
        ),
        login_id=login.id,
        with_lent_token=by_link is not None and is_lent(person, by_link, login.token_only),
        is_narrowed=login.token_only is not None,
    )
    return Recognised(caller=caller, csrf=csrf_of(cookie), cookie=fresh)


async def _roles_now(
    tx: Transaction, configuration: Configuration, person: Principal, login: Login
) -> tuple[Role, ...]:
    if login.token_role is not None:
        return person.roles if person.kind == "person" else (login.token_role,)
    return await _roles(tx, configuration, person, frozenset(login.groups))


# --- the end -------------------------------------------------------------------------------------


async def end(database: Database, workspace: WorkspaceId, id: LoginId, *, by: Who) -> None:
    """End a login at once.

    Raises:
        NotFound
    """
    async with database.transaction(workspace) as tx:
        if not await logins.end(tx, id):
            raise NotFound(f"No login {id}")
        await audit.append(tx, workspace, "login.ended", actor=by, subject=id)
