"""Ops on their way to a surface, as rows."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter

from openloop.domain.ids import ApprovalId, ConversationId, OpId, RunId
from openloop.domain.surface import Amend, Ask, Op, Say, SetStatus, Settle, Whisper

_KINDS: dict[str, TypeAdapter[Op]] = {
    kind.__name__: TypeAdapter(kind) for kind in (Say, SetStatus, Ask, Settle, Amend, Whisper)
}


def encode(op: Op) -> dict[str, object]:
    """The op as JSON, named by its type."""
    return {"op": type(op).__name__, **asdict(op)}


def decode(stored: dict[str, object]) -> Op:
    """The op that `encode` stored."""
    fields = dict(stored)
    return _KINDS[str(fields.pop("op"))].validate_python(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One op in the outbox; `id` is its idempotency key on the platform."""

    id: OpId
    seq: int
    conversation_id: ConversationId
    run_id: RunId | None
    approval_id: ApprovalId | None
    op: dict[str, object]
    state: Literal["queued", "sending", "sent", "refused", "dropped"]
    attempts: int
    message_ids: tuple[str, ...]
    not_before: datetime | None = None
