"""A GitHub App in the fake: its keys, where it is installed, and what was delivered to it."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from openloop.testing.rigs.github import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.testing.rigs.github.answers import Refusal
    from openloop.testing.rigs.github.directory import Directory
    from openloop.testing.rigs.github.rows import Level, User
    from openloop.testing.rigs.github.shapes import Json

LISTED_FOR = timedelta(days=3)
TOKEN_LIVES = timedelta(hours=1)
LONGEST_JWT = timedelta(minutes=10)
LEEWAY = timedelta(seconds=30)
"""How far GitHub's own clocks may be apart."""


@cache
def rig_key() -> str:
    """A private key for tests, made once in a process: its PEM text."""
    return RSAKey.generate_key(2048).as_pem(private=True).decode()


@cache
def other_key() -> str:
    """Another one, as after a rotation."""
    return RSAKey.generate_key(2048).as_pem(private=True).decode()


@cache
def _imported(pem: str) -> RSAKey:
    """A key from its text: reading one takes longer than using it."""
    return RSAKey.import_key(pem)


@dataclass(slots=True, kw_only=True)
class AppInstallation:
    """The App on one account; `repositories` None is all that the account has."""

    id: int
    account: User
    permissions: dict[str, str]
    events: list[str]
    created_at: datetime
    repositories: frozenset[str] | None = None
    suspended_at: datetime | None = None
    tokens: list[str] = field(default_factory=list[str])

    def reaches(self, full_name: str) -> bool:
        """Whether the repository is one of its account's, and selected."""
        name = full_name.lower()
        if name.split("/")[0] != self.account.login.lower():
            return False
        return self.repositories is None or name in self.repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDelivery:
    """One attempt to deliver an event to the App."""

    id: int
    guid: str
    event: str
    payload: Json
    delivered_at: datetime
    status_code: int
    redelivery: bool = False


class GitHubApp:
    """One App, its installations and its deliveries; all of it may be changed by a test."""

    def __init__(
        self,
        state: Directory,
        *,
        owner: str = "acme",
        slug: str = "openloop",
        permissions: Mapping[str, Level],
        events: Sequence[str],
    ) -> None:
        self._state = state
        self._delivery_ids = itertools.count(7_000_000_000_001)
        self.id = state.new_id()
        self.slug = slug
        self.owner = state.add_user(owner, kind="Organization")
        self.bot = state.add_user(f"{slug}[bot]", kind="Bot")
        self.permissions: dict[str, str] = dict(permissions)
        self.events = list(events)
        self.created_at = state.now()
        self.hook_url = "https://openloop.test/surfaces/github/events"
        self.hook_active = True
        self.public_keys = [rig_key()]
        self.installations: dict[int, AppInstallation] = {}
        self.deliveries: list[AppDelivery] = []

    def install(
        self,
        account: str,
        *,
        repositories: Sequence[str] | None = None,
        permissions: Mapping[str, str] | None = None,
    ) -> AppInstallation:
        """Install it on an account, with what the App asks for unless `permissions` says else."""
        made = AppInstallation(
            id=self._state.new_id(),
            account=self._state.add_user(account, kind="Organization"),
            permissions=dict(self.permissions if permissions is None else permissions),
            events=list(self.events),
            created_at=self._state.now(),
            repositories=None
            if repositories is None
            else frozenset(name.lower() for name in repositories),
        )
        self.installations[made.id] = made
        return made

    def uninstall(self, installation: AppInstallation) -> None:
        """Take it away; its tokens end at once."""
        del self.installations[installation.id]
        self.end_tokens(installation)

    def end_tokens(self, installation: AppInstallation) -> None:
        """Its tokens are good no longer, as after their hour."""
        for token in installation.tokens:
            self._state.tokens.pop(token, None)
        installation.tokens.clear()

    def installation_of(self, full_name: str) -> AppInstallation | None:
        """Which installation has a repository."""
        return next((one for one in self.installations.values() if one.reaches(full_name)), None)

    def grant(self, installation: AppInstallation, permissions: Mapping[str, str]) -> str:
        """A token of an installation; `permissions` is no more than what that one was given."""
        token = f"ghs_{self.id}_{uuid.uuid4().hex}"
        repositories = [
            repository
            for repository in self._state.repositories.values()
            if installation.reaches(repository.full_name)
        ]
        for repository in repositories:
            repository.roles[self.bot.id] = "write"
        self._state.add_token(
            token,
            login=self.bot.login,
            repositories=[repository.full_name for repository in repositories],
            permissions=permissions,  # pyright: ignore[reportArgumentType]  # of GitHub's own names
        )
        installation.tokens.append(token)
        return token

    def deliver(
        self, event: str, payload: Json, *, status_code: int = 502, guid: str | None = None
    ) -> AppDelivery | None:
        """Deliver an event, as far as this list shows it; None where the webhook is switched off."""
        if not self.hook_active:
            return None
        made = AppDelivery(
            id=next(self._delivery_ids),
            guid=guid or str(uuid.uuid4()),
            event=event,
            payload=payload,
            delivered_at=self._state.now(),
            status_code=status_code,
            redelivery=guid is not None,
        )
        self.deliveries.append(made)
        return made

    def listed(self) -> list[AppDelivery]:
        """What GitHub still lists, newest first."""
        since = self._state.now() - LISTED_FOR
        return [one for one in reversed(self.deliveries) if one.delivered_at >= since]

    def check(self, token: str) -> None:
        """Let a good JWT of this App in.

        Raises:
            Refusal
        """
        claims = self._claims(token)
        now = self._state.now().timestamp()
        begins, ends, leeway = claims.get("iat"), claims.get("exp"), LEEWAY.total_seconds()
        if str(claims.get("iss")) != str(self.id):
            raise _refused("Integration not found")
        if not isinstance(begins, int) or begins > now + leeway:
            raise _refused(
                "'Issued at' claim ('iat') must be an Integer representing the time that the "
                "assertion was issued"
            )
        if not isinstance(ends, int) or ends < now - leeway:
            raise _refused(
                "'Expiration time' claim ('exp') must be a numeric value representing the future "
                "time at which the assertion expires"
            )
        if ends > now + LONGEST_JWT.total_seconds() + leeway:
            raise _refused("'Expiration time' claim ('exp') is too far in the future")

    def _claims(self, token: str) -> dict[str, Any]:
        for pem in self.public_keys:
            try:
                return jwt.decode(token, _imported(pem), algorithms=["RS256"]).claims
            except (JoseError, ValueError):
                continue
        raise _refused("A JSON web token could not be decoded")


def _refused(message: str) -> Refusal:
    return answers.Refusal(answers.failure(401, message))
