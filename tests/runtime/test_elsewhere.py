"""A thread that a run opens elsewhere: a conversation of its own, and a link is all that both share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.audience import PlaceClass
from openloop.domain.errors import Unavailable
from openloop.domain.run import RunState
from openloop.domain.surface import Place, Thread, ThreadMessage
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.courier import Courier
from openloop.runtime.worker import Worker
from openloop.storage import conversations, opened
from openloop.tools.registry import Registry
from tests import make
from tests.prying import CANARY, WAYS
from tests.runtime.fakes import TENANT, FakeSurface, Killed, reply

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.tool import Arguments, ToolResult
    from openloop.runtime.kit import Kit
    from openloop.storage.opened import Opened
    from tests.make import Stage

REPO = Place(surface="github", tenant=TENANT, container="ACME/PLATFORM")
BINDINGS = [
    {"type": "slack", "channel": f"#{make.CHANNEL}"},
    {"type": "github", "repo": "acme/platform"},
]


class Two:
    """An agent that answers in a channel and in a repository."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.slack, self.github = stage.surface, FakeSurface(name="github")
        self.github.place_class = PlaceClass.PUBLIC
        stage.tracker.opens = self.opens
        stage.registry = Registry((stage.tracker.toolset(), memory_toolset()))
        self.kit = self._kit()

    @staticmethod
    def opens(arguments: Arguments, result: ToolResult) -> Thread | None:
        content = result.content
        assert isinstance(content, dict)
        return Thread(place=REPO, root=str(content["number"]))

    def _kit(self) -> Kit:
        kit, surfaces = self.stage.kit(), {"slack": self.slack, "github": self.github}
        courier = Courier(self.stage.database, surfaces, kit.worker)
        return replace(kit, surfaces=surfaces, courier=courier)

    async def work(self, ref: ConversationRef) -> None:
        await Worker(self._kit()).advance(ref)

    async def issue(self) -> ConversationRef:
        """Somebody asks for an issue in the channel, and somebody approves it."""
        note = ("memory__note", orjson.dumps({"kind": "decision", "text": CANARY}).decode())
        self.stage.models.turns = [
            reply("Noted.", note),
            reply("I will open it.", make.CREATE),
            reply("The issue is there."),
        ]
        ref = await self.stage.mention(f"open an issue, the codeword is {CANARY}")
        await self.work(ref)
        await self.stage.press("approve", by="anna")
        await self.work(ref)
        return ref

    async def issue_and_delivery(self) -> ConversationRef:
        """The same, and everything is sent that the issue is due; its conversation."""
        ref = await self.issue()
        [found] = await self.opened(ref)
        there = replace(ref, id=found.opened_id)
        await self.work(there)
        return there

    async def asks(self, text: str, *, by: str = "ben") -> ConversationRef:
        """Somebody mentions the agent on the issue."""
        event = make.inbound(text, by=by)
        event = replace(event, thread=Thread(place=REPO, root="1"))
        event = replace(event, actor=replace(event.actor, surface="github"))
        received = await self.stage.take_in(event)
        assert received.conversation is not None, received
        return received.conversation

    async def answer(self, text: str) -> ConversationRef:
        """The same, and the agent answers."""
        self.stage.models.turns = [reply("It is on the list.")]
        ref = await self.asks(text)
        await self.work(ref)
        return ref

    async def opened(self, ref: ConversationRef) -> list[Opened]:
        async with self.stage.tx() as tx:
            return await opened.list_of(tx, ref.id)


@pytest.fixture
async def two(stage: Stage) -> Two:
    await stage.revise({"surfaces": BINDINGS})
    return Two(stage)


async def test_an_issue_that_a_run_opens_is_a_linked_conversation_of_its_own(two: Two) -> None:
    ref = await two.issue()

    [found] = await two.opened(ref)
    assert (found.thread, found.origin_id) == (Thread(place=REPO, root="1"), ref.id)
    assert found.opened_link == "https://tracker.example/1"
    assert found.opened_id != ref.id
    [linked] = await two.stage.audit("conversation.linked")
    assert linked.subject == found.opened_id


async def test_an_answer_stays_where_it_was_asked_and_the_other_place_gets_a_link(two: Two) -> None:
    ref = await two.issue()
    there = await two.answer("is somebody working on this?")
    await two.work(ref)

    [found] = await two.opened(ref)
    assert there.id == found.opened_id
    assert two.github.said == ["It is on the list."]
    line = "There is an answer in [a thread that was opened from here](https://tracker.example/1)."
    assert two.slack.said[-1] == line
    assert "It is on the list." not in two.slack.said


async def test_a_public_issue_does_not_learn_of_the_place_it_was_asked_for_in(two: Two) -> None:
    await two.issue_and_delivery()

    assert two.github.posted == {}


async def test_an_issue_with_the_same_readers_is_told_once_where_it_comes_from(two: Two) -> None:
    two.github.place_class = PlaceClass.INTERNAL
    there = await two.issue_and_delivery()
    assert [line.startswith("This was asked for in [another") for line in two.github.said] == [True]

    two.stage.models.turns = [reply("Yes.")]
    await two.work(await two.stage.mention("is that all?"))
    await two.work(there)

    assert len(two.github.said) == 1


async def test_where_nobody_can_tell_who_reads_nothing_is_said(two: Two) -> None:
    two.github.place_class = Unavailable("GitHub does not answer")
    await two.issue_and_delivery()

    assert two.github.said == []


async def test_of_the_other_thread_there_is_nothing_in_prompt_journal_or_comment(two: Two) -> None:
    """Twenty ways to ask a public issue for the private thread that it comes from."""
    two.slack.place_class = PlaceClass.PRIVATE
    two.slack.thread = [
        ThreadMessage(
            id="m1", author_id="U0BEN", author_name="ben", sent_at=make.NOON, text=f"psst: {CANARY}"
        )
    ]
    ref = await two.issue()
    assert any(CANARY in str(request) for request in two.stage.models.requests), "the control"
    asked = len(two.stage.models.requests)

    there = {(await two.answer(way)).id for way in WAYS}

    assert len(WAYS) == 20
    prompts = two.stage.models.requests[asked:]
    assert len(prompts) == len(WAYS)
    assert not [prompt for prompt in prompts if CANARY in str(prompt)]
    assert CANARY not in str(two.github.performed)
    for run in await two.stage.runs():
        if run.conversation_id in there:
            assert run.state is RunState.DONE
            assert CANARY not in str(await two.stage.steps(run))
    assert ref.id not in there


async def test_a_crash_after_the_effect_links_it_when_it_is_found_again(two: Two) -> None:
    async def die(key: str) -> None:
        two.stage.tracker.after = None
        raise Killed

    two.stage.models.turns = [reply("I will open it.", make.CREATE), reply("The issue is there.")]
    ref = await two.stage.mention()
    await two.work(ref)
    await two.stage.press("approve", by="anna")
    two.stage.tracker.after = die
    with pytest.raises(Killed):
        await two.work(ref)
    await two.stage.lapse(ref)
    await two.work(ref)

    [found] = await two.opened(ref)
    assert found.thread.root == "1"


async def test_a_comment_that_came_before_the_answer_of_the_call_is_in_the_same_conversation(
    two: Two,
) -> None:
    early: list[ConversationRef] = []

    async def comment(key: str) -> None:
        early.append(await two.asks("nice"))

    two.stage.tracker.after = comment
    ref = await two.issue()

    [found] = await two.opened(ref)
    assert found.opened_id == early[0].id
    async with two.stage.tx() as tx:
        assert (await conversations.get(tx, found.opened_id)).is_linked


async def test_people_of_one_place_have_no_rights_in_the_other(two: Two) -> None:
    """The same id on another platform is another person, until somebody links them."""
    ref, token = await two.stage.hold()
    click = make.click("approve", token, by="anna")
    stranger = replace(click.actor, surface="github")
    await two.stage.take_in(replace(click, actor=stranger, thread=Thread(place=REPO, root="1")))
    assert (await two.stage.approval(ref)).state is ApprovalState.PENDING

    await two.stage.press("approve", by="anna")

    assert (await two.stage.approval(ref)).state is ApprovalState.APPROVED
