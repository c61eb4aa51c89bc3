"""Signing in as a GitHub App: a JWT says which App, an installation's token what it may do there.

The App's key never leaves this process; what travels is a JWT of nine minutes, and tokens of an hour
for one installation each. A token is asked for no more than the code uses, whatever else the App was
given (`permissions.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from openloop.integrations.github.app_api import AppApi, Installation, time_of
from openloop.integrations.github.credentials import Credential
from openloop.integrations.github.errors import Forbidden, NotFound, Refused
from openloop.integrations.github.permissions import narrowed
from openloop.integrations.github.private_key import (
    LIFETIME_SECONDS,
    KeyRefused,
    read_key_file,
    sign,
)
from openloop.integrations.github.wire import Answered, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.integrations.github.limits import Limits
    from openloop.integrations.github.names import RepoName
    from openloop.integrations.github.settings import AppSettings, GitHubSettings

RENEWED_BEFORE = timedelta(minutes=5)
FOUND_FOR = timedelta(hours=1)
MOST_REMEMBERED = 5000
APP = "app"

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The clock of this machine, which may be wrong: see `AppIdentity.skew`."""
    return datetime.now(UTC)


class AppIdentity:
    """Who the App is towards GitHub: credentials that are good for the endpoints below `/app` only.

    A JWT is refused where this machine's clock is wrong, or where the key was replaced: then GitHub
    is asked what time it is, and the key's file is read anew, once.
    """

    login: str | None = None

    def __init__(
        self, settings: AppSettings, api_url: str, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.app_id = settings.id
        self._pem = settings.private_key
        self._file = settings.private_key_file
        self._wire = Wire(api_url)
        self._now = now
        self._signed: tuple[datetime, Credential] | None = None
        self._was_refused = False
        self.skew = timedelta(0)
        """How far GitHub's clock is ahead of ours, as far as it mattered."""

    async def credential(self, repo: RepoName | None = None) -> Credential:
        """A JWT that lives for some minutes yet."""
        del repo
        if self._was_refused:
            await self._put_right()
        now = self._now()
        if self._signed is None or not timedelta(0) <= self._signed[0] - now <= _SIGNED_FOR:
            # About a millisecond of RSA: not worth a thread, and done every few minutes.
            token = sign(self.app_id, self._pem, at=now + self.skew)
            self._signed = (now + _SIGNED_FOR, Credential(token=token, account=APP))
        return self._signed[1]

    def refused(self, credential: Credential) -> bool:
        """True: the next one is made by GitHub's clock, with the key as it is in its file then."""
        if self._signed is not None and self._signed[1].token == credential.token:
            self._signed = None
            self._was_refused = True
        return True  # or another request has put it right meanwhile

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def _put_right(self) -> None:
        self._was_refused = False
        if self._file is not None:
            try:
                self._pem = await asyncio.to_thread(read_key_file, self._file)
            except KeyRefused as refused:
                _log.warning("github.key_not_read", reason=str(refused))
        probe = sign(self.app_id, self._pem, at=self._now())
        answered = await self._wire.exchange("GET", "/app", token=probe)
        theirs = time_of(answered) if isinstance(answered, Answered) else None
        if theirs is None:
            return
        self.skew = theirs - self._now()
        if abs(self.skew) > _WORTH_TELLING:
            _log.warning("github.clock_differs", seconds=round(self.skew.total_seconds()))


_SIGNED_FOR = timedelta(seconds=LIFETIME_SECONDS - 240)
_WORTH_TELLING = timedelta(seconds=30)


@dataclass(slots=True)
class _Place:
    """One installation: its token while there is one, and whoever fetches the next."""

    token: Credential | None = None
    good_until: datetime | None = None
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class AppCredentials:
    """The tokens of an App's installations: one for each, found by repository, renewed early."""

    def __init__(
        self, settings: GitHubSettings, *, limits: Limits, now: Callable[[], datetime] = utc_now
    ) -> None:
        assert settings.app is not None  # noqa: S101  # said by whoever chose these credentials
        self._now = now
        self.identity = AppIdentity(settings.app, settings.api_url, now=now)
        self.api = AppApi(settings.api_url, self.identity, limits=limits)
        self._login: str | None = None
        self._found: dict[str, tuple[datetime, Installation]] = {}
        self._any: tuple[datetime, Installation] | None = None
        self._places: dict[int, _Place] = {}

    @property
    def login(self) -> str | None:
        """The account of the App, `slug[bot]`; known once a credential was given out."""
        return self._login

    async def credential(self, repo: RepoName | None) -> Credential:
        """The token of the installation that has this repository, or of any for no repository.

        Raises:
            NotFound: the App is not installed there
            Forbidden: it is suspended there
            GitHubError
        """
        return await self.token_of(await self._installation(repo))

    async def token_of(self, installation: Installation) -> Credential:
        """The token of an installation.

        Raises:
            GitHubError
        """
        if self._login is None:
            self._login = f"{installation.app_slug}[bot]"
        place = self._places.setdefault(installation.id, _Place())
        async with place.fetching:
            if place.token is None or self._is_old(place):
                try:
                    await self._fetch(place, installation)
                except (NotFound, Forbidden, Refused):
                    self._forget(installation.id)
                    raise
            assert place.token is not None  # noqa: S101  # just fetched
            return place.token

    def refused(self, credential: Credential) -> bool:
        """True: the token is forgotten, and so is which installation it was for."""
        for number, place in self._places.items():
            if place.token is not None and place.token.token == credential.token:
                place.token = None
                self._forget(number)
                return True
        return True  # another request has had it forgotten meanwhile

    async def aclose(self) -> None:
        """Close the connections."""
        await self.api.aclose()

    def _is_old(self, place: _Place) -> bool:
        return place.good_until is None or self._now() >= place.good_until

    async def _fetch(self, place: _Place, installation: Installation) -> None:
        """A token counts from now by our clock: how long it lives is told by GitHub's alone."""
        asked_at = self._now()
        granted = await self.api.token(
            installation.id, permissions=narrowed(installation.permissions)
        )
        place.token = Credential(token=granted.token, account=f"installation:{installation.id}")
        place.good_until = asked_at + granted.lifetime - RENEWED_BEFORE

    async def _installation(self, repo: RepoName | None) -> Installation:
        now = self._now()
        known = self._any if repo is None else self._found.get(str(repo).lower())
        if known is not None and now < known[0]:
            return known[1]
        if repo is None:
            found = await self.api.first_installation()
            self._any = (now + FOUND_FOR, found)
            return found
        found = await self.api.installation_of(repo)
        while len(self._found) >= MOST_REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[str(repo).lower()] = (now + FOUND_FOR, found)
        return found

    def _forget(self, installation: int) -> None:
        self._any = None
        self._found = {
            repo: known for repo, known in self._found.items() if known[1].id != installation
        }


class InstallationCredentials:
    """Those of one installation, for what belongs to it and to no repository."""

    def __init__(self, every: AppCredentials, installation: Installation) -> None:
        self._every, self._installation = every, installation
        self.login = f"{installation.app_slug}[bot]"

    async def credential(self, repo: RepoName | None) -> Credential:
        """Its token, whichever repository is asked for."""
        del repo
        return await self._every.token_of(self._installation)

    def refused(self, credential: Credential) -> bool:
        """It is forgotten for everybody."""
        return self._every.refused(credential)

    async def aclose(self) -> None:
        """Its connections are those of all."""
