"""Where browsers come in: through the identity provider, or by a one-time link on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from openloop.actions import login
from openloop.api.bodies import header
from openloop.api.cookies import LOGIN, ON_THE_WAY, read_cookie, set_cookie
from openloop.api.guard import LOOPBACK, host_name
from openloop.api.kit import Kit
from openloop.api.pages import RETURN_TO, page
from openloop.api.paging import Name
from openloop.domain.errors import Invalid, NotFound
from openloop.domain.login import LoginRefused
from openloop.storage import agents

if TYPE_CHECKING:
    from openloop.actions.login import LoggedIn
    from openloop.api.kit import ApiKit
    from openloop.api.oidc import IdentityProvider
    from openloop.domain.ids import WorkspaceId

router = APIRouter(prefix="/login", tags=["login"])

NOT_LET_IN = "You are not logged in"
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip")


class NoIdentityProvider(NotFound):
    """No identity provider is configured."""

    code = "identity_provider_not_configured"


@router.get(
    "",
    operation_id="begin_login",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "To the identity provider"}},
)
async def begin_login(
    kit: Kit,
    *,
    workspace: Annotated[Name | None, Query(description="Needed where there are several.")] = None,
    return_to: Annotated[str, Query(max_length=500, description="A path to go on to.")] = "",
    again: Annotated[
        bool, Query(description="The person proves anew who they are: what destroys needs it.")
    ] = False,
) -> Response:
    """Send the browser to the identity provider."""
    provider = _provider(kit)
    if return_to and not RETURN_TO.fullmatch(return_to):
        raise Invalid("`return_to` is a path of this installation")
    way = await login.set_out(
        kit.database, await _workspace(kit, workspace), return_to=return_to, again=again
    )
    answer = RedirectResponse(await provider.address(way), status_code=303)
    answer.raw_headers.append(set_cookie(ON_THE_WAY, way.browser))
    return answer


@router.get("/callback", operation_id="finish_login", response_class=HTMLResponse)
async def finish_login(
    kit: Kit,
    request: Request,
    *,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    iss: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Take the browser back, and log it in if the identity provider vouches for its person."""
    try:
        logged_in = await _finish(kit, request, state=state, code=code, error=error, iss=iss)
    except LoginRefused as refusal:
        answer: Response = page(NOT_LET_IN, str(refusal), status=403)
    else:
        answer = _let_in(logged_in)
    answer.raw_headers.append(set_cookie(ON_THE_WAY, ""))
    return answer


async def _finish(
    kit: ApiKit, request: Request, *, state: str, code: str, error: str, iss: str
) -> LoggedIn:
    provider = _provider(kit)
    browser = read_cookie(request.scope, ON_THE_WAY)
    workspace = login.workspace_of(state)
    attempt = None
    if browser is not None and workspace is not None:
        attempt = await login.come_back(kit.database, workspace, state=state, browser=browser)
    if attempt is None or workspace is None:
        raise LoginRefused("This login was not begun in this browser, or too long ago: begin again")
    if error or not code or iss not in ("", provider.settings.issuer):
        why = f"The identity provider refused: {error}" if error else "The answer is incomplete"
        await login.refuse(kit.database, workspace, why=why)
        raise LoginRefused(why)
    async with kit.database.transaction(workspace) as tx:
        manifest = await kit.configuration.workspace(tx)
    claim = manifest.spec.access.login.groups_claim if manifest is not None else ""
    try:
        vouched = await provider.vouch(
            code=code, verifier=attempt.verifier, nonce=attempt.nonce, groups_claim=claim
        )
    except LoginRefused as refusal:
        await login.refuse(kit.database, workspace, why=str(refusal))
        raise
    return await login.log_in(
        kit.database,
        kit.configuration,
        workspace,
        vouched,
        return_to=attempt.return_to,
        again=attempt.again,
        keys=kit.master_keys,
    )


@router.get("/link/{secret}", operation_id="use_login_link", response_class=HTMLResponse)
async def use_login_link(kit: Kit, request: Request, secret: str) -> Response:
    """Log a browser of this machine in by a one-time link."""
    try:
        _refuse_others(request)
        return _let_in(await login.log_in_by_link(kit.database, secret))
    except LoginRefused as refusal:
        return page(NOT_LET_IN, str(refusal), status=403)


def _refuse_others(request: Request) -> None:
    """A link is good on this machine, and not where a page of another site leads to it.

    Raises:
        LoginRefused
    """
    scope = request.scope
    is_here = (
        request.client is not None
        and request.client.host in LOOPBACK
        and host_name(header(scope, b"host") or b"") in LOOPBACK
        and not any(header(scope, name) for name in FORWARDED)
    )
    if not is_here:
        raise LoginRefused("A one-time link works in a browser on the machine itself only")
    if (header(scope, b"sec-fetch-site") or b"none") not in (b"none", b"same-origin"):
        raise LoginRefused("Paste the link into the address bar: another page led to it")


def _let_in(logged_in: LoggedIn) -> Response:
    answer = page("Logged in", f"You are {logged_in.name}.", go_to=logged_in.return_to)
    answer.raw_headers.append(set_cookie(LOGIN, logged_in.cookie))
    return answer


def _provider(kit: ApiKit) -> IdentityProvider:
    if kit.identity_provider is None:
        message = "No identity provider is configured here: docs/guides/login.md says how"
        raise NoIdentityProvider(message)
    return kit.identity_provider


async def _workspace(kit: ApiKit, name: str | None) -> WorkspaceId:
    async with kit.database.directory() as tx:
        known = await agents.list_workspaces(tx)
    found = [row.id for row in known if name in (None, row.name)]
    if len(found) != 1:
        raise Invalid("Say which workspace: /login?workspace=NAME")
    return found[0]
