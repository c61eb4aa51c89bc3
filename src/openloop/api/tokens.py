"""API tokens: the owner makes and revokes them; the text of one is shown once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from annotated_types import Ge, Le, Len
from fastapi import APIRouter, Request
from pydantic import Strict

from openloop.actions import tokens
from openloop.api.authentication import Minting, who
from openloop.api.idempotency import SECRET_ANSWER
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Name, Page, position
from openloop.domain.ids import PrincipalId
from openloop.domain.principal import Right, Role
from openloop.storage import principals
from openloop.storage import tokens as token_rows

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """A token, but for its text, which nobody has. With `only` it carries no other right of its role."""

    id: str
    name: str
    principal_id: PrincipalId
    principal: str
    role: Role
    only: tuple[Right, ...] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What to make. `principal` is a person of the workspace, or a service, made where it is new.

    With `only` it carries these rights of its role, else all of them.
    """

    __pydantic_config__ = STRICT_BODY

    principal: Name
    role: Role
    name: Name
    days: Annotated[int, Strict(), Ge(1), Le(tokens.MAX_DAYS)] = tokens.MAX_DAYS
    only: Annotated[tuple[Right, ...], Len(1, len(Right))] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedToken:
    """A new token: `token` is never shown again."""

    id: str
    token: str


@router.get("", operation_id="list_tokens")
async def list_tokens(kit: Kit, caller: Minting) -> Page[TokenAnswer]:
    """Every token, newest first, also expired and revoked ones."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await token_rows.list_all(tx)
        names = {
            principal_id: (await principals.get(tx, principal_id)).name
            for principal_id in {token.principal_id for token in found}
        }
    items = [
        TokenAnswer(
            id=token.id,
            name=token.name,
            principal_id=token.principal_id,
            principal=names[token.principal_id],
            role=token.role,
            only=token.only_rights,
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            revoked_at=token.revoked_at,
        )
        for token in found
    ]
    return Page(items=tuple(items), next_cursor=None, as_of=as_of)


@router.post("", operation_id="create_token", status_code=201)
async def create_token(kit: Kit, caller: Minting, request: Request, body: NewToken) -> MintedToken:
    """Make a token. Its text is in this answer and nowhere else, so a repeat is not answered.

    A token that carries `only` some rights makes none that carries others.
    """
    request.scope[SECRET_ANSWER] = True
    text = await tokens.create(
        kit.database,
        caller.workspace,
        principal=body.principal,
        role=body.role,
        name=body.name,
        by=who(caller),
        days=body.days,
        only=body.only,
        within=caller.rights if caller.is_narrowed else None,
        login=caller.login_id,
    )
    return MintedToken(id=text.split("_")[2], token=text)


@router.delete("/{token_id}", operation_id="revoke_token", status_code=204)
async def revoke_token(kit: Kit, caller: Minting, token_id: str) -> None:
    """End a token at once."""
    await tokens.revoke(kit.database, caller.workspace, token_id, by=who(caller))
