"""One line in the other place: where a run was answered that has to do with a thread opened elsewhere.

An answer stays where it was asked. What the other place gets is a link and no word of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.surface import Say
from openloop.storage import audit, opened, outbox, queue

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.ids import ConversationId
    from openloop.domain.run import Run
    from openloop.domain.surface import Thread
    from openloop.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line for another conversation. `announces`: it is the only one that an opened thread gets."""

    to: ConversationId
    markdown: str
    announces: bool = False


async def tell(tx: Transaction, work: Work, lines: tuple[Line, ...]) -> None:
    """Put the lines into the other conversations' outboxes; whoever carries those is woken."""
    for line in lines:
        if line.announces and not await opened.announce(tx, line.to):
            continue
        await outbox.add(tx, work.workspace, line.to, Say(markdown=line.markdown))
        await queue.wake(tx, work.workspace, line.to)


async def note_opened(
    tx: Transaction, work: Work, run: Run, thread: Thread, *, step_seq: int, link: str
) -> None:
    """A call has opened a thread: it is a conversation from now on, linked with this one."""
    conversation = await opened.note(tx, work.workspace, thread, run, step_seq=step_seq, link=link)
    if conversation is not None:
        await audit.append(
            tx,
            work.workspace,
            "conversation.linked",
            actor=work.agent,
            subject=conversation,
            run_id=run.id,
            origin=run.conversation_id,
            link=link,
            step=step_seq,
        )
