"""Who I am, and the logins of a workspace: seen and ended by its owners."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from openloop.actions import login
from openloop.api.authentication import CSRF, KnownCaller, Minting, who
from openloop.api.cookies import LOGIN, set_cookie
from openloop.api.idempotency import SECRET_ANSWER
from openloop.api.kit import Kit
from openloop.api.paging import Page, position
from openloop.domain.errors import Invalid
from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId
from openloop.domain.principal import Right
from openloop.storage import logins
from openloop.storage.logins import LINK_MINUTES, ListedLogin

router = APIRouter(prefix="/api/v1", tags=["login"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who is asking. `csrf` is what a page repeats with each write; by a token there is none."""

    workspace_id: WorkspaceId
    principal_id: PrincipalId
    name: str
    rights: tuple[Right, ...]
    csrf: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLink:
    """A link that logs one browser on the server's machine in, once."""

    path: str
    minutes: int = LINK_MINUTES


class NotByLogin(Invalid):
    """This is for whoever holds a token, or is logged in, and the caller is the other one."""

    code = "not_by_this_credential"


@router.get("/me", operation_id="get_me")
async def get_me(caller: KnownCaller, request: Request) -> Me:
    """Who this token or login is, and what it may do."""
    return Me(
        workspace_id=caller.workspace,
        principal_id=caller.principal,
        name=caller.name,
        rights=tuple(right for right in Right if right in caller.rights),
        csrf=request.scope.get(CSRF),
    )


@router.post("/logout", operation_id="log_out", status_code=204)
async def log_out(kit: Kit, caller: KnownCaller, response: Response) -> None:
    """End this login."""
    if caller.login_id is None:
        raise NotByLogin("A token is no login: revoke it instead")
    await login.end(kit.database, caller.workspace, caller.login_id, by=who(caller))
    response.raw_headers.append(set_cookie(LOGIN, ""))


@router.get("/logins", operation_id="list_logins")
async def list_logins(kit: Kit, caller: Minting) -> Page[ListedLogin]:
    """Every login that still lasts, newest first."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await logins.list_live(tx)
    return Page(items=tuple(found), next_cursor=None, as_of=as_of)


@router.delete("/logins/{login_id}", operation_id="end_login", status_code=204)
async def end_login(kit: Kit, caller: Minting, login_id: LoginId) -> None:
    """End somebody's login at once."""
    await login.end(kit.database, caller.workspace, login_id, by=who(caller))


@router.post("/login-links", operation_id="create_login_link", status_code=201)
async def create_login_link(kit: Kit, caller: KnownCaller, request: Request) -> LoginLink:
    """Make a one-time link for a browser on the server's machine: it may do what this token may."""
    if not caller.token_id:
        raise NotByLogin("You are logged in already")
    request.scope[SECRET_ANSWER] = True
    secret = await login.make_link(kit.database, caller.workspace, caller.token_id, by=who(caller))
    return LoginLink(path=f"/login/link/{secret}")
