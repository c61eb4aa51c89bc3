"""Conversations as rows, one for each way in which somebody can stand to one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.domain.audit import Who
from openloop.domain.ids import ApprovalId, ConversationId, MemoryId, RunId, new_id
from openloop.domain.readers import Standing
from openloop.domain.surface import Actor
from openloop.storage import audit, places, rows
from tests import make

if TYPE_CHECKING:
    from uuid import UUID

    from openloop.domain.surface import Place
    from openloop.storage.database import Transaction
    from tests.make import Stage

BEN = Actor(surface="slack", tenant=make.place().tenant, id="U0BEN")
MALLORY = Actor(surface="slack", tenant=make.place().tenant, id="U0MALLORY")


@dataclass(frozen=True, kw_only=True)
class Told:
    """A conversation with one run, an approval of it, a memory and an event; and how ben stands to it."""

    standing: Standing
    place: Place
    conversation: ConversationId
    run: RunId
    approval: ApprovalId
    memory: MemoryId


async def every_case(stage: Stage) -> list[Told]:
    """One conversation for each case of the rule: ben's standing to it is the case."""
    found: list[Told] = []
    for place, asked, is_asked in itertools.product(
        (None, *PlaceClass), (False, True), (False, True)
    ):
        standing = Standing(place=place, has_asked=asked, is_asked=is_asked)
        found.append(await tell(stage, standing))
    return found


async def tell(
    stage: Stage,
    standing: Standing,
    *,
    channel: str = "",
    text: str = "a secret plan",
    by: Actor | None = None,
) -> Told:
    """A conversation to which ben stands like this, in a channel of its own unless it is named."""
    told = Told(
        standing=standing,
        place=make.place(channel or f"C{new_id().hex[:12].upper()}"),
        conversation=ConversationId(new_id()),
        run=RunId(new_id()),
        approval=ApprovalId(new_id()),
        memory=MemoryId(new_id()),
    )
    async with stage.tx() as tx:
        agent = await tx.value("SELECT id FROM agents")
        revision = await tx.value("SELECT live_revision_id FROM agents")
        author = by or (BEN if standing.has_asked else MALLORY)
        await _rows_of_run(tx, stage, told, agent, revision, author, text)
        await _approval(tx, stage, told, agent, "@ben" if standing.is_asked else "@maintainers")
        await _memory(tx, stage, told, agent, text)
        if standing.place is not None:
            await places.note(tx, stage.workspace, told.place, standing.place)
        await audit.append(
            tx,
            stage.workspace,
            "run.done",
            actor=Who(kind="agent", name="dev-platform"),
            subject=told.run,
            run_id=told.run,
        )
    return told


async def _rows_of_run(
    tx: Transaction,
    stage: Stage,
    told: Told,
    agent: UUID,
    revision: UUID,
    author: Actor,
    text: str,
) -> None:
    await tx.run(
        """
        WITH c AS (
            INSERT INTO conversations (workspace_id, id, agent_id, surface, tenant, container, root)
            VALUES (%(workspace)s, %(id)s, %(agent)s, %(surface)s, %(tenant)s, %(container)s, %(id)s)),
        r AS (
            INSERT INTO runs (workspace_id, id, conversation_id, agent_id, revision_id, state,
                              requested_by, request, ended_at)
            VALUES (%(workspace)s, %(run)s, %(id)s, %(agent)s, %(revision)s, 'done', %(author)s,
                    %(text)s, openloop.now())),
        s AS (
            INSERT INTO steps (workspace_id, run_id, seq, kind, state, epoch)
            VALUES (%(workspace)s, %(run)s, 1, 'tool', 'finished', 1))
        INSERT INTO messages (workspace_id, id, conversation_id, run_id, external_id, actor, text,
                              sent_at)
        VALUES (%(workspace)s, %(message)s, %(id)s, %(run)s, %(id)s, %(author)s, %(text)s,
                openloop.now())
        """,
        {
            "workspace": stage.workspace,
            "id": told.conversation,
            "run": told.run,
            "message": new_id(),
            "agent": agent,
            "revision": revision,
            "surface": told.place.surface,
            "tenant": told.place.tenant,
            "container": told.place.container,
            "author": rows.json(author),
            "text": text,
        },
    )


async def _approval(tx: Transaction, stage: Stage, told: Told, agent: UUID, approver: str) -> None:
    await tx.run(
        """
        INSERT INTO approvals (workspace_id, id, run_id, step_seq, conversation_id, agent_id, tool,
            permission, arguments, preconditions, hash, card, requested_by, demands, solo_mode, rule,
            token_sha256, state, expires_at)
        VALUES (%(workspace)s, %(id)s, %(run)s, 1, %(conversation)s, %(agent)s, 'github__create_issue',
            'github.issues:write', '{}', '{}', %(id)s, '{"title": "Open"}', %(asked)s, %(demands)s,
            false, 'rule', sha256(%(id)s::text::bytea), 'pending', openloop.now() + interval '1 hour')
        """,
        {
            "workspace": stage.workspace,
            "id": told.approval,
            "run": told.run,
            "conversation": told.conversation,
            "agent": agent,
            "asked": rows.json(MALLORY),
            "demands": rows.json([{"rule": "rule", "approvers": [approver]}]),
        },
    )


async def _memory(tx: Transaction, stage: Stage, told: Told, agent: UUID, text: str) -> None:
    await tx.run(
        """
        INSERT INTO memories (workspace_id, id, agent_id, scope, scope_id, kind, text, author, run_id,
                              step_seq, effective_at)
        VALUES (%(workspace)s, %(id)s, %(agent)s, 'channel', %(scope)s, 'fact', %(text)s, %(author)s,
                %(run)s, 1, openloop.now())
        """,
        {
            "workspace": stage.workspace,
            "id": told.memory,
            "agent": agent,
            "scope": f"{told.place.surface}:{told.place.tenant}:{told.place.container}",
            "text": text,
            "author": rows.json(Who(kind="actor", name="somebody")),
            "run": told.run,
        },
    )
