"""Logins in browsers, ways to the identity provider and back, and one-time links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, LiteralString

from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId
from openloop.domain.principal import Right, Role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from openloop.storage.database import Transaction

IDLE_HOURS = 8
ABSOLUTE_HOURS = 24
GRACE_SECONDS = 10
"""A browser sends several requests at once: the secret before a rotation works as long as this."""
VOUCHED_MINUTES = 30
"""A login by the identity provider lasts as long as that vouches for it: after this it is not taken
until the provider has answered again."""
UNRENEWED_MINUTES = 60
"""The same where the provider gave nothing along to ask again with."""
FRESH_MINUTES = 10
"""As long ago as this a person proved who they are, for what needs a fresh login."""
MOST_GROUPS = 5000
ATTEMPT_MINUTES = 10
MOST_ATTEMPTS = 5000
"""Of more the oldest are forgotten: strangers who begin logins keep nobody else from theirs."""
LINK_MINUTES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A login that is neither over nor too old, with its person as they are now."""

    id: LoginId
    principal_id: PrincipalId
    name: str
    kind: Literal["person", "service"]
    standing: tuple[Role, ...]
    groups: tuple[str, ...]
    roles: tuple[Role, ...]
    token_role: Role | None
    token_only: tuple[Right, ...] | None
    is_current: bool


_LIVE: LiteralString = """
    l.ended_at IS NULL
    AND l.seen_at > openloop.now() - make_interval(hours => %(idle)s)
    AND l.begun_at > openloop.now() - make_interval(hours => %(absolute)s)
    AND (l.method <> 'oidc' OR l.vouched_at > openloop.now() - make_interval(
            mins => CASE WHEN l.renewal_sealed IS NULL THEN %(unrenewed)s ELSE %(vouched)s END))
"""
_LASTS = {
    "idle": IDLE_HOURS,
    "absolute": ABSOLUTE_HOURS,
    "vouched": VOUCHED_MINUTES,
    "unrenewed": UNRENEWED_MINUTES,
}


async def add(
    tx: Transaction,
    workspace: WorkspaceId,
    *,
    id: LoginId,
    secret_sha256: bytes,
    principal_id: PrincipalId,
    method: Literal["oidc", "link"],
    groups: Sequence[str],
    roles: Sequence[Role],
    token_id: str | None = None,
    authed_at: datetime | None = None,
) -> None:
    """Store a new login; `authed_at` is when the identity provider says that its person proved who they are."""
    await tx.run(
        """
        INSERT INTO logins (workspace_id, id, secret_sha256, principal_id, method, groups, roles,
                            token_id, authed_at)
        VALUES (%(workspace)s, %(id)s, %(secret)s, %(principal_id)s, %(method)s, %(groups)s, %(roles)s,
                %(token_id)s, CASE WHEN %(authed_at)s::timestamptz < openloop.now()
                    THEN %(authed_at)s ELSE CASE WHEN %(authed_at)s IS NOT NULL THEN openloop.now() END END)
        """,
        {
            "workspace": workspace,
            "id": id,
            "secret": secret_sha256,
            "principal_id": principal_id,
            "method": method,
            "groups": list(groups),
            "roles": [str(role) for role in roles],
            "token_id": token_id,
            "authed_at": authed_at,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How somebody got in, and whether they proved who they are a moment ago."""

    method: Literal["oidc", "link"]
    workspace: str
    is_fresh: bool


async def freshness(tx: Transaction, id: LoginId, *, of: UUID) -> Freshness | None:
    """That of a login of theirs which is not over: a link is proof itself, a provider has to say when."""
    return await tx.find(
        Freshness,
        """
        SELECT l.method, w.name AS workspace, coalesce(CASE l.method WHEN 'link' THEN l.begun_at ELSE l.authed_at END
                   > openloop.now() - make_interval(mins => %(minutes)s), false) AS is_fresh
        FROM logins l JOIN workspaces w ON w.id = l.workspace_id
        WHERE l.id = %(id)s AND l.principal_id = %(of)s AND l.ended_at IS NULL
        """,
        {"id": id, "of": of, "minutes": FRESH_MINUTES},
    )


async def find_live(tx: Transaction, secret_sha256: bytes) -> Login | None:
    """The login of a secret, while it lasts: the person is active, and so is the token behind it."""
    return await tx.find(
        Login,
        f"""
        SELECT l.id, l.principal_id, p.name, p.kind, p.roles AS standing, l.groups, l.roles,
               t.role AS token_role, t.only_rights AS token_only, l.secret_sha256 = %(secret)s AS is_current
        FROM logins l
        JOIN principals p ON p.id = l.principal_id AND p.active
        LEFT JOIN tokens t ON t.id = l.token_id
        WHERE (l.secret_sha256 = %(secret)s
               OR l.previous_sha256 = %(secret)s
                  AND l.rotated_at > openloop.now() - make_interval(secs => %(grace)s))
          AND {_LIVE}
          AND (l.token_id IS NULL OR t.revoked_at IS NULL AND t.expires_at > openloop.now())
        """,  # noqa: S608  # a constant condition
        {"secret": secret_sha256, "grace": GRACE_SECONDS, **_LASTS},
    )


async def list_vouched_groups(tx: Transaction, principal_id: PrincipalId) -> frozenset[str]:
    """The groups of every login of a person that lasts, as the provider named them last."""
    found = await tx.tuples(
        f"""
        SELECT DISTINCT unnest(l.groups) FROM logins l
        WHERE l.principal_id = %(person)s AND l.method = 'oidc' AND {_LIVE} LIMIT %(most)s
        """,  # noqa: S608  # a constant condition
        {"person": principal_id, "most": MOST_GROUPS, **_LASTS},
    )
    return frozenset(row[0] for row in found)


async def touch(tx: Transaction, id: LoginId) -> None:
    """Note that a login was used; at most one write a minute."""
    await tx.run(
        """
        UPDATE logins SET seen_at = openloop.now()
        WHERE id = %(id)s AND seen_at < openloop.now() - interval '1 minute'
        """,
        {"id": id},
    )


async def rotate(
    tx: Transaction,
    id: LoginId,
    *,
    before_sha256: bytes,
    after_sha256: bytes,
    roles: Sequence[Role],
) -> bool:
    """Give a login another secret and other roles; False where somebody has just done so."""
    return bool(
        await tx.run(
            """
            UPDATE logins SET secret_sha256 = %(after)s, previous_sha256 = %(before)s,
                roles = %(roles)s, rotated_at = openloop.now()
            WHERE id = %(id)s AND secret_sha256 = %(before)s AND ended_at IS NULL
            """,
            {
                "id": id,
                "before": before_sha256,
                "after": after_sha256,
                "roles": [str(role) for role in roles],
            },
        )
    )


async def end(tx: Transaction, id: LoginId) -> bool:
    """End a login at once; False where it was over."""
    return bool(
        await tx.run(
            "UPDATE logins SET ended_at = openloop.now() WHERE id = %(id)s AND ended_at IS NULL",
            {"id": id},
        )
    )


async def end_of(tx: Transaction, principal_id: PrincipalId) -> int:
    """End every login of a person; how many there were."""
    return await tx.run(
        """
        UPDATE logins SET ended_at = openloop.now()
        WHERE principal_id = %(principal_id)s AND ended_at IS NULL
        """,
        {"principal_id": principal_id},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedLogin:
    """A login as owners see it."""

    id: LoginId
    principal_id: PrincipalId
    principal: str
    method: str
    begun_at: datetime
    seen_at: datetime


async def list_live(tx: Transaction) -> list[ListedLogin]:
    """Every login that still lasts, newest first."""
    return await tx.all(
        ListedLogin,
        f"""
        SELECT l.id, l.principal_id, p.name AS principal, l.method, l.begun_at, l.seen_at
        FROM logins l JOIN principals p ON p.id = l.principal_id AND p.active
        WHERE {_LIVE} ORDER BY l.begun_at DESC LIMIT 500
        """,  # noqa: S608  # a constant condition
        _LASTS,
    )


# --- on the way ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a browser took along; with `again` its person has to prove anew who they are."""

    nonce: str
    verifier: str
    return_to: str
    again: bool = False


async def add_attempt(
    tx: Transaction,
    workspace: WorkspaceId,
    attempt: Attempt,
    *,
    state_sha256: bytes,
    browser_sha256: bytes,
) -> None:
    """Note that somebody is on the way."""
    await tx.run(
        """
        DELETE FROM login_attempts
        WHERE begun_at < openloop.now() - make_interval(mins => %(minutes)s)
           OR begun_at <= (SELECT begun_at FROM login_attempts
                           ORDER BY begun_at DESC OFFSET %(others)s LIMIT 1)
        """,
        {"minutes": ATTEMPT_MINUTES, "others": MOST_ATTEMPTS - 1},
    )
    await tx.run(
        """
        INSERT INTO login_attempts (workspace_id, state_sha256, browser_sha256, nonce, verifier,
                                    return_to, again)
        VALUES (%(workspace)s, %(state)s, %(browser)s, %(nonce)s, %(verifier)s, %(return_to)s,
                %(again)s)
        """,
        {
            "workspace": workspace,
            "state": state_sha256,
            "browser": browser_sha256,
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
            "return_to": attempt.return_to,
            "again": attempt.again,
        },
    )


async def take_attempt(
    tx: Transaction, *, state_sha256: bytes, browser_sha256: bytes
) -> Attempt | None:
    """Use an attempt up: once, by the browser that began it, and not too late."""
    return await tx.find(
        Attempt,
        """
        DELETE FROM login_attempts
        WHERE state_sha256 = %(state)s AND browser_sha256 = %(browser)s
          AND begun_at > openloop.now() - make_interval(mins => %(minutes)s)
        RETURNING nonce, verifier, return_to, again
        """,
        {"state": state_sha256, "browser": browser_sha256, "minutes": ATTEMPT_MINUTES},
    )


async def add_link(
    tx: Transaction, workspace: WorkspaceId, *, secret_sha256: bytes, token_id: str
) -> None:
    """Store a one-time link that makes a browser the holder of a token."""
    await tx.run("DELETE FROM login_links WHERE expires_at < openloop.now()")
    await tx.run(
        """
        INSERT INTO login_links (workspace_id, secret_sha256, token_id, expires_at)
        VALUES (%(workspace)s, %(secret)s, %(token_id)s,
                openloop.now() + make_interval(mins => %(minutes)s))
        """,
        {
            "workspace": workspace,
            "secret": secret_sha256,
            "token_id": token_id,
            "minutes": LINK_MINUTES,
        },
    )


async def take_link(tx: Transaction, *, secret_sha256: bytes) -> str | None:
    """Use a link up; the id of the token it stands for."""
    return await tx.value(
        """
        DELETE FROM login_links WHERE secret_sha256 = %(secret)s AND expires_at > openloop.now()
        RETURNING token_id
        """,
        {"secret": secret_sha256},
    )
