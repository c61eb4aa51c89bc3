"""The GitHub surface with the GitHub rig behind it, as the surface contract wants to see it.

It is an App's: with a personal token nothing is decided on GitHub, so that there is no button.
"""

from __future__ import annotations

import html
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from openloop.domain.surface import Delivery
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.mentions import (
    COMMANDS,
    command_for,
    mentioned_in,
    parser,
)
from openloop.integrations.github.settings import AppSettings, GitHubSettings
from openloop.integrations.github.surface import GitHubSurface
from openloop.testing.contracts.platform import Said, Seen, SeenButton
from openloop.testing.rigs.faults import DropAnswer, DropRequest, Refuse
from openloop.testing.rigs.github import GitHubRig
from openloop.testing.rigs.github.webhooks import Webhooks, signed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from openloop.domain.surface import Thread
    from openloop.testing.rigs.github.rows import Comment, Role, User

SECRET = "b3c1f07a95d24e6fb8a0e8d47c5512aa"
TOKEN = "ghs_4815162342contractcontract"
BOT = "openloop[bot]"
REPOSITORY = "acme/platform"
POST = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
_COMMAND = re.compile(r"^/([a-z-]+) ([A-Za-z0-9_-]{8,128})$", re.MULTILINE)
_MARK = re.compile(r"\n*<!-- .*? -->")


@asynccontextmanager
async def github_platform() -> AsyncGenerator[GitHubPlatform]:
    """A fake GitHub with acme/platform in it, and the surface connected to it as an App's bot."""
    async with GitHubRig(token=TOKEN, login=BOT) as rig:
        write_as_bot(rig)
        roles: dict[str, Role] = {"anna": "write", "ben": "write", BOT: "write"}
        rig.state.add_repository(REPOSITORY, private=True, roles=roles)
        rig.state.add_user("mallory")
        settings = GitHubSettings(
            app=AppSettings(id="1", private_key=""),
            webhooks="http",
            webhook_secret=SECRET,
            api_url=rig.api_url,
        )
        client = GitHubClient(rig.api_url, BotToken(), total_seconds=2.0)
        surface = GitHubSurface(settings, client)
        await surface.identify()
        platform = GitHubPlatform(rig, surface)
        async with platform.receiving():
            yield platform
        await surface.aclose()


def write_as_bot(rig: GitHubRig, *, login: str = BOT) -> None:
    """Let the rig's token be that of an App's bot."""
    bot = rig.state.users[login.lower()] = replace(rig.state.add_user(login), kind="Bot")
    rig.state.tokens[rig.token].user = bot


class BotToken(PersonalToken):
    """A token that writes as an App's bot does."""

    login = BOT

    def __init__(self, token: str = TOKEN) -> None:
        super().__init__(token)


class GitHubPlatform:
    """Takes what the rig delivers and keeps it as it arrived."""

    place = REPOSITORY
    whispers = False
    most_text = 65_536
    all_pings = ("@ben", "@acme/maintainers", "&#64;ben", "&commat;ben", "**@ben**")
    secrets = (SECRET, TOKEN)

    def __init__(self, rig: GitHubRig, surface: GitHubSurface) -> None:
        self.surface = surface
        self.rig = rig
        self.repository = rig.state.repositories[REPOSITORY]
        self.webhooks = Webhooks(rig, secret=SECRET)
        self._received: list[Delivery] = []

    @asynccontextmanager
    async def receiving(self) -> AsyncGenerator[None]:
        """Listen where the rig delivers."""
        runner = web.ServerRunner(web.Server(self._take, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.webhooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
            async with self.webhooks:
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
        """Mention the App: in a new issue, or in a comment on this one."""
        await self._begin()
        author, words = self.rig.state.add_user(by), f"@openloop {text}"
        if thread is None:
            made = self.rig.state.add_issue(self.repository, "A question", by=author, body=words)
            message_id = str(made.number)
        else:
            issue = self.repository.issues[int(thread.root)]
            message_id = f"c{self.rig.state.add_comment(issue, words, by=author).id}"
        return await self._said(thread, message_id)

    async def click(self, thread: Thread, seen: Seen, action: str, *, by: str) -> Said:
        """Write the command that stands for a button, which is how people press one here."""
        await self._begin()
        token = [button.token for button in seen.buttons if button.action == action][-1]
        issue = self.repository.issues[int(thread.root)]
        words = f"/{command_for(action)} {token}"
        said = self.rig.state.add_comment(issue, words, by=self.rig.state.add_user(by))
        return await self._said(thread, f"c{said.id}")

    async def _begin(self) -> None:
        """Let go by what comes late: GitHub delivers our own comments too."""
        await self.webhooks.settled()
        self._received.clear()

    async def _said(self, thread: Thread | None, message_id: str) -> Said:
        await self.webhooks.settled()
        deliveries = tuple(self._received)
        if thread is None:
            (event,) = self.surface.accept(deliveries[0]).events
            thread = event.thread
        return Said(thread=thread, id=message_id, deliveries=deliveries)

    def redelivered(self, delivery: Delivery) -> Delivery:
        """As GitHub repeats it where somebody asks for that: the very same."""
        return replace(delivery, received_at=datetime.now(UTC))

    def unproven(self, delivery: Delivery) -> Mapping[str, Delivery]:
        """What a stranger could send."""
        bare = {k: v for k, v in delivery.headers.items() if k != "x-hub-signature-256"}
        event, body = delivery.headers["x-github-event"], delivery.body
        other = signed(event, body, "not-the-secret-of-this-app").headers["X-Hub-Signature-256"]
        right = delivery.headers["x-hub-signature-256"]
        headers = {
            "another secret": {**bare, "x-hub-signature-256": other},
            "no signature": bare,
            "an older signature": {**bare, "x-hub-signature": right.replace("sha256", "sha1")},
            "another scheme": {**bare, "x-hub-signature-256": right.removeprefix("sha256=")},
            "no ASCII": {**bare, "x-hub-signature-256": "sha256=ü"},
        }
        found = {what: replace(delivery, headers=each) for what, each in headers.items()}
        return found | {"another body": replace(delivery, body=body + b" ")}

    def person_id(self, name: str) -> str:
        """The number of the account."""
        return str(self.rig.state.add_user(name).id)

    def mention(self, name: str) -> str:
        """A login after an @."""
        return f"@{name}"

    def seen(self, thread: Thread) -> Sequence[Seen]:
        """The issue and its comments as GitHub shows them."""
        issue = self.repository.issues[int(thread.root)]
        opening = self._seen(str(issue.number), issue.body or "", issue.author)
        return [opening, *(self._seen_comment(comment) for comment in issue.comments)]

    def _seen_comment(self, comment: Comment) -> Seen:
        return self._seen(f"c{comment.id}", comment.body, comment.author)

    def _seen(self, id: str, body: str, author: User) -> Seen:
        people = (self.rig.state.users.get(name.lower()) for name in mentioned_in(body))
        return Seen(
            id=id,
            words=shown(body),
            by_us=author.login == BOT,
            buttons=tuple(
                SeenButton(action=COMMANDS[found[1]], token=found[2])
                for found in _COMMAND.finditer(body)
            ),
            pings=tuple(dict.fromkeys(str(one.id) for one in people if one is not None)),
        )

    def whispered(self, name: str) -> Sequence[str]:
        """GitHub shows nothing to one person alone."""
        del name
        return ()

    def lose_next_answer(self) -> None:
        """GitHub comments, and the connection ends before it says so."""
        self.rig.faults.fail(POST, with_=DropAnswer())

    def lose_next_request(self) -> None:
        """The connection ends before GitHub has read the request."""
        self.rig.faults.fail(POST, with_=DropRequest())

    def refuse_next(self) -> None:
        """An error that a bot meets when its token is bad."""
        self.rig.faults.fail(POST, with_=Refuse(f"Bad credentials: {TOKEN}"))


def shown(body: str) -> str:
    """The words that people read of a comment in Markdown."""
    return html.unescape("\n".join(_lines(_MARK.sub("", body))))


def _lines(body: str) -> Iterator[str]:
    for token in parser().parse(body):
        if token.type in {"fence", "code_block"}:
            yield html.escape(token.content.removesuffix("\n"), quote=False)
        elif token.type == "inline":
            words = (
                "\n" if child.type.endswith("break") else html.escape(child.content, quote=False)
                for child in token.children or ()
            )
            yield "".join(words)
