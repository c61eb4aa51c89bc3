"""Conversations and the claim that lets exactly one worker work on one."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from openloop.domain.ids import AgentId, ConversationId, WorkspaceId
from openloop.domain.priority import Priority
from openloop.domain.surface import Place, Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRef:
    """Names a conversation across processes: what a wake-up carries."""

    workspace: WorkspaceId
    id: ConversationId
    priority: Priority = field(default=Priority.INTERACTIVE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a conversation, good while `epoch` is current.

    `wakes` is what had happened when the claim was taken or last renewed by reading: the
    conversation is released only where nothing has happened since.
    """

    ref: ConversationRef
    worker: UUID
    epoch: int
    wakes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One thread in one place with one agent (`agent_id` is None where no agent is bound).

    `line_since` is set while its run waits for a place among those that may work at a time; `is_linked`
    where it has opened a thread elsewhere, or was opened from one.
    """

    id: ConversationId
    agent_id: AgentId | None
    surface: str
    tenant: str
    container: str
    root: str
    epoch: int
    wakes: int
    created_at: datetime
    failures: int = 0
    priority: Priority = Priority.INTERACTIVE
    line_since: datetime | None = None
    has_open_ops: bool = False
    is_linked: bool = False

    @property
    def thread(self) -> Thread:
        """Its address."""
        return Thread(
            place=Place(surface=self.surface, tenant=self.tenant, container=self.container),
            root=self.root,
        )
