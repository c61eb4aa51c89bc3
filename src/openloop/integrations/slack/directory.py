"""Who and where: people and channels looked up by id, remembered for a minute."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.errors import TryLater, Unavailable
from openloop.domain.surface import Person, Place
from openloop.integrations.slack.client import SlackRefused
from openloop.integrations.slack.methods import (
    AUTH_TEST,
    LIST_CHANNELS,
    READ_CHANNEL,
    READ_USER,
)
from openloop.integrations.slack.reading import flag_at, items_at, mapping_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openloop.domain.surface import PersonKind
    from openloop.integrations.slack.client import SlackClient
    from openloop.integrations.slack.reading import Json

REMEMBERED_SECONDS = 60.0
PAGE = 999
MOST_PAGES = 10
_MOST_PEOPLE = 5000
_CONCURRENT = 4

_NO_SUCH_PERSON = frozenset({"user_not_found", "user_not_visible", "users_not_found"})
_CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are in the workspace the bot token belongs to."""

    team_id: str
    user_id: str
    bot_id: str
    name: str

    def wrote(self, message: Json) -> bool:
        """Whether a message is ours."""
        bot_id = text_at(message, "bot_id")
        return text_at(message, "user") == self.user_id or (bot_id != "" and bot_id == self.bot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    person: Person
    until: float


class Directory:
    """Answers of `auth.test`, `users.info` and `conversations.*`, with bounded memory."""

    def __init__(self, client: SlackClient) -> None:
        self._client = client
        self._identity: Identity | None = None
        self._people: dict[str, _Remembered] = {}
        self._channels: dict[str, str] = {}
        self._channels_until = 0.0
        self._slots = asyncio.Semaphore(_CONCURRENT)

    @property
    def own_id(self) -> str:
        """Our bot user, or nothing as long as nobody asked Slack."""
        return "" if self._identity is None else self._identity.user_id

    async def identity(self) -> Identity:
        """Who we are; asked once."""
        if self._identity is None:
            answer = await self._client.call(AUTH_TEST, {})
            self._identity = Identity(
                team_id=text_at(answer.payload, "team_id"),
                user_id=text_at(answer.payload, "user_id"),
                bot_id=text_at(answer.payload, "bot_id"),
                name=text_at(answer.payload, "user"),
            )
        return self._identity

    async def person(self, user_id: str, *, tenant: str) -> Person:
        """What Slack says of a user; whoever is of another workspace is external.

        Kind `unknown` where Slack does not know: nobody gets a right by that.

        Raises:
            Unavailable: Slack cannot be asked at the moment, so that a mention waits and is not lost
        """
        try:
            identity = await self.identity()
            found = await self._find(user_id, identity)
        except SlackRefused as refused:
            if refused.error not in _NO_SUCH_PERSON:
                message = f"Slack does not say who {user_id} is: {refused.error}"
                raise TryLater(message) from None
            return Person(id=user_id, name=user_id, kind="unknown")
        if tenant != identity.team_id and found.kind in {"member", "guest"}:
            return Person(id=found.id, name=found.name, kind="external")
        return found

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """Display names by id; an id nobody can resolve stands for itself."""
        wanted = sorted(set(user_ids))
        tenant = (await self.identity()).team_id
        people = await asyncio.gather(*(self._named_person(each, tenant) for each in wanted))
        return {person.id: person.name for person in people}

    async def _named_person(self, user_id: str, tenant: str) -> Person:
        try:
            return await self.person(user_id, tenant=tenant)
        except Unavailable:
            return Person(id=user_id, name=user_id, kind="unknown")

    async def find_place(self, name: str) -> Place | None:
        """A channel by id or name; archived ones are not found by name.

        Raises:
            Unavailable: it is not among the first 10,000 channels: give its id.
        """
        wanted = name.strip().removeprefix("#")
        identity = await self.identity()
        if _CHANNEL_ID.fullmatch(wanted):
            container = await self._existing(wanted)
        else:
            container = await self._named(wanted.lower())
        if container is None:
            return None
        return Place(surface="slack", tenant=identity.team_id, container=container)

    async def _find(self, user_id: str, identity: Identity) -> Person:
        remembered = self._people.get(user_id)
        if remembered is not None and time.monotonic() < remembered.until:
            return remembered.person
        async with self._slots:
            answer = await self._client.call(READ_USER, {"user": user_id})
        person = _person(user_id, mapping_at(answer.payload, "user"), identity)
        self._people.pop(user_id, None)
        while len(self._people) >= _MOST_PEOPLE:
            self._people.pop(next(iter(self._people)))
        until = time.monotonic() + REMEMBERED_SECONDS
        self._people[user_id] = _Remembered(person=person, until=until)
        return person

    async def _existing(self, channel_id: str) -> str | None:
        try:
            answer = await self._client.call(READ_CHANNEL, {"channel": channel_id})
        except SlackRefused as refused:
            if refused.error == "channel_not_found":
                return None
            raise
        return text_at(answer.payload, "channel", "id") or None

    async def _named(self, name: str) -> str | None:
        if time.monotonic() < self._channels_until and name in self._channels:
            return self._channels[name]
        channels: dict[str, str] = {}
        cursor = ""
        for _ in range(MOST_PAGES):
            answer = await self._client.call(LIST_CHANNELS, _page(cursor))
            channels.update(_names(items_at(answer.payload, "channels")))
            cursor = text_at(answer.payload, "response_metadata", "next_cursor")
            if name in channels or not cursor:
                break
        self._channels = channels
        self._channels_until = time.monotonic() + REMEMBERED_SECONDS
        if name not in channels and cursor:
            seen = PAGE * MOST_PAGES
            message = f"#{name} is not among the first {seen} channels: give the channel's id"
            raise TryLater(message)
        return channels.get(name)


def _page(cursor: str) -> Json:
    arguments: dict[str, object] = {
        "types": "public_channel,private_channel",
        "exclude_archived": True,
        "limit": PAGE,
    }
    return {**arguments, "cursor": cursor} if cursor else arguments


def _names(channels: Iterable[Json]) -> Iterator[tuple[str, str]]:
    for channel in channels:
        for name in (text_at(channel, "name"), text_at(channel, "name_normalized")):
            if name:
                yield name.lower(), text_at(channel, "id")


def _person(user_id: str, user: Json, identity: Identity) -> Person:
    profile = mapping_at(user, "profile")
    name = (
        text_at(profile, "display_name")
        or text_at(user, "real_name")
        or text_at(profile, "real_name")
        or text_at(user, "name")
        or user_id
    )
    return Person(id=user_id, name=name, kind=_kind(user_id, user, identity))


def _kind(user_id: str, user: Json, identity: Identity) -> PersonKind:
    if text_at(user, "id") != user_id:
        return "unknown"
    if flag_at(user, "deleted"):
        return "deactivated"
    if flag_at(user, "is_bot") or user_id == "USLACKBOT":
        return "bot"
    if flag_at(user, "is_stranger") or not _is_of(identity.team_id, user):
        return "external"
    if flag_at(user, "is_restricted") or flag_at(user, "is_ultra_restricted"):
        return "guest"
    return "member"


def _is_of(team_id: str, user: Json) -> bool:
    """Whether a user belongs to a workspace, in an Enterprise organisation also by its list."""
    teams = mapping_at(user, "enterprise_user").get("teams")
    return text_at(user, "team_id") == team_id or (isinstance(teams, list) and team_id in teams)
