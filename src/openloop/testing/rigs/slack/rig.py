"""The Slack rig: a stateful fake of Slack that people speak in and that an app is connected to."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from openloop.testing.rigs.slack.delivery import Courier, Delivery, Parcel, Transport
from openloop.testing.rigs.slack.events import envelope
from openloop.testing.rigs.slack.faults import SlackFaults
from openloop.testing.rigs.slack.http_delivery import RequestUrl
from openloop.testing.rigs.slack.interactions import (
    ResponseUrls,
    block_actions,
    find_button,
    forged_button,
)
from openloop.testing.rigs.slack.messages import Message, Reaction
from openloop.testing.rigs.slack.people import Channel, Channels, People, Person, UserGroups
from openloop.testing.rigs.slack.server import Server
from openloop.testing.rigs.slack.socket_mode import Sockets
from openloop.testing.rigs.slack.web_api import Call, WebApi
from openloop.testing.rigs.slack.wire import Json, encode
from openloop.testing.rigs.slack.workspace import Ephemeral, Status, Workspace

T = TypeVar("T")


class SlackRig:
    """One Slack workspace with one app installed in it, on a loopback port.

    Use it as an async context manager. The app reaches it at `api_url`; the rig reaches the app at
    `deliver_to`, or over Socket Mode while `deliver_to` is None. `time_scale` shortens the waits
    between retries (1 minute and 5); the 3 s in which an app must ack is a dial of its own.

    Two things are as in Slack and easily forgotten: text is wire text (`&amp;`, `<@U123>`), and
    the app is told of its own messages too, if it subscribed to messages (`subscriptions`).
    """

    def __init__(
        self,
        *,
        signing_secret: str = "rig-signing-secret",  # noqa: S107 - opens nothing
        bot_token: str = "xoxb-rig",  # noqa: S107 - opens nothing
        app_token: str = "xapp-rig",  # noqa: S107 - opens nothing
        team_id: str = "T0ACME",
        app_id: str = "A0OPENLOOP",
        bot_user_id: str = "U0BOT",
        bot_name: str = "openloop",
        time_scale: float = 1.0,
        ack_deadline_seconds: float = 3.0,
        delivery_concurrency: int = 256,
        deliver_to: str | None = None,
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.signing_secret, self.bot_token, self.app_token = signing_secret, bot_token, app_token
        self.workspace = Workspace(
            team_id=team_id, app_id=app_id, bot_user_id=bot_user_id, bot_name=bot_name
        )
        self.workspace.publish = self._publish
        self.faults = SlackFaults(seed=seed)
        self.sockets = Sockets(self.workspace.changes, app_id=app_id)
        self._request_url = RequestUrl(signing_secret, deliver_to)
        self._courier = Courier(
            self.faults,
            self.workspace.changes,
            time_scale=time_scale,
            ack_deadline_seconds=ack_deadline_seconds,
            concurrency=delivery_concurrency,
        )
        self._web_api = WebApi(
            self.workspace,
            self.faults,
            bot_token=bot_token,
            app_token=app_token,
            open_connection=self._socket_url,
        )
        self._response_urls = ResponseUrls(self.workspace, self._web_api.record)
        self.server = Server(port)
        self.server.route("api", self._web_api.serve)
        self.server.route("link", self.sockets.serve)
        self.server.route("actions", self._response_urls.serve)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._courier.stop()
        await self.sockets.cut()
        await self._request_url.close()
        await self.server.stop()

    # Where it is, and where it delivers ---------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def api_url(self) -> str:
        """The Web API's address, as `AsyncWebClient(base_url=...)` takes it."""
        return f"{self.url}/api/"

    @property
    def deliver_to(self) -> str | None:
        """The app's request URL, for events and interactivity alike; None: Socket Mode."""
        return self._request_url.url

    @deliver_to.setter
    def deliver_to(self, url: str | None) -> None:
        self._request_url.url = url

    @property
    def ack_deadline_seconds(self) -> float:
        return self._courier.ack_deadline_seconds

    @ack_deadline_seconds.setter
    def ack_deadline_seconds(self, seconds: float) -> None:
        self._courier.ack_deadline_seconds = seconds

    # Who is there -------------------------------------------------------------------------------

    @property
    def people(self) -> People:
        return self.workspace.people

    @property
    def channels(self) -> Channels:
        return self.workspace.channels

    @property
    def usergroups(self) -> UserGroups:
        return self.workspace.usergroups

    @property
    def bot(self) -> Person:
        """The app's own bot user."""
        return self.workspace.bot

    @property
    def scopes(self) -> list[str]:
        """The bot token's scopes; change them to see what the app does without one."""
        return self.workspace.scopes

    @scopes.setter
    def scopes(self, scopes: Sequence[str]) -> None:
        self.workspace.scopes = list(scopes)

    @property
    def subscriptions(self) -> set[str]:
        """The events the app subscribed to, such as `app_mention` and `message.channels`."""
        return self.workspace.subscriptions

    @subscriptions.setter
    def subscriptions(self, subscriptions: set[str]) -> None:
        self.workspace.subscriptions = subscriptions

    # What people do -----------------------------------------------------------------------------

    async def say(
        self,
        channel: str | Channel,
        *,
        by: str | Person,
        text: str,
        thread: str | Message | None = None,
        deliver: bool = True,
    ) -> Message:
        """Say something; returns once it is stored and on its way, not once it is acked.

        The app gets a `message` event and, where it is mentioned, an `app_mention` twin with the
        same `ts`. With `deliver=False` it is only found by reading the history.
        """
        where, who = self.channels.get(channel), self.people.get(by)
        if who.id not in self.workspace.members_of(where) and not where.is_im:
            raise LookupError(f"{who.name!r} is not in #{where.name} and cannot speak there")
        thread_ts = thread.root_ts if isinstance(thread, Message) else thread
        return self.workspace.say(
            where, author=who, text=text, thread_ts=thread_ts, publish=deliver
        )

    async def say_directly(self, *, by: str | Person, text: str) -> Message:
        """Write to the bot in a direct message."""
        who = self.people.get(by)
        return self.workspace.say(self.channels.direct(who), author=who, text=text)

    async def edit(self, message: Message, *, text: str) -> Message:
        """Change what was said: `message_changed`, and a mention if it is now one."""
        return self.workspace.edit(self.current(message), text=text)

    async def delete(self, message: Message) -> None:
        """Take back what was said: `message_deleted`, or a tombstone over an answered one."""
        self.workspace.retract(self.current(message))

    async def react(self, message: Message, name: str, *, by: str | Person) -> None:
        self.workspace.react(self.current(message), name, by=self.people.get(by))

    async def join(self, channel: str | Channel, who: str | Person, *, by: str | Person) -> None:
        """Invite somebody, or the bot, into a channel."""
        where, person = self.channels.get(channel), self.people.get(who)
        self.workspace.join(person, where, inviter=self.people.get(by))

    async def press_stop(self, message: Message, *, by: str | Person) -> None:
        """Press the stop button of the agent session in the message's thread."""
        where = self.channels.get(message.channel)
        self.workspace.press_stop(self.people.get(by), where, thread_ts=message.root_ts)

    async def click(
        self,
        message: Message,
        *,
        action_id: str,
        by: str | Person,
        value: str | None = None,
        forged: bool = False,
    ) -> int | None:
        """Press a button; answers the app's HTTP status (200 for a socket's ack), None for none.

        The button is looked up in the message as given, so an older value of it is a stale click.
        `value` chooses between buttons of one action id. With `forged` the message need not have
        the button. `by` may be anybody, in the channel or not.
        """
        button = (
            forged_button(action_id, value) if forged else find_button(message, action_id, value)
        )
        person = self.people.get(by)
        payload = block_actions(
            self.workspace,
            message=self.find_message(message.channel, message.ts) or message,
            button=button,
            person=person,
            response_url=self.url + self._response_urls.issue(message, person),
        )
        delivery = await self._courier.deliver_once(
            Parcel(
                id=payload["trigger_id"],
                kind="interaction",
                type="block_actions",
                body=encode(payload),
            ),
            self._transport(),
        )
        return delivery.status

    async def verify_url(self) -> bool:
        """Do what saving the request URL in the app's settings does: the signed challenge."""
        challenge = self.workspace.ids.uuid()
        payload: Json = {
            "token": "legacy-verification-token",
            "challenge": challenge,
            "type": "url_verification",
        }
        parcel = Parcel(
            id=challenge, kind="challenge", type="url_verification", body=encode(payload)
        )
        delivery = await self._courier.deliver_once(parcel, self._request_url)
        return delivery.status == 200 and challenge in delivery.answer

    # What there is to see -----------------------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        """Every Web API call, in order; also what was posted to response URLs."""
        return self._web_api.calls

    @property
    def methods(self) -> list[str]:
        """The Web API methods this rig knows; any other is an `unknown_method`."""
        return self._web_api.method_names

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Every attempt to deliver something, in the order in which they ended."""
        return self._courier.deliveries

    @property
    def lost(self) -> list[Parcel]:
        """What Slack gave up on after its last retry."""
        return self._courier.lost

    @property
    def ephemerals(self) -> list[Ephemeral]:
        return self.workspace.ephemerals

    @property
    def statuses(self) -> list[Status]:
        """Every status set, in order; what is shown now is in `workspace.shown_status`."""
        return self.workspace.statuses

    @property
    def reactions(self) -> list[Reaction]:
        """Every reaction that is on a message now."""
        return [
            reaction
            for channel in self.channels
            for message in self.workspace.history(channel.id)
            for reaction in message.reactions
        ]

    def find_message(self, channel: str | Channel, ts: str) -> Message | None:
        return self.workspace.find_message(self.channels.get(channel).id, ts)

    def current(self, message: Message) -> Message:
        """The message as it is now; raises LookupError once it is deleted."""
        found = self.find_message(message.channel, message.ts)
        if found is None:
            raise LookupError(f"Message {message.ts} was deleted")
        return found

    def thread(self, channel: str | Channel, ts: str) -> list[Message]:
        """The thread that starts at `ts`: its opening message, then the replies."""
        return self.workspace.history(self.channels.get(channel).id).thread(ts)

    def messages(self, channel: str | Channel) -> list[Message]:
        """Everything in a channel, replies included, oldest first."""
        return list(self.workspace.history(self.channels.get(channel).id))

    def replies_to(self, message: Message) -> list[Message]:
        """What the bot said in the message's thread."""
        thread = self.thread(message.channel, message.root_ts)
        return [reply for reply in thread if reply.author == self.bot]

    # Waiting ------------------------------------------------------------------------------------

    async def until(self, predicate: Callable[[], T], *, timeout_seconds: float = 30) -> T:
        """Wait until this is true, asked again whenever anything changes; answers its value.

        Raises:
            TimeoutError
        """
        return await self.workspace.changes.until(predicate, timeout_seconds=timeout_seconds)

    async def reply_to(
        self, message: Message, *, count: int = 1, timeout_seconds: float = 30
    ) -> Message:
        """Wait for the bot's reply (the `count`-th) in a thread; cheap with very many threads.

        Raises:
            TimeoutError
        """
        changes = self.workspace.thread_changes(message.channel, message.root_ts)
        replies = await changes.until(
            lambda: found if len(found := self.replies_to(message)) >= count else [],
            timeout_seconds=timeout_seconds,
        )
        return replies[count - 1]

    async def settled(self, *, timeout_seconds: float = 30) -> None:
        """Wait until nothing is on its way to the app and nothing waits for a retry.

        Raises:
            TimeoutError
        """
        await self.until(lambda: self._courier.is_idle, timeout_seconds=timeout_seconds)

    # --------------------------------------------------------------------------------------------

    def _transport(self) -> Transport:
        return self.sockets if self.deliver_to is None else self._request_url

    def _publish(self, event: Json, channel: Channel) -> None:
        event_id = self.workspace.ids.next_id("Ev0")
        payload = envelope(
            event,
            event_id=event_id,
            team_id=self.workspace.team_id,
            app_id=self.workspace.app_id,
            bot_user_id=self.bot.id,
            ext_shared=channel.is_ext_shared,
        )
        parcel = Parcel(id=event_id, kind="event", type=event["type"], body=encode(payload))
        self._courier.dispatch(parcel, self._transport())

    def _socket_url(self) -> str:
        query = f"ticket={self.sockets.issue_ticket()}&app_id={self.workspace.app_id}"
        return f"ws://127.0.0.1:{self.server.port}/link/?{query}"
