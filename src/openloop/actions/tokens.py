"""API tokens: made, shown once, revoked.

A token is `ol_<role>_<id>_<secret>_<crc>`; the secret is 256 random bits, so its SHA-256 is kept
and no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import TYPE_CHECKING, Literal

from openloop.actions.fresh import refuse_old_login
from openloop.domain.audit import Who
from openloop.domain.errors import NotFound
from openloop.domain.login import TokenOfAnother, check_token, held_by_token, is_lent
from openloop.domain.principal import Caller, Right, Role
from openloop.storage import audit, principals, tokens

if TYPE_CHECKING:
    from collections.abc import Collection

    from openloop.domain.ids import LoginId, WorkspaceId
    from openloop.storage.database import Database, Transaction

ALPHABET = string.ascii_letters + string.digits
SHAPE = re.compile(r"ol_([a-z]+)_([A-Za-z0-9]{12})_([A-Za-z0-9]{43})_([0-9a-f]{8})")
MAX_DAYS = 90


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


async def create(
    database: Database,
    workspace: WorkspaceId,
    *,
    principal: str,
    kind: Literal["person", "service"] = "service",
    role: Role,
    name: str,
    by: Who,
    days: int = MAX_DAYS,
    only: Collection[Right] | None = None,
    within: Collection[Right] | None = None,
    login: LoginId | None = None,
) -> str:
    """Make a token for a principal (made as a service where it is new); the text is shown once.

    It carries `only` these rights of its role, all where nothing is said, and never more than `within`.
    `login` is what whoever makes it came by, if it is one.

    Raises:
        KnownByLogin, RightNotOfRole, TokenTooWide, LoginTooOld, TokenOfAnother
    """
    async with database.transaction(workspace) as tx:
        await refuse_old_login(tx, login, of=by.principal_id)
        known = await principals.find_by_name(tx, principal)
    of = known.kind if known is not None else kind
    check_token(principal=principal, kind=of, role=role, only=only, within=within)
    is_own = known is not None and known.id == by.principal_id
    if of == "person" and by.principal_id is not None and not is_own:
        raise TokenOfAnother(
            f"{principal!r} is a person, and nobody acts as somebody else: they make their token under a "
            "login of their own, or whoever runs the server makes it there with `tokens create --local`"
        )
    listed = None if only is None else [right.value for right in Right if right in only]
    token_id, secret = _random(12), _random(43)
    body = f"ol_{role}_{token_id}_{secret}"
    async with database.directory() as tx:
        await tokens.index(tx, token_id, workspace)
    async with database.transaction(workspace) as tx:
        known = await principals.find_by_name(tx, principal)
        principal_id = (
            known.id
            if known is not None
            else await principals.put(tx, workspace, name=principal, kind=kind, roles=())
        )
        await tokens.add(
            tx,
            workspace,
            id=token_id,
            principal_id=principal_id,
            name=name,
            secret_sha256=_hash(secret),
            role=role,
            days=min(days, MAX_DAYS),
            only=listed,
        )
        await audit.append(
            tx,
            workspace,
            "token.created",
            actor=by,
            token=token_id,
            role=role,
            principal=principal,
            only=listed,
        )
    return f"{body}_{_checksum(body)}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


async def authenticate(database: Database, text: str) -> Caller | None:
    """Who this token is; None for anything that is not a live token of ours.

    A token gives its own role and no more, or `only` a part of that: an owner's viewer token only
    sees. It gives a person no more than their roles of now, and a deactivated one nothing whatever it says.
    """
    match = SHAPE.fullmatch(text)
    if match is None or _checksum(text.rpartition("_")[0]) != match[4]:
        return None
    async with database.directory() as tx:
        workspace = await tokens.find_workspace(tx, match[2])
    if workspace is None:
        return None
    async with database.transaction(workspace) as tx:
        token = await tokens.find_valid(tx, match[2])
        if token is None or not hmac.compare_digest(token.secret_sha256, _hash(match[3])):
            return None
        principal = await principals.find(tx, token.principal_id)
        if principal is None or not principal.active:
            return None
        await tokens.touch(tx, token.id)
    return Caller(
        workspace=workspace,
        principal=principal.id,
        name=principal.name,
        rights=held_by_token(principal, token.role, token.only_rights),
        token_id=token.id,
        with_lent_token=is_lent(principal, token.role, token.only_rights),
        is_narrowed=token.only_rights is not None,
    )


async def revoke(database: Database, workspace: WorkspaceId, token_id: str, *, by: Who) -> None:
    """End a token at once.

    Raises:
        NotFound
    """
    async with database.transaction(workspace) as tx:
        if not await tokens.revoke(tx, token_id):
            raise NotFound(f"No live token {token_id!r}")
        await audit.append(tx, workspace, "token.revoked", actor=by, token=token_id)


async def adopt(
    tx: Transaction, workspace: WorkspaceId, *, service: str, person: str, by: Who
) -> None:
    """The tokens of the installation's first start become the first owner's own.

    From then on whoever holds them asks and decides as one person, here and on every surface.
    """
    before = await principals.find_by_name(tx, service)
    after = await principals.find_by_name(tx, person)
    if before is None or after is None:
        return
    for token_id in await tokens.hand_over(tx, before=before.id, after=after.id):
        await audit.append(
            tx, workspace, "token.adopted", actor=by, token=token_id, principal=person
        )
