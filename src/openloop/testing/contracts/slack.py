"""The Slack surface with the Slack rig behind it, as the surface contract wants to see it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from openloop.domain.surface import Delivery, Place, Thread
from openloop.integrations.slack.settings import SlackSettings
from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.contracts.platform import Said, Seen, SeenButton
from openloop.testing.rigs.faults import DropAnswer, DropRequest, Refuse
from openloop.testing.rigs.slack import SlackRig, signed_headers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from openloop.testing.rigs.slack import Message

SECRET = "5f1a7c0d9e3b42868a6d0f4b7c2e9d13"
BOT_TOKEN = "xoxb-4815162342-1002003004-contractcontract"
POST = "chat.postMessage"
_STALE_SECONDS = 360


@asynccontextmanager
async def slack_platform() -> AsyncGenerator[SlackPlatform]:
    """A fake Slack with #dev-platform in it, and the surface connected to it."""
    async with SlackRig(signing_secret=SECRET, bot_token=BOT_TOKEN) as rig:
        for name in ("anna", "ben"):
            rig.people.add(name)
        rig.people.add("mallory", kind="external")
        rig.channels.add("dev-platform", id="C0DEV")
        surface = SlackSurface(
            SlackSettings(
                bot_token=BOT_TOKEN,
                signing_secret=SECRET,
                api_url=rig.api_url,
                timeout_seconds=2.0,
            )
        )
        platform = SlackPlatform(rig, surface)
        async with platform.receiving():
            yield platform
        await surface.aclose()


class SlackPlatform:
    """Takes what the rig delivers over HTTP and keeps it as it arrived."""

    place = "#dev-platform"
    whispers = True
    most_text = 12_000
    all_pings = (
        "<!channel>",
        "<!here>",
        "<!everyone>",
        "@channel",
        "<@U0BEN>",
        "<!subteam^S0TEAM>",
    )
    secrets = (SECRET, BOT_TOKEN)

    def __init__(self, rig: SlackRig, surface: SlackSurface) -> None:
        self.surface = surface
        self.rig = rig
        self._received: list[Delivery] = []

    @asynccontextmanager
    async def receiving(self) -> AsyncGenerator[None]:
        """Listen where the rig delivers."""
        runner = web.ServerRunner(web.Server(self._take, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.rig.deliver_to = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
            yield
        finally:
            await runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._received.append(
            Delivery(headers=headers, body=await request.read(), received_at=datetime.now(UTC))
        )
        return web.Response()

    async def say(self, text: str, *, by: str, thread: Thread | None = None) -> Said:
        """Mention the bot; Slack makes two deliveries of one message."""
        await self._begin()
        root = thread.root if thread is not None else None
        said = await self.rig.say(
            self.place, by=by, text=f"<@{self.rig.bot.id}> {text}", thread=root
        )
        await self.rig.settled()
        return self._said(thread or _thread(said), said.ts)

    async def click(self, thread: Thread, seen: Seen, action: str, *, by: str) -> Said:
        """Press a button."""
        await self._begin()
        message = self.rig.find_message(thread.place.container, seen.id)
        assert message is not None
        await self.rig.click(message, action_id=action, by=by)
        return self._said(thread, seen.id)

    async def _begin(self) -> None:
        """Let go by what comes late: the app is told of its own messages too."""
        await self.rig.settled()
        self._received.clear()

    def _said(self, thread: Thread, message_id: str) -> Said:
        return Said(thread=thread, id=message_id, deliveries=tuple(self._received))

    def redelivered(self, delivery: Delivery) -> Delivery:
        """As Slack repeats it: signed anew, with the number of the attempt."""
        headers = dict(delivery.headers) | {
            "x-slack-retry-num": "1",
            "x-slack-retry-reason": "http_timeout",
        }
        return _signed(headers, delivery.body, SECRET)

    def unproven(self, delivery: Delivery) -> Mapping[str, Delivery]:
        """What a stranger or an attacker with an old copy could send."""
        now = int(delivery.received_at.timestamp())
        bare = {k: v for k, v in delivery.headers.items() if not k.startswith("x-slack-")}
        proof = {k: v for k, v in delivery.headers.items() if k.startswith("x-slack-")}
        body = delivery.body
        return {
            "another secret": _signed(bare, body, "not-the-secret-of-this-app"),
            "another body": Delivery(
                headers=delivery.headers, body=body + b" ", received_at=delivery.received_at
            ),
            "no headers": Delivery(headers=bare, body=body, received_at=delivery.received_at),
            "no signature": Delivery(
                headers={**bare, "x-slack-request-timestamp": str(now)},
                body=body,
                received_at=delivery.received_at,
            ),
            "no timestamp": Delivery(
                headers={**bare, "x-slack-signature": proof["x-slack-signature"]},
                body=body,
                received_at=delivery.received_at,
            ),
            "a stale one": _signed(bare, body, SECRET, at=now - _STALE_SECONDS),
            "one from the future": _signed(bare, body, SECRET, at=now + _STALE_SECONDS),
        }

    def person_id(self, name: str) -> str:
        """The Slack user id."""
        return self.rig.people.get(name).id

    def mention(self, name: str) -> str:
        """Slack's markup for a mention."""
        return f"<@{self.person_id(name)}>"

    def seen(self, thread: Thread) -> Sequence[Seen]:
        """The thread as the rig keeps it."""
        return [self._seen(m) for m in self.rig.thread(thread.place.container, thread.root)]

    def _seen(self, message: Message) -> Seen:
        return Seen(
            id=message.ts,
            words=message.words,
            by_us=message.author == self.rig.bot,
            buttons=tuple(
                SeenButton(action=button.action_id, token=button.value or "")
                for button in message.buttons
            ),
            pings=tuple(dict.fromkeys([*_users(message), *_marked(message)])),
        )

    def whispered(self, name: str) -> Sequence[str]:
        """Ephemeral messages to this person."""
        return [e.text for e in self.rig.ephemerals if e.user == self.person_id(name)]

    def lose_next_answer(self) -> None:
        """Slack posts, and the connection ends before it says so."""
        self.rig.faults.fail(POST, with_=DropAnswer())

    def lose_next_request(self) -> None:
        """The connection ends before Slack has read the request."""
        self.rig.faults.fail(POST, with_=DropRequest())

    def refuse_next(self) -> None:
        """An error of Slack that a bot meets when its token is bad."""
        self.rig.faults.fail(POST, with_=Refuse("invalid_auth"))


def _thread(message: Message) -> Thread:
    place = Place(surface="slack", tenant="T0ACME", container=message.channel)
    return Thread(place=place, root=message.root_ts)


def _signed(
    headers: Mapping[str, str], body: bytes, secret: str, *, at: int | None = None
) -> Delivery:
    proof = {k.lower(): v for k, v in signed_headers(secret, body, timestamp=at).items()}
    return Delivery(headers={**headers, **proof}, body=body, received_at=datetime.now(UTC))


def _users(message: Message) -> list[str]:
    """The live mentions of rich text: elements of their own, not markup."""
    found: list[str] = []
    line: list[Any] = [*message.blocks]
    while line:
        node = line.pop(0)
        if isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            if fields.get("type") in ("user", "usergroup", "broadcast"):
                found += [str(value) for key, value in fields.items() if key != "type"]
            line += [*fields.values()]
        elif isinstance(node, (list, tuple)):
            line += [*cast("list[Any]", node)]
    return found


def _marked(message: Message) -> list[str]:
    return [ping.removeprefix("<@").removeprefix("<!") for ping in message.pings]
