"""Saving and taking back memories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openloop.actions.buttons import hash_token
from openloop.domain.audit import Who
from openloop.domain.errors import Invalid, NotFound
from openloop.domain.ids import MemoryId, new_id
from openloop.domain.redaction import REDACTED
from openloop.storage import audit, conversations, memories, messages

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.audience import PlaceClass
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.memory import MemoryKind, MemoryScope
    from openloop.domain.run import Run
    from openloop.storage.database import Database

LONGEST = 2000
SECRET_SHAPED = re.compile(
    r"\bxox[a-z]-|\bxapp-\d|\bgh[pousr]_\w{16}|\bgithub_pat_|\bglpat-|\blin_api_"
    r"|\bsk-(?=[\w-]*\d)[\w-]{16}|\bsk_live_|\bAKIA[0-9A-Z]{12}|\bAIza[\w-]{20}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""How keys of the providers and platforms we know begin."""


async def save(
    database: Database,
    work: Work,
    run: Run,
    *,
    step_seq: int,
    scope: MemoryScope,
    kind: MemoryKind,
    text: str,
    undo_token: str,
    retention_days: int,
    visible_in: PlaceClass,
) -> MemoryId:
    """Save what a run was asked to remember, unconfirmed, with its author and source.

    The same step saves once, however often it is repeated. It never supersedes and never grants.
    `visible_in` is how far the run's words may go: wider places will not recall it.

    Raises:
        LostClaim, Invalid
    """
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise Invalid(f"A memory has 1 to {LONGEST} characters")
    # Where a secret was taken out on the way here, what is left is no memory either.
    if SECRET_SHAPED.search(text) or REDACTED in text:
        raise Invalid("This looks like a secret; secrets are not remembered")
    asked = run.requested_by
    author = Who(
        kind="actor", name=asked.name or asked.id, surface=asked.surface, external_id=asked.id
    )
    async with database.transaction(work.workspace) as tx:
        await conversations.fence(tx, work.claim)
        opening = await messages.find_opening(tx, run.id)
        new = MemoryId(new_id())
        memory_id = await memories.add(
            tx,
            work.workspace,
            id=new,
            scope=scope,
            kind=kind,
            text=text,
            author=author,
            source_link=run.request_link,
            source_message=f"{work.conversation.container}:{opening}",
            effective_at=run.queued_at,
            retention_days=retention_days,
            run_id=run.id,
            step_seq=step_seq,
            undo_sha256=hash_token(undo_token),
            visible_in=visible_in,
        )
        if memory_id == new:
            await audit.append(
                tx,
                work.workspace,
                "memory.saved",
                actor=work.agent,
                subject=memory_id,
                run_id=run.id,
                memory_kind=kind,
            )
    return memory_id


async def forget(
    database: Database, workspace: WorkspaceId, memory_id: MemoryId, *, by: Who
) -> None:
    """Take a memory back on behalf of a person with the right.

    Raises:
        NotFound
    """
    async with database.transaction(workspace) as tx:
        if not await memories.retract(tx, memory_id):
            raise NotFound(f"No memory {memory_id}")
        await audit.append(tx, workspace, "memory.retracted", actor=by, subject=memory_id)
