"""The workspace: everything the fake Slack knows, and the only code that changes it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from openloop.testing.rigs.changes import Changes
from openloop.testing.rigs.slack import events
from openloop.testing.rigs.slack.history import History
from openloop.testing.rigs.slack.messages import Message, Reaction, rich_text
from openloop.testing.rigs.slack.people import Channel, Channels, People, Person, UserGroups
from openloop.testing.rigs.slack.wire import Clock, Ids, Json

ALL_SCOPES = (
    "app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write",
    "groups:history", "groups:read", "im:history", "im:read", "im:write", "mpim:history",
    "mpim:read", "reactions:read", "reactions:write", "team:read", "usergroups:read",
    "users:read", "users:read.email",
)  # fmt: skip
ALL_EVENTS = (
    "app_mention", "message.channels", "message.groups", "message.im", "reaction_added",
    "reaction_removed", "member_joined_channel", "agent_session_stopped",
)  # fmt: skip
STATUS_LINE = "assistant.threads.setStatus"
AGENT_STATUS = "agents.sessions.setStatus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A message only one person was shown; Slack keeps no copy of it."""

    channel: str
    user: str
    ts: str
    text: str
    blocks: tuple[Json, ...] = ()
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A status set on a thread, by either of Slack's two ways to set one."""

    method: str
    channel: str
    thread_ts: str | None
    status: str
    stored_at: float
    title: str | None = None
    loading_messages: tuple[str, ...] = ()


class Workspace:
    """One Slack team with one app installed in it.

    Every change wakes those who wait on `changes` and, if the app subscribed to it, is told to
    `publish`, which the rig wires to the sender of events.
    """

    def __init__(self, *, team_id: str, app_id: str, bot_user_id: str, bot_name: str) -> None:
        self.team_id, self.app_id = team_id, app_id
        self.domain = team_id.removeprefix("T0").lower()
        self.people = People(team_id)
        self.bot = self.people.add(bot_name, id=bot_user_id, kind="bot", app_id=app_id)
        self.channels = Channels(self.people, bot_user_id=bot_user_id)
        self.usergroups = UserGroups(self.people, team_id)
        self.scopes: list[str] = [*ALL_SCOPES]
        self.subscriptions: set[str] = {*ALL_EVENTS}
        self.ephemerals: list[Ephemeral] = []
        self.statuses: list[Status] = []
        self.changes = Changes()
        self.clock = Clock()
        self.ids = Ids()
        self.publish: Callable[[Json, Channel], None] = lambda _event, _channel: None
        self._histories: dict[str, History] = {}
        self._shown: dict[tuple[str, str, str | None], str] = {}
        self._threads: dict[tuple[str, str], Changes] = {}

    def history(self, channel_id: str) -> History:
        return self._histories.setdefault(channel_id, History())

    def find_message(self, channel_id: str, ts: str) -> Message | None:
        return self.history(channel_id).find(ts)

    def thread_changes(self, channel_id: str, root_ts: str) -> Changes:
        """Rings for this thread alone: waiting on it costs the same with a thousand threads."""
        return self._threads.setdefault((channel_id, root_ts), Changes())

    def members_of(self, channel: Channel) -> list[str]:
        """The user ids in a channel, the bot last."""
        if channel.members is None:
            members = [who.id for who in self.people if self._is_everybody(who, channel)]
        else:
            members = sorted(channel.members - {self.bot.id})
        return [*members, self.bot.id] if channel.bot_is_member else members

    def shown_status(self, channel_id: str, thread_ts: str | None) -> str | None:
        """The line of text people see under the thread now, if any."""
        return self._shown.get((STATUS_LINE, channel_id, thread_ts)) or None

    def agent_status(self, channel_id: str, thread_ts: str | None) -> str | None:
        """The lifecycle state of the agent session in this thread; None before it has one."""
        return self._shown.get((AGENT_STATUS, channel_id, thread_ts))

    # What happens in a channel -----------------------------------------------------------------

    def post(
        self,
        channel: Channel,
        *,
        author: Person,
        text: str,
        thread_ts: str | None = None,
        blocks: Iterable[Json] = (),
        publish: bool = True,
        **fields: Any,
    ) -> Message:
        """Store a message and tell the app about it; `fields` are further ones of `Message`."""
        history = self.history(channel.id)
        root = None if thread_ts is None else history.find(thread_ts)
        message = Message(
            channel=channel.id,
            ts=self.clock.next_ts(),
            author=author,
            text=text,
            stored_at=time.perf_counter(),
            thread_ts=thread_ts,
            blocks=tuple(blocks),
            parent_user_id=None if root is None else root.user,
            **fields,
        )
        history.append(message)
        if author == self.bot and message.is_reply:
            self._shown.pop((STATUS_LINE, channel.id, thread_ts), None)
        if publish:
            self._publish_posted(message, channel)
        self._announce(message)
        return message

    def say(
        self,
        channel: Channel,
        *,
        author: Person,
        text: str,
        thread_ts: str | None = None,
        publish: bool = True,
    ) -> Message:
        """Post what a person typed into Slack's composer."""
        if author.bot_id is not None:
            return self.post(
                channel, author=author, text=text, thread_ts=thread_ts, publish=publish
            )
        return self.post(
            channel,
            author=author,
            text=text,
            thread_ts=thread_ts,
            blocks=[rich_text(text, block_id=self.ids.next_id("b", width=4))],
            client_msg_id=self.ids.uuid(),
            publish=publish,
        )

    def amend(self, message: Message, *, by: Person, **fields: Any) -> Message:
        """Change a message in place; people see that it was edited."""
        channel = self.channels.get(message.channel)
        ts = self.clock.next_ts()
        after = replace(message, edited={"user": by.id, "ts": ts}, **fields)
        self.history(channel.id).replace(after)
        if self._tells(f"message.{channel.family}", channel):
            self.publish(events.message_changed(message, after, channel, ts=ts), channel)
        if self._mentions_bot(after) and not self._mentions_bot(message):
            self._publish_mention(after, channel, event_ts=ts)
        self._announce(after)
        return after

    def edit(self, message: Message, *, text: str) -> Message:
        """Amend what a person typed."""
        blocks = (rich_text(text, block_id=self.ids.next_id("b", width=4)),)
        return self.amend(message, by=message.author, text=text, blocks=blocks)

    def retract(self, message: Message) -> None:
        """Delete a message; one that opened a thread leaves a tombstone while it has replies."""
        channel = self.channels.get(message.channel)
        history = self.history(channel.id)
        ts = self.clock.next_ts()
        if history.has_replies(message.ts):
            tomb = replace(
                message, subtype="tombstone", text="This message was deleted.", blocks=()
            )
            history.replace(tomb)
            event = events.message_changed(message, tomb, channel, ts=ts)
        else:
            history.remove(message)
            event = events.message_deleted(message, channel, ts=ts)
        if self._tells(f"message.{channel.family}", channel):
            self.publish(event, channel)
        self._announce(message)

    def react(self, message: Message, name: str, *, by: Person) -> bool:
        """Add a reaction; false if this person already had it there."""
        reaction = Reaction(channel=message.channel, ts=message.ts, name=name, user=by.id)
        if reaction in message.reactions:
            return False
        self._store_reactions(message, (*message.reactions, reaction), reaction, added=True)
        return True

    def unreact(self, message: Message, name: str, *, by: Person) -> bool:
        """Take a reaction back; false if it was not there."""
        reaction = Reaction(channel=message.channel, ts=message.ts, name=name, user=by.id)
        if reaction not in message.reactions:
            return False
        left = tuple(kept for kept in message.reactions if kept != reaction)
        self._store_reactions(message, left, reaction, added=False)
        return True

    def whisper(self, ephemeral: Ephemeral) -> None:
        """Show one person a message."""
        self.ephemerals.append(ephemeral)
        self.changes.announce()

    def set_status(self, status: Status) -> None:
        """Show a status on a thread; a line of text goes away when the app posts there."""
        self.statuses.append(status)
        self._shown[status.method, status.channel, status.thread_ts] = status.status
        self.changes.announce()

    def join(self, person: Person, channel: Channel, *, inviter: Person) -> None:
        """Take somebody (or the bot) into a channel."""
        if person == self.bot:
            channel.bot_is_member = True
        elif channel.members is not None:
            channel.members.add(person.id)
        if self._tells("member_joined_channel", channel):
            ts = self.clock.next_ts()
            self.publish(events.member_joined(person, channel, inviter=inviter, ts=ts), channel)
        self.changes.announce()

    def press_stop(self, person: Person, channel: Channel, *, thread_ts: str) -> None:
        """Press the stop button of the agent session in this thread."""
        if self._tells("agent_session_stopped", channel):
            ts = self.clock.next_ts()
            event = events.agent_stopped(person, channel, thread_ts=thread_ts, ts=ts)
            self.publish(event, channel)

    # -------------------------------------------------------------------------------------------

    def _is_everybody(self, person: Person, channel: Channel) -> bool:
        """Whether a channel without a list of members has this person in it."""
        match person.kind:
            case "member" | "guest" | "bot":
                return person != self.bot
            case "external":
                return channel.is_ext_shared
            case "single_channel_guest" | "deactivated":
                return False

    def _tells(self, subscription: str, channel: Channel) -> bool:
        return subscription in self.subscriptions and (channel.bot_is_member or channel.is_im)

    def _mentions_bot(self, message: Message) -> bool:
        return f"<@{self.bot.id}>" in message.text and message.author != self.bot

    def _publish_posted(self, message: Message, channel: Channel) -> None:
        if self._tells(f"message.{channel.family}", channel):
            self.publish(events.message_posted(message, channel), channel)
        if self._mentions_bot(message):
            self._publish_mention(message, channel, event_ts=message.ts)

    def _publish_mention(self, message: Message, channel: Channel, *, event_ts: str) -> None:
        if self._tells("app_mention", channel) and not channel.is_im:
            self.publish(events.app_mention(message, channel, event_ts=event_ts), channel)

    def _store_reactions(
        self, message: Message, left: tuple[Reaction, ...], reaction: Reaction, *, added: bool
    ) -> None:
        self.history(message.channel).replace(replace(message, reactions=left))
        channel = self.channels.get(message.channel)
        if self._tells("reaction_added" if added else "reaction_removed", channel):
            event = events.reaction_changed(
                reaction, added=added, item_user=message.user, ts=self.clock.next_ts()
            )
            self.publish(event, channel)
        self._announce(message)

    def _announce(self, message: Message) -> None:
        self.changes.announce()
        if waiting := self._threads.get((message.channel, message.root_ts)):
            waiting.announce()
