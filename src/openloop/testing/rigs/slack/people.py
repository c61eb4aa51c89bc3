"""Who and what is in the fake workspace: people, channels and user groups."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from openloop.testing.rigs.slack.wire import Json

PersonKind = Literal["member", "guest", "single_channel_guest", "external", "bot", "deactivated"]

PARTNER_TEAM = "T0PARTNER"


def _id_part(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone with a Slack account, or a bot user."""

    id: str
    name: str
    team_id: str
    kind: PersonKind = "member"
    real_name: str = ""
    email: str | None = None
    bot_id: str | None = None
    app_id: str | None = None

    @property
    def is_guest(self) -> bool:
        return self.kind in ("guest", "single_channel_guest")

    def profile(self, *, with_email: bool = True) -> Json:
        profile: Json = {
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "team": self.team_id,
        }
        if self.email is not None and with_email:
            profile["email"] = self.email
        if self.bot_id is not None:
            profile |= {"bot_id": self.bot_id, "api_app_id": self.app_id}
        return profile

    def as_json(self, *, with_email: bool = True) -> Json:
        """The user object of `users.info`; the address only shows with `users:read.email`."""
        user: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.kind == "deactivated",
            "real_name": self.real_name,
            "tz": "Etc/UTC",
            "tz_label": "Coordinated Universal Time",
            "tz_offset": 0,
            "profile": self.profile(with_email=with_email),
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_guest,
            "is_ultra_restricted": self.kind == "single_channel_guest",
            "is_bot": self.kind == "bot",
            "is_app_user": False,
            "updated": 1_700_000_000,
        }
        if self.kind == "external":
            user["is_stranger"] = True
        return user

    def bot_profile(self) -> Json:
        return {
            "id": self.bot_id,
            "app_id": self.app_id,
            "name": self.name,
            "icons": {},
            "deleted": False,
            "updated": 1_700_000_000,
            "team_id": self.team_id,
        }


class People:
    """The accounts of the workspace, by id and by name."""

    def __init__(self, team_id: str) -> None:
        self._team_id = team_id
        self._by_id: dict[str, Person] = {}

    def __iter__(self) -> Iterator[Person]:
        return iter(self._by_id.values())

    def add(
        self,
        name: str,
        *,
        id: str | None = None,
        email: str | None = None,
        kind: PersonKind = "member",
        real_name: str | None = None,
        app_id: str | None = None,
    ) -> Person:
        """Add a person, or change the one with this id (someone leaves, becomes a guest).

        Two people may have the same name; only the id tells them apart.
        """
        user_id = id or f"U0{_id_part(name)}"
        person = Person(
            id=user_id,
            name=name,
            team_id=PARTNER_TEAM if kind == "external" else self._team_id,
            kind=kind,
            real_name=real_name or name.title(),
            email=email,
            bot_id=f"B{user_id[1:]}" if kind == "bot" else None,
            app_id=app_id or f"A{user_id[1:]}" if kind == "bot" else None,
        )
        self._by_id[user_id] = person
        return person

    def find(self, user_id: str) -> Person | None:
        return self._by_id.get(user_id)

    def get(self, who: str | Person) -> Person:
        """The person with this id or name; the first added of that name."""
        if isinstance(who, Person):
            return self._by_id.get(who.id, who)
        if person := self._by_id.get(who):
            return person
        for person in self:
            if person.name == who:
                return person
        raise LookupError(f"Nobody in the rig is called {who!r}: add them to rig.people first")


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel or a direct message. `members=None`: everybody who may see it is in it."""

    id: str
    name: str
    is_private: bool = False
    is_ext_shared: bool = False
    is_archived: bool = False
    is_im: bool = False
    bot_is_member: bool = True
    members: set[str] | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def family(self) -> Literal["channels", "groups", "im"]:
        """How Slack names this type in scopes and event names."""
        if self.is_im:
            return "im"
        return "groups" if self.is_private else "channels"

    @property
    def type(self) -> Literal["channel", "group", "im"]:
        """`channel_type` of a message event."""
        if self.is_im:
            return "im"
        return "group" if self.is_private else "channel"

    def as_json(self, *, bot_user_id: str, member_count: int | None = None) -> Json:
        if self.is_im:
            other = next(iter((self.members or set()) - {bot_user_id}), None)
            return {"id": self.id, "created": self.created, "is_im": True, "user": other}
        channel: Json = {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "created": self.created,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "is_pending_ext_shared": False,
            "is_member": self.bot_is_member,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
            "previous_names": [],
        }
        if member_count is not None:
            channel["num_members"] = member_count
        return channel


class Channels:
    """The channels and direct messages, by id and by name."""

    def __init__(self, people: People, *, bot_user_id: str) -> None:
        self._people = people
        self._bot_user_id = bot_user_id
        self._by_id: dict[str, Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._by_id.values())

    def add(
        self,
        name: str,
        *,
        id: str | None = None,
        is_private: bool = False,
        is_ext_shared: bool = False,
        is_archived: bool = False,
        bot_is_member: bool = True,
        members: Iterable[str | Person] | None = None,
    ) -> Channel:
        """Add a channel. Without `members` everybody is in it; with them, only these people."""
        bare = name.removeprefix("#")
        channel = Channel(
            id=id or f"C0{_id_part(bare)}",
            name=bare,
            is_private=is_private,
            is_ext_shared=is_ext_shared,
            is_archived=is_archived,
            bot_is_member=bot_is_member,
            members=None if members is None else {self._people.get(who).id for who in members},
        )
        self._by_id[channel.id] = channel
        return channel

    def direct(self, person: Person) -> Channel:
        """The direct message between this person and the bot, opened if need be."""
        channel_id = f"D{person.id[1:]}"
        if found := self._by_id.get(channel_id):
            return found
        channel = Channel(
            id=channel_id, name="", is_im=True, members={person.id, self._bot_user_id}
        )
        self._by_id[channel_id] = channel
        return channel

    def find(self, channel_id: str) -> Channel | None:
        return self._by_id.get(channel_id)

    def get(self, which: str | Channel) -> Channel:
        """The channel with this id or name (with or without `#`)."""
        if isinstance(which, Channel):
            return which
        if channel := self._by_id.get(which):
            return channel
        name = which.removeprefix("#")
        for channel in self:
            if channel.name == name:
                return channel
        raise LookupError(f"The rig has no channel {which!r}: add it to rig.channels first")


@dataclass(slots=True, kw_only=True)
class UserGroup:
    """A user group: `@maintainers` is `<!subteam^ID>` in a message."""

    id: str
    handle: str
    team_id: str
    members: list[str]
    disabled: bool = False

    def as_json(self, *, include_users: bool) -> Json:
        group: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.handle,
            "description": "",
            "handle": self.handle,
            "is_external": False,
            "date_create": 1_700_000_000,
            "date_update": 1_700_000_000,
            "date_delete": 1_700_000_001 if self.disabled else 0,
            "prefs": {"channels": [], "groups": []},
            "user_count": len(self.members),
        }
        if include_users:
            group["users"] = list(self.members)
        return group


class UserGroups:
    """The user groups, by id and by handle."""

    def __init__(self, people: People, team_id: str) -> None:
        self._people = people
        self._team_id = team_id
        self._by_id: dict[str, UserGroup] = {}

    def __iter__(self) -> Iterator[UserGroup]:
        return iter(self._by_id.values())

    def add(
        self,
        handle: str,
        *,
        members: Iterable[Person | str],
        id: str | None = None,
    ) -> UserGroup:
        """Add a group of people, given by name, by id or as they are."""
        group = UserGroup(
            id=id or f"S0{_id_part(handle)}",
            handle=handle,
            team_id=self._team_id,
            members=[self._people.get(who).id for who in members],
        )
        self._by_id[group.id] = group
        return group

    def find(self, group_id: str) -> UserGroup | None:
        return self._by_id.get(group_id)
