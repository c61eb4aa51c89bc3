"""The explanation of a run: who asked, by which rules, what it did and cost, and the proof of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from fastapi import APIRouter

from openloop.api.authentication import Auditing
from openloop.api.kit import Kit
from openloop.api.messages import Sent, sent_to
from openloop.api.reading import reader_of
from openloop.api.runs import NamedRun, agent_names, without_secrets
from openloop.domain.agent import Revision
from openloop.domain.audit_bundle import FORMAT, Proof
from openloop.domain.errors import Unavailable
from openloop.domain.ids import RunId
from openloop.domain.memory import Memory
from openloop.domain.step import Step, StepKind
from openloop.domain.surface import Thread
from openloop.storage import (
    agents,
    approvals,
    checkpoints,
    conversations,
    explanation,
    outbox,
    readers,
    runs,
    seals,
    steps,
)
from openloop.storage.explanation import Cast, Governed, Said, Spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.approval import Approval
    from openloop.domain.audit_chain import Entry
    from openloop.domain.ids import AgentId
    from openloop.domain.principal import Caller
    from openloop.storage.checkpoints import CheckpointRow
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])

MOST_EVENTS = 2_000
MOST_LINKS = 20_000
MOST_KEYS = 100
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the gate decided of a call, and by which rule."""

    step: int
    tool: str
    effect: str
    verdict: Literal["allowed", "held", "denied"]
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCall:
    """An approval with the bytes it is about (canonical JSON), and every vote."""

    id: UUID
    step_seq: int
    tool: str
    arguments: str
    preconditions: dict[str, object]
    hash: str
    approvers: tuple[str, ...]
    rule: str
    state: str
    parked: str
    card_id: UUID | None
    asked_at: datetime
    expires_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
    reason: str
    result: dict[str, object] | None
    votes: tuple[Cast, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """A manifest that decided, too, with the event that attests it."""

    manifest: Governed
    applied: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything about a run in one piece: `openloop audit verify --bundle` needs nothing else.

    `events` are those of the run with their seals, as an export has them, `applied` the one that
    attests the manifest it began with, `governing` the Workspace manifest and what was applied while it
    lasted; `proofs` connect them with signed `checkpoints`.
    """

    format: str
    workspace: UUID
    made_at: datetime
    run: NamedRun
    thread: Thread
    requests: tuple[Said, ...]
    revision: Revision
    memories: tuple[Memory, ...]
    decisions: tuple[Decided, ...]
    approvals: tuple[HeldCall, ...]
    steps: tuple[Step, ...]
    messages: tuple[Sent, ...]
    spent: tuple[Spent, ...]
    cost_usd: Decimal
    events: tuple[dict[str, Any], ...]
    applied: dict[str, Any] | None
    governing: tuple[Governing, ...]
    proofs: tuple[Proof, ...]
    checkpoints: tuple[str, ...]


@router.get("/{run_id}/explain", operation_id="explain_run")
async def explain_run(kit: Kit, caller: Auditing, run_id: RunId) -> Explanation:
    """One run in one self-contained, verifiable piece."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_run(tx, await reader_of(kit, tx, caller), run_id)
        for _ in range(TRIES):
            events = await seals.list_entries_of_run(tx, run_id, limit=MOST_EVENTS)
            made = await _explain(tx, caller, run_id, events)
            again = await seals.list_entries_of_run(tx, run_id, limit=MOST_EVENTS)
            # Every change of state writes an event: where there is none, all of it is of one moment.
            if _ids(again) == _ids(events):
                return made
    message = "The run goes on so fast that it cannot be read; try again"
    raise Unavailable(message)


def _ids(entries: Sequence[Entry]) -> list[int]:
    return sorted(entry["event"]["id"] for entry in entries if entry["event"])


async def _explain(
    tx: Transaction, caller: Caller, run_id: RunId, events: list[Entry]
) -> Explanation:
    run = await runs.get(tx, run_id)
    journal = await steps.list_of(tx, run_id)
    asked = await approvals.list_of_run(tx, run_id)
    cast = await explanation.list_cast(tx, run_id)
    revision = await agents.get_revision(tx, run.revision_id)
    context = next((s.output for s in journal if s.kind is StepKind.CONTEXT), None)
    conversation = await conversations.get(tx, run.conversation_id)
    sent = await outbox.list_of_run(tx, run_id)
    applied_id = await explanation.find_applied_event(tx, run.agent_id, revision.number)
    applied = None if applied_id is None else await seals.find_entry(tx, applied_id)
    governing = await _governing(tx, run_id, run.agent_id)
    attested = [entry for _, entry in governing]
    proofs, documents = await _prove(tx, [*events, *filter(None, (applied, *attested))])
    return Explanation(
        format=FORMAT,
        workspace=caller.workspace,
        made_at=await tx.now(),
        run=NamedRun(
            **{field.name: getattr(run, field.name) for field in fields(run)},
            agent=(await agent_names(tx)).get(str(run.agent_id), ""),
        ),
        thread=conversation.thread,
        requests=tuple(await explanation.list_said(tx, run_id)),
        revision=revision,
        memories=tuple(await explanation.list_memories(tx, explanation.memory_ids(context))),
        decisions=tuple(_decided(journal, {each.step_seq for each in asked}, events)),
        approvals=tuple(_held(each, cast) for each in asked),
        steps=tuple(without_secrets(step) for step in journal),
        messages=sent_to(sent, caller),
        spent=tuple(await explanation.list_spent(tx, run_id)),
        cost_usd=run.cost_usd,
        events=tuple(dict(entry) for entry in events),
        applied=dict(applied) if applied else None,
        governing=tuple(
            Governing(manifest=manifest, applied=dict(entry) if entry else None)
            for manifest, entry in governing
        ),
        proofs=tuple(proofs),
        checkpoints=tuple(documents),
    )


async def _governing(
    tx: Transaction, run_id: RunId, agent_id: AgentId
) -> list[tuple[Governed, Entry | None]]:
    found: list[tuple[Governed, Entry | None]] = []
    for manifest in await explanation.list_governed(tx, run_id):
        of = agent_id if manifest.kind == "Agent" else None
        event = await explanation.find_applied_event(tx, of, manifest.number)
        found.append((manifest, None if event is None else await seals.find_entry(tx, event)))
    return found


def _decided(journal: Sequence[Step], held: set[int], events: Sequence[Entry]) -> list[Decided]:
    denied = {
        entry["event"]["detail"].get("step")
        for entry in events
        if entry["event"] and entry["event"]["kind"] == "call.denied"
    }
    return [
        Decided(
            step=step.seq,
            tool=step.name,
            effect=step.effect or "",
            verdict="denied" if step.seq in denied else "held" if step.seq in held else "allowed",
            rule=step.rule,
        )
        for step in journal
        if step.kind is StepKind.TOOL
    ]


def _held(approval: Approval, votes: Sequence[Cast]) -> HeldCall:
    kept: dict[str, Any] = {
        field.name: getattr(approval, field.name, None) for field in fields(HeldCall)
    }
    kept |= {
        "arguments": approval.arguments.decode(),
        "state": str(approval.state),
        "votes": tuple(vote for vote in votes if vote.approval_id == approval.id),
    }
    return HeldCall(**kept)


async def _prove(tx: Transaction, entries: Sequence[Entry]) -> tuple[list[Proof], list[str]]:
    """For each event the piece of the chain from it to the first checkpoint that covers it."""
    left = sorted({entry["seq"] for entry in entries if entry["seq"] is not None})
    proofs: list[Proof] = []
    needed: dict[int, CheckpointRow] = {}
    while left:
        covering = await checkpoints.find_covering(tx, left[0])
        if covering is None:
            break  # sealed, and not vouched for yet
        first, left = left[0], [seq for seq in left if seq > covering.seq]
        if covering.seq - first >= MOST_LINKS:
            continue
        digests = await seals.list_digests(tx, first=first, last=covering.seq)
        before = await seals.find_hash(tx, first - 1)
        needed[covering.number] = covering
        proofs.append(
            Proof(
                first=first,
                previous=before.hex() if before else "",
                digests=tuple(digests),
                checkpoint=covering.number,
            )
        )
    for row in await checkpoints.list_with_keys(tx, limit=MOST_KEYS):
        if needed and row.number <= max(needed):
            needed[row.number] = row
    return proofs, [needed[number].document for number in sorted(needed)]
