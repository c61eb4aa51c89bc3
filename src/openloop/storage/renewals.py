"""What logins are vouched for again with: sealed beside each login, taken when it is due, used once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId
from openloop.domain.sealed_secret import SealedSecret
from openloop.storage.logins import ABSOLUTE_HOURS, IDLE_HOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.storage.database import Transaction

EVERY_MINUTES = 10
AGAIN_SECONDS = 60
"""Nobody else asks with it meanwhile; an attempt that broke off is made again after this."""
AT_ONCE = 100
_SEALED: LiteralString = """
    'login.' || l.id AS name, l.renewal_version AS version, l.renewal_key_id AS key_id,
    l.renewal_wrapped_key AS wrapped_key, l.renewal_sealed AS sealed_value
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A login that has to be vouched for now.

    `was_tried`: an attempt broke off since it was last vouched for, and may have used the secret up.
    """

    id: LoginId
    workspace_id: WorkspaceId
    principal_id: PrincipalId
    groups: tuple[str, ...]
    outlives: bool
    was_tried: bool
    version: int
    key_id: str
    wrapped_key: bytes
    sealed_value: bytes

    @property
    def sealed(self) -> SealedSecret:
        """What the provider gave along."""
        return SealedSecret(
            name=name_of(self.id),
            version=self.version,
            key_id=self.key_id,
            wrapped_key=self.wrapped_key,
            sealed_value=self.sealed_value,
        )


def name_of(id: LoginId) -> str:
    """Which secret it is, as it is sealed: that of another login does not open in its place."""
    return f"login.{id}"


async def put(tx: Transaction, id: LoginId, sealed: SealedSecret, *, outlives: bool) -> None:
    """Keep what a provider gave along with a login."""
    await tx.run(
        """
        UPDATE logins SET renewal_version = %(version)s, renewal_key_id = %(key_id)s,
            renewal_wrapped_key = %(wrapped_key)s, renewal_sealed = %(sealed_value)s,
            renewal_outlives = %(outlives)s
        WHERE id = %(id)s AND ended_at IS NULL
        """,
        {
            "id": id,
            "version": sealed.version,
            "key_id": sealed.key_id,
            "wrapped_key": sealed.wrapped_key,
            "sealed_value": sealed.sealed_value,
            "outlives": outlives,
        },
    )


async def take_due(tx: Transaction) -> list[Due]:
    """Logins to ask about now; two that look at once do not get the same."""
    return await tx.all(
        Due,
        """
        UPDATE logins l SET vouch_asked_at = openloop.now()
        FROM (
            SELECT d.workspace_id, d.id,
                   coalesce(d.vouch_asked_at > d.vouched_at, false) AS was_tried
            FROM logins d
            WHERE d.renewal_sealed IS NOT NULL AND d.ended_at IS NULL
              AND d.vouched_at < openloop.now() - make_interval(mins => %(every)s)
              AND (d.vouch_asked_at IS NULL
                   OR d.vouch_asked_at < openloop.now() - make_interval(secs => %(again)s))
              AND d.seen_at > openloop.now() - make_interval(hours => %(idle)s)
              AND d.begun_at > openloop.now() - make_interval(hours => %(absolute)s)
            ORDER BY d.vouched_at LIMIT %(at_once)s FOR UPDATE SKIP LOCKED) due
        WHERE (l.workspace_id, l.id) = (due.workspace_id, due.id)
        RETURNING due.was_tried, l.id, l.workspace_id, l.principal_id, l.groups, l.renewal_outlives AS outlives,
                  l.renewal_version AS version, l.renewal_key_id AS key_id,
                  l.renewal_wrapped_key AS wrapped_key, l.renewal_sealed AS sealed_value
        """,
        {
            "every": EVERY_MINUTES,
            "again": AGAIN_SECONDS,
            "idle": IDLE_HOURS,
            "absolute": ABSOLUTE_HOURS,
            "at_once": AT_ONCE,
        },
    )


async def vouched(tx: Transaction, id: LoginId, *, groups: Sequence[str]) -> bool:
    """The provider vouches for a login as of now; False where it is over."""
    return bool(
        await tx.run(
            """
            UPDATE logins SET vouched_at = openloop.now(), groups = %(groups)s
            WHERE id = %(id)s AND ended_at IS NULL
            """,
            {"id": id, "groups": list(groups)},
        )
    )


async def forget_over(tx: Transaction) -> int:
    """Forget what came along with logins that are over; how many there were."""
    return await tx.run(
        """
        UPDATE logins SET renewal_key_id = NULL, renewal_wrapped_key = NULL, renewal_sealed = NULL
        WHERE renewal_sealed IS NOT NULL
          AND (ended_at IS NOT NULL
               OR begun_at < openloop.now() - make_interval(hours => %(absolute)s))
        """,
        {"absolute": ABSOLUTE_HOURS},
    )


async def forget(tx: Transaction, sealed: SealedSecret) -> None:
    """Forget what nobody can open any more: its login is not vouched for again, and ends by that."""
    await tx.run(
        """
        UPDATE logins SET renewal_key_id = NULL, renewal_wrapped_key = NULL, renewal_sealed = NULL
        WHERE id = %(id)s::uuid
        """,
        {"id": sealed.name.removeprefix("login.")},
    )


async def list_wrapped_otherwise(tx: Transaction, key_id: str, *, limit: int) -> list[SealedSecret]:
    """What another master key wraps."""
    return await tx.all(
        SealedSecret,
        f"""
        SELECT {_SEALED} FROM logins l
        WHERE l.renewal_sealed IS NOT NULL AND l.renewal_key_id <> %(key_id)s
        ORDER BY l.id LIMIT %(limit)s FOR UPDATE
        """,  # noqa: S608  # a constant list
        {"key_id": key_id, "limit": limit},
    )


async def rewrap(tx: Transaction, sealed: SealedSecret) -> None:
    """Note that another master key wraps it."""
    await tx.run(
        """
        UPDATE logins SET renewal_key_id = %(key_id)s, renewal_wrapped_key = %(wrapped_key)s
        WHERE id = %(id)s::uuid AND renewal_version = %(version)s
        """,
        {
            "id": sealed.name.removeprefix("login."),
            "version": sealed.version,
            "key_id": sealed.key_id,
            "wrapped_key": sealed.wrapped_key,
        },
    )
