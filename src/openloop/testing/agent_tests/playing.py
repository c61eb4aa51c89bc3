"""Playing an AgentTest: people speak, the worker works, approvers press buttons, and rows are read."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from openloop import app
from openloop.domain.audit import Who
from openloop.domain.conversation import ConversationRef
from openloop.domain.errors import Invalid
from openloop.domain.ids import MemoryId, new_id
from openloop.domain.memory import MemoryKind, MemoryScope
from openloop.domain.run import RunState
from openloop.domain.step import StepKind
from openloop.runtime.worker import Worker
from openloop.storage import agents, approvals, memories, runs, steps
from openloop.testing.agent_tests.observed import Observed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.agent_test import AgentTest, Decided, Remembered
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.run import Run
    from openloop.testing.agent_tests.stage import Stage
    from openloop.testing.rigs.slack import Message

SECONDS = 60
_BUTTONS = {"approve": "approve", "reject": "deny"}
_MOST = 50


async def play(test: AgentTest, stage: Stage) -> Observed:
    """Do what the test says, and tell what came of it.

    Raises:
        Invalid: the test names somebody who is not there, or decides where nothing waits
        TimeoutError
    """
    workspace = await app.home_workspace(stage.application)
    async with asyncio.timeout(SECONDS):
        await _remember(test, stage, workspace)
        opening = await _speak(test, stage)
        await _work(stage, workspace)
        for decided in test.spec.decide:
            await _press(stage, opening, decided)
            await _work(stage, workspace)
    return await _observe(stage, workspace)


async def _remember(test: AgentTest, stage: Stage, workspace: WorkspaceId) -> None:
    """Memories of the channel, as a conversation would have left them."""
    if not test.spec.memories:
        return
    async with stage.kit.database.transaction(workspace) as tx:
        agent = await agents.get_agent(tx, test.metadata.agent)
        now = await tx.now()
        place = await stage.kit.surfaces["slack"].find_place(f"#{stage.channel}")
        assert place is not None  # the agent is bound to it
        scope = MemoryScope(
            agent_id=agent.id,
            scope="channel",
            scope_id=f"{place.surface}:{place.tenant}:{place.container}",
        )
        for each in test.spec.memories:
            await memories.add(
                tx,
                workspace,
                id=MemoryId(new_id()),
                scope=scope,
                kind=MemoryKind(each.kind),
                text=each.text,
                author=_author(stage, each),
                source_link="",
                source_message="",
                effective_at=now,
                retention_days=None,
            )


def _author(stage: Stage, remembered: Remembered) -> Who:
    person = _person(stage, remembered.by)
    return Who(kind="actor", name=remembered.by, surface="slack", external_id=person)


def _person(stage: Stage, name: str) -> str:
    try:
        return stage.slack.people.get(name).id
    except LookupError:
        message = f"{name!r} has no Slack id in the Workspace and is no outsider of this test"
        raise Invalid(message, problems=(message,), code="agent_test_refused") from None


async def _speak(test: AgentTest, stage: Stage) -> Message:
    """Everything that is said, one after the other; the last of it asks the agent."""
    root: Message | None = None
    *earlier, last = test.spec.thread
    mention = f"<@{stage.slack.bot.id}> " if test.spec.mentioned else ""
    for said, before in (*((each, "") for each in earlier), (last, mention)):
        _person(stage, said.by)
        message = await stage.slack.say(
            stage.channel, by=said.by, text=before + said.text, thread=root
        )
        root = root or message
        await stage.slack.settled()
    assert root is not None  # a thread has at least one message
    return root


async def _work(stage: Stage, workspace: WorkspaceId) -> None:
    """Let a worker do all that is due in every conversation, as often as one wakes another."""
    worker = Worker(stage.kit)
    for run in await _runs(stage, workspace):
        await worker.advance(ConversationRef(workspace=workspace, id=run.conversation_id))
    await stage.slack.settled()


async def _press(stage: Stage, opening: Message, decided: Decided) -> None:
    """Press a button of the newest card that has one."""
    _person(stage, decided.by)
    action = _BUTTONS[decided.decision]
    cards = [
        message
        for message in stage.slack.replies_to(opening)
        if any(button.action_id == action for button in message.buttons)
    ]
    if not cards:
        message = f"{decided.by} is to {decided.decision}, and nothing waits for anybody"
        raise Invalid(message, problems=(message,), code="agent_test_refused")
    await stage.slack.click(cards[-1], action_id=action, by=decided.by)


async def _runs(stage: Stage, workspace: WorkspaceId) -> list[Run]:
    async with stage.kit.database.transaction(workspace) as tx:
        return await runs.list_newest(tx, limit=_MOST)


async def _observe(stage: Stage, workspace: WorkspaceId) -> Observed:
    found = await _runs(stage, workspace)
    asked: list[str] = []
    denied: list[str] = []
    noted: list[str] = []
    recalled: list[str] = []
    async with stage.kit.database.transaction(workspace) as tx:
        for run in found:
            asked += [each.permission for each in await approvals.list_of_run(tx, run.id)]
            journal = await steps.list_of(tx, run.id)
            calls = [step for step in journal if step.kind is StepKind.TOOL]
            denied += [step.name for step in calls if step.effect is None]
            noted += [
                step.name for step in calls if step.effect and step.name.startswith("memory__")
            ]
            for step in journal:
                if step.kind is StepKind.CONTEXT and step.output is not None:
                    recalled += await memories.texts_of(tx, step.output.get("memory_ids", ()))
    return Observed(
        said=tuple(_said(stage)),
        asked=tuple(asked),
        called=(*stage.made, *noted),
        denied=tuple(denied),
        recalled=tuple(recalled),
        cost_usd=sum((run.cost_usd for run in found), Decimal(0)),
        runs=len(found),
        failed=tuple(filter(None, map(_failure, found))),
    )


def _failure(run: Run) -> str:
    """Why a run did not come to its end; nothing where it did, or waits for people."""
    if run.state is RunState.FAILED:
        return f"{run.error_code}: {run.outcome}"
    return "it stopped in the middle" if run.state in (RunState.QUEUED, RunState.WORKING) else ""


def _said(stage: Stage) -> Sequence[str]:
    bot = stage.slack.bot
    return [each.text for each in stage.slack.messages(stage.channel) if each.author == bot]
