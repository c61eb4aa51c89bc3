"""A model that tells all it can get at, on a public issue that comes from a private channel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, LiteralString

import orjson
import pytest

from openloop.domain.model import ModelReply, ToolCall, Usage
from openloop.domain.surface import Place, Thread
from openloop.integrations.github.surface import GitHubSurface
from openloop.models.client import GatewayClient
from openloop.runtime import context, remembering
from openloop.testing.story.stage import CHANNEL
from tests.prying import CANARY, WAYS
from tests.stories.on_github import EXAMPLE, OnGitHub, open_on_github

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from openloop.actions.claims import Work
    from openloop.domain.memory import MemoryScope
    from openloop.domain.model import ModelRequest
    from openloop.domain.run import Run
    from openloop.domain.surface import ThreadMessage
    from openloop.testing.rigs.github.rows import Issue

    Share = Callable[["Scene", pytest.MonkeyPatch], Awaitable[None]]

REPO = "acme/platform"
NOTE = {"kind": "decision", "text": f"The codeword of the canary release is {CANARY}."}
ISSUE = {"repo": REPO, "title": "Release it", "body": "As decided."}


@dataclass
class Prying:
    """What a model would do that is on nobody's side but the asker's.

    While it has `turns`, it makes those. Then it looks everywhere, remembers what it found, and says
    all that it was ever shown in this run, word for word.
    """

    turns: list[Sequence[tuple[str, dict[str, Any]]]] = field(default_factory=list[Any])
    requests: list[ModelRequest] = field(default_factory=list["ModelRequest"])

    async def complete(self, request: ModelRequest) -> ModelReply:
        self.requests.append(request)
        everything = "\n".join(message.content for message in request.messages)
        if self.turns:
            calls = self.turns.pop(0)
            return answer(request, "I do." if calls else "It is done.", calls)
        match sum(message.role == "assistant" for message in request.messages):
            case 0:
                return answer(request, "I look.", looking(everything))
            case 1:
                at = max(everything.find("zx-") - 100, 0)
                found = {"kind": "fact", "text": everything[at : at + 200]}
                return answer(request, "I keep it.", [("memory__note", found)])
            case _:
                return answer(request, everything, ())


def looking(asked: str) -> list[tuple[str, dict[str, Any]]]:
    """Every way there is to look for something, with every word there is for it."""
    words = ("canary codeword release zx", "decision Slack thread channel #dev-platform", asked)
    return [
        *(("memory__search", {"query": each[-500:]}) for each in words),
        ("github__get_issue", {"repo": REPO, "number": 1}),
        ("github__list_comments", {"repo": REPO, "number": 1}),
        ("github__list_issues", {"repo": REPO}),
        ("github__search_issues", {"repo": REPO, "words": "canary codeword"}),
    ]


def answer(
    request: ModelRequest, text: str, calls: Sequence[tuple[str, dict[str, Any]]]
) -> ModelReply:
    made = (
        ToolCall(id=f"call-{at}", name=name, arguments=orjson.dumps(arguments).decode())
        for at, (name, arguments) in enumerate(calls)
    )
    return ModelReply(
        model=request.model,
        text=text,
        tool_calls=tuple(made),
        usage=Usage(input_tokens=100, output_tokens=20),
        finish="tool_calls" if calls else "stop",
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A private channel in which something was said, and a public issue that was opened from it."""

    github: OnGitHub
    model: Prying
    issue: Issue

    async def ask(self, way: str) -> None:
        """Somebody asks on the issue, and the agent has answered."""
        self.issue.comments.clear()  # what was answered before makes nothing easier to find
        self.github.comment(self.issue, f"@openloop {way}", by="priya")
        await self.github.answered(self.issue)

    async def leaks(self) -> set[str]:
        """Where the canary is to be found on this side."""
        places = {
            "prompt": self.model.requests,
            "comment": self.github.ours(self.issue),
            "journal": await self.rows(
                """
                SELECT s::text FROM steps s JOIN runs r ON r.id = s.run_id
                JOIN conversations c ON c.id = r.conversation_id WHERE c.surface = 'github'
                """
            ),
            "memory": await self.rows(
                """
                SELECT m::text FROM memories m JOIN runs r ON r.id = m.run_id
                JOIN conversations c ON c.id = r.conversation_id
                WHERE c.surface = 'github' OR m.scope_id LIKE 'github:%'
                """
            ),
            "outbox": await self.rows(
                """
                SELECT o::text FROM outbox o JOIN conversations c ON c.id = o.conversation_id
                WHERE c.surface = 'github'
                """
            ),
        }
        assert all(places.values()), "there is something everywhere to look at"
        return {name for name, found in places.items() if CANARY in str(found)}

    async def channel(self) -> Thread:
        """The thread that it all comes from."""
        [(tenant, container, root)] = await self.rows(
            "SELECT tenant, container, root FROM conversations WHERE surface = 'slack'"
        )
        return Thread(place=Place(surface="slack", tenant=tenant, container=container), root=root)

    async def rows(self, statement: LiteralString) -> list[Any]:
        product = self.github.product
        async with product.application.database.transaction(product.workspace) as tx:
            return await tx.tuples(statement)


@pytest.fixture
async def scene(conninfo: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Everything that the channel knows is in its thread, its memory and its run."""
    model = Prying(turns=[[("memory__note", NOTE)], [("github__create_issue", ISSUE)], []])

    async def complete(_: GatewayClient, request: ModelRequest) -> ModelReply:
        return await model.complete(request)

    monkeypatch.setattr(GatewayClient, "complete", complete)
    manifests = home / "manifests"
    manifests.mkdir()
    for file in EXAMPLE.glob("*.yaml"):
        # What is read in the repository may be said there, or nothing of all this would be said.
        text = file.read_text().replace("type: native,", "type: native, visible_in: public,")
        (manifests / file.name).write_text(text)
    async with open_on_github(conninfo, home=home, manifests=manifests) as github:
        slack = github.product.slack
        slack.channels.get(CHANNEL).is_private = True
        asking = f"<@{slack.bot.id}> open an issue for the release, the codeword is {CANARY}"
        said = await slack.say(CHANNEL, by="ben", text=asking)
        card = await slack.until(
            lambda: next((m for m in slack.replies_to(said) if m.buttons), None)
        )
        assert card is not None
        await slack.click(card, action_id="approve", by="anna")
        await github.product.github.until(lambda: len(github.repository.issues) == 1)
        await slack.until(lambda: any("It is done." in m.text for m in slack.replies_to(said)))
        scene = Scene(github=github, model=model, issue=github.repository.issues[1])
        assert CANARY in str(model.requests)
        assert CANARY in str(await scene.rows("SELECT text FROM memories"))
        model.requests.clear()
        yield scene


async def test_who_tells_everything_tells_nothing_of_the_other_thread(scene: Scene) -> None:
    for way in WAYS:
        await scene.ask(way)
        assert await scene.leaks() == set(), way

        [echo] = scene.github.ours(scene.issue)
        assert way in echo.body, "it says what it was asked"
        assert '"memories"' in echo.body, "and what it found"
    assert len(scene.model.requests) == 3 * len(WAYS)


async def share_what_is_remembered(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    place, own = (await scene.channel()).place, context.memory_scope

    def scope_of_the_channel(work: Work, run: Run) -> MemoryScope:
        scope_id = f"{place.surface}:{place.tenant}:{place.container}"
        return replace(own(work, run), scope_id=scope_id)

    monkeypatch.setattr(context, "memory_scope", scope_of_the_channel)
    monkeypatch.setattr(remembering, "memory_scope", scope_of_the_channel)


async def share_the_thread(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    slack = scene.github.product.application.surfaces["slack"]
    channel = await scene.channel()

    async def history_of_the_channel(
        _: GitHubSurface, thread: Thread, *, limit: int
    ) -> Sequence[ThreadMessage]:
        return await slack.history(channel, limit=limit)

    monkeypatch.setattr(GitHubSurface, "history", history_of_the_channel)


@pytest.mark.parametrize("share", [share_what_is_remembered, share_the_thread])
async def test_where_both_places_are_one_it_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, share: Share
) -> None:
    """The control: what keeps them apart is taken away, and the canary is wherever it can be."""
    await share(scene, monkeypatch)

    await scene.ask(WAYS[0])

    assert await scene.leaks() == {"prompt", "comment", "journal", "memory", "outbox"}
