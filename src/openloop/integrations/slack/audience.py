"""Who can read in a channel, as Slack says now: remembered for a minute, and never assumed.

Slack has no flag for "there are guests here", so the people of a channel are compared with the
guests of the workspace. Where either list is too long to be read, the channel counts as one with
guests: the stricter of what it may be.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.integrations.slack.methods import LIST_MEMBERS, LIST_USERS, READ_CHANNEL
from openloop.integrations.slack.reading import flag_at, items_at, mapping_at, text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openloop.integrations.slack.client import SlackClient
    from openloop.integrations.slack.directory import Directory
    from openloop.integrations.slack.methods import Method
    from openloop.integrations.slack.reading import Json

REMEMBERED_SECONDS = 60.0
PAGE = 999
MOST_PAGES = 10
_MOST_CHANNELS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    """Who can read in a channel, and whether that is every full member among others."""

    readers: PlaceClass
    is_open: bool


_DIRECT = _Channel(readers=PlaceClass.PRIVATE, is_open=False)


class Audiences:
    """The class of each channel. Two questions about one channel at a time are one."""

    def __init__(
        self,
        client: SlackClient,
        directory: Directory,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._directory, self._clock = client, directory, clock
        self._known: dict[str, tuple[float, _Channel]] = {}
        self._outsiders: tuple[float, Mapping[str, PlaceClass] | None] = (0.0, None)
        self._asking = asyncio.Lock()

    async def of(self, channel_id: str) -> PlaceClass:
        """Who can read in a channel.

        Raises:
            TryLater, SlackRefused: Slack does not say
        """
        return (await self._look_up(channel_id)).readers

    async def is_open(self, channel_id: str) -> bool:
        """Whether every full member can read in a channel, whoever else does.

        Raises:
            TryLater, SlackRefused: Slack does not say
        """
        return (await self._look_up(channel_id)).is_open

    async def _look_up(self, channel_id: str) -> _Channel:
        if channel_id.startswith(("D", "U", "W")):  # by its id, or by that of the person
            return _DIRECT  # one person and we: whether they may ask is seen elsewhere
        async with self._asking:
            until, known = self._known.get(channel_id, (0.0, _DIRECT))
            if self._clock() < until:
                return known
            asked_at = self._clock()
            found = await self._ask(channel_id)
            self._known.pop(channel_id, None)
            while len(self._known) >= _MOST_CHANNELS:
                del self._known[next(iter(self._known))]
            self._known[channel_id] = (asked_at + REMEMBERED_SECONDS, found)
            return found

    async def _ask(self, channel_id: str) -> _Channel:
        answer = await self._client.call(READ_CHANNEL, {"channel": channel_id})
        channel = mapping_at(answer.payload, "channel")
        return _Channel(readers=await self._readers(channel_id, channel), is_open=_is_open(channel))

    async def _readers(self, channel_id: str, channel: Json) -> PlaceClass:
        if _is_shared(channel):
            return PlaceClass.SHARED
        among_us = PlaceClass.INTERNAL if _is_open(channel) else PlaceClass.PRIVATE
        outsiders = await self._everybody_outside()
        if outsiders is not None and not outsiders:
            return among_us
        members = await self._pages(LIST_MEMBERS, {"channel": channel_id})
        if outsiders is None or members is None:
            return PlaceClass.GUESTS
        ids = {each for page in members for each in texts_at(page, "members")}
        here = [each for id, each in outsiders.items() if id in ids]
        return max(here, key=lambda each: each.width, default=among_us)

    async def _everybody_outside(self) -> Mapping[str, PlaceClass] | None:
        """Guests and people of other organisations, by id; None where they are too many to list."""
        until, known = self._outsiders
        if self._clock() < until:
            return known
        asked_at = self._clock()
        team = (await self._directory.identity()).team_id
        pages = await self._pages(LIST_USERS, {})
        found = None
        if pages is not None:
            users = (user for page in pages for user in items_at(page, "members"))
            kinds = ((text_at(user, "id"), _outside(user, team)) for user in users)
            found = {id: kind for id, kind in kinds if kind is not None}
        self._outsiders = (asked_at + REMEMBERED_SECONDS, found)
        return found

    async def _pages(self, method: Method, arguments: Json) -> list[Json] | None:
        """Every page of a list; None where it goes on for too long."""
        found: list[Json] = []
        cursor = ""
        for _ in range(MOST_PAGES):
            asked = {**arguments, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            answer = await self._client.call(method, asked)
            found.append(answer.payload)
            cursor = text_at(answer.payload, "response_metadata", "next_cursor")
            if not cursor:
                return found
        return None


def _is_shared(channel: Json) -> bool:
    """True where another organisation reads along, or was invited to, or Slack does not say."""
    if not text_at(channel, "id"):
        return True
    flags = ("is_ext_shared", "is_pending_ext_shared")
    among_orgs = flag_at(channel, "is_shared") and not flag_at(channel, "is_org_shared")
    return among_orgs or any(flag_at(channel, flag) for flag in flags)


def _is_open(channel: Json) -> bool:
    """True where Slack says that every full member of ours can read in it."""
    return bool(text_at(channel, "id")) and not any(
        flag_at(channel, flag) for flag in ("is_private", "is_mpim", "is_im")
    )


def _outside(user: Json, team_id: str) -> PlaceClass | None:
    if flag_at(user, "deleted") or flag_at(user, "is_bot") or text_at(user, "id") == "USLACKBOT":
        return None
    if flag_at(user, "is_stranger") or text_at(user, "team_id") not in ("", team_id):
        teams = mapping_at(user, "enterprise_user").get("teams")
        if not (isinstance(teams, list) and team_id in teams):
            return PlaceClass.SHARED
    if flag_at(user, "is_restricted") or flag_at(user, "is_ultra_restricted"):
        return PlaceClass.GUESTS
    return None
