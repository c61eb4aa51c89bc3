"""People: who they are on which surface, linking one's own id, mirrored groups, and leaving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import StringConstraints

from openloop.actions import linking, offboarding
from openloop.actions.apply import CONSOLE
from openloop.actions.linking import Linked
from openloop.actions.offboarding import Left
from openloop.api.authentication import Configuring, Minting, Seeing, WholeCaller, who
from openloop.api.idempotency import SECRET_ANSWER
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Name, Page, Text, position
from openloop.domain.errors import Forbidden, NotFound
from openloop.domain.principal import Principal
from openloop.storage import groups, principals
from openloop.storage.groups import MirroredGroup
from openloop.storage.links import LINK_MINUTES
from openloop.storage.principals import Identity

router = APIRouter(prefix="/api/v1", tags=["people"])


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPrincipal(Principal):
    """A person or a service with the ids that are theirs elsewhere; inactive once they have left."""

    identities: tuple[Identity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why; it is on record."""

    __pydantic_config__ = STRICT_BODY

    reason: Annotated[Text, StringConstraints(max_length=500)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """The surface on which the code will be typed."""

    __pydantic_config__ = STRICT_BODY

    surface: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBegun:
    """Say `say` to an agent on that surface; it answers with the code to confirm with."""

    code: str
    say: str
    minutes: int = LINK_MINUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The code that was shown on the surface."""

    __pydantic_config__ = STRICT_BODY

    code: Annotated[Text, StringConstraints(min_length=10, max_length=40)]


@router.get("/principals", operation_id="list_principals")
async def list_principals(kit: Kit, caller: Configuring) -> Page[KnownPrincipal]:
    """Every person and service, also those who have left."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await principals.list_all(tx)
        known = await principals.list_identities(tx)
    items = tuple(
        KnownPrincipal(
            id=each.id,
            name=each.name,
            kind=each.kind,
            roles=each.roles,
            active=each.active,
            identities=tuple(i for i in known if i.principal_id == each.id),
        )
        for each in found
    )
    return Page(items=items, next_cursor=None, as_of=as_of)


@router.post("/principals/{name}/offboard", operation_id="offboard_principal")
async def offboard_principal(kit: Kit, caller: Configuring, name: Name, body: Reason) -> Left:
    """A person has left: every way in is closed, and what they asked for is taken back."""
    return await offboarding.offboard(
        kit.database,
        caller.workspace,
        name,
        caller=caller,
        by=who(caller),
        reason=body.reason or "an admin said so",
    )


@router.post("/principals/{name}/restore", operation_id="restore_principal", status_code=204)
async def restore_principal(kit: Kit, caller: Minting, name: Name) -> None:
    """A person is back, with the roles of the manifest; their tokens and logins stay ended."""
    await offboarding.restore(
        kit.database, kit.configuration, caller.workspace, name, by=who(caller)
    )


@router.get("/groups", operation_id="list_groups")
async def list_groups(kit: Kit, caller: Seeing) -> Page[MirroredGroup]:
    """The groups that mirror one of a platform, and how fresh they are."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await groups.list_all(tx)
    return Page(items=tuple(found), next_cursor=None, as_of=as_of)


@router.post("/links", operation_id="begin_link", status_code=201)
async def begin_link(kit: Kit, caller: WholeCaller, request: Request, body: NewLink) -> LinkBegun:
    """Begin to link yourself to your id on a surface."""
    request.scope[SECRET_ANSWER] = True
    if caller.with_lent_token:  # on a surface its person may decide
        raise Forbidden("Nobody decides with this token, so it begins no link: use one of your own")
    if body.surface not in kit.surfaces or body.surface == CONSOLE:
        raise NotFound(f"No surface {body.surface!r} on which people have ids of their own")
    code = await linking.begin(
        kit.database,
        caller.workspace,
        caller.principal,
        surface=body.surface,
        by=who(caller),
        login=caller.login_id,
    )
    return LinkBegun(code=code, say=f"link {code}")


@router.post("/links/confirm", operation_id="confirm_link")
async def confirm_link(kit: Kit, caller: WholeCaller, body: Confirmation) -> Linked:
    """Finish with the code that was shown on the surface."""
    return await linking.confirm(
        kit.database, caller.workspace, caller.principal, body.code, by=who(caller)
    )


@router.delete("/links/{surface}", operation_id="unlink", status_code=204)
async def unlink(kit: Kit, caller: WholeCaller, surface: Name) -> None:
    """Forget the id on a surface that you linked."""
    await linking.unlink(
        kit.database, caller.workspace, caller.principal, surface=surface, by=who(caller)
    )
