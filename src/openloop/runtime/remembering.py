"""The memory calls of a run, in the scope of its channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import notes
from openloop.domain.audience import narrowest
from openloop.domain.errors import Invalid
from openloop.domain.facts import RECALLED, seen_in
from openloop.domain.memory import MemoryKind
from openloop.domain.tool import ToolResult
from openloop.runtime import disclosing
from openloop.runtime.context import memory_line, memory_scope
from openloop.storage import memories

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.tool import Arguments
    from openloop.runtime.kit import Kit

FOUND = 10


async def note(kit: Kit, work: Work, run: Run, step: Step) -> ToolResult:
    """Save what the model wants remembered; the same step saves once."""
    governing = work.governing
    assert governing is not None  # noqa: S101  # read together with the run
    arguments: dict[str, str] = step.input["arguments"]
    days = governing.live.spec.memory.retention_days
    shortest = governing.workspace.spec.retention.memories_days
    try:
        memory_id = await notes.save(
            kit.database,
            work,
            run,
            step_seq=step.seq,
            scope=memory_scope(work, run),
            kind=MemoryKind(arguments["kind"]),
            text=arguments["text"],
            undo_token=str(step.input["undo_token"]),
            retention_days=min(days, shortest) if shortest is not None else days,
            visible_in=narrowest(seen.visible_in for seen in seen_in(work.steps, before=step.seq)),
        )
    except Invalid as refusal:
        return ToolResult.refused(str(refusal))
    return ToolResult.done({"saved": str(memory_id)})


async def search(kit: Kit, work: Work, run: Run, arguments: Arguments) -> ToolResult:
    """What was saved in this channel, each line with date, author and source."""
    async with kit.database.transaction(work.workspace) as tx:
        found = await memories.recall(
            tx, memory_scope(work, run), str(arguments["query"]), limit=FOUND
        )
    surface, place = kit.surfaces[work.conversation.surface], work.conversation.thread.place
    shown, visible_in = await disclosing.recallable(surface, place, found)
    return ToolResult.done(
        {"memories": [memory_line(memory) for memory in shown], RECALLED: str(visible_in)}
    )
