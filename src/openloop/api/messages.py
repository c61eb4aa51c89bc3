"""What was sent into a conversation, as JSON: without the tokens that its buttons carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast
from uuid import UUID

from openloop.domain.ids import ApprovalId, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openloop.domain.outbox import OutboxRow
    from openloop.domain.principal import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One op: `op` names its kind (`Say`, `Ask`, `Settle`, ...) beside its fields.

    Whoever wants to press a button of an `Ask` votes on `approval_id`.
    """

    id: UUID
    seq: int
    run_id: RunId | None
    approval_id: ApprovalId | None
    state: Literal["queued", "sending", "sent", "refused", "dropped"]
    op: dict[str, object]


def sent_to(rows: Iterable[OutboxRow], caller: Caller) -> tuple[Sent, ...]:
    """What this caller may read: words for one person alone are for that person alone."""
    return tuple(
        Sent(
            id=row.id,
            seq=row.seq,
            run_id=row.run_id,
            approval_id=row.approval_id,
            state=row.state,
            op=_without_tokens(row.op),
        )
        for row in rows
        if row.op.get("op") != "Whisper" or row.op.get("to_id") == str(caller.principal)
    )


def _without_tokens(op: dict[str, object]) -> dict[str, object]:
    """The op with its buttons, and those of other calls on the same card, without what they carry."""
    shown = dict(op)
    for name in ("buttons", "others"):
        parts = cast("list[dict[str, object]]", op.get(name) or [])  # written by us
        if parts:
            shown[name] = [_without_tokens(part) for part in parts]
    shown.pop("token", None)
    return shown
