"""Taking in what a surface delivered: one transaction, and only then may the platform be told."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from openloop.actions import investigating
from openloop.domain.audit import actor_as_who
from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId, RunId, new_id
from openloop.domain.surface import Say
from openloop.storage import (
    audit,
    conversations,
    deliveries,
    memories,
    messages,
    outbox,
    places,
    queue,
    runs,
)

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.surface import Inbound
    from openloop.storage.conversations import Addressee
    from openloop.storage.database import Database, Transaction

STOP = re.compile(r"(?:stop|cancel)[.!]?", re.IGNORECASE)
UNBOUND = (
    "I am here, but no agent is set up for this channel yet. An admin can add it to an agent's "
    "`surfaces` and apply the manifest."
)


class Taken(StrEnum):
    """What became of one event."""

    RUN_QUEUED = "run_queued"
    STEERED = "steered"
    CHANGED = "changed"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    UNBOUND = "unbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of an event, and the conversation it woke."""

    taken: Taken
    conversation: ConversationRef | None = None
    run_id: RunId | None = None


class _NotWanted(Exception):
    """Undoes the transaction: keys of what is ignored are not kept, else a twin goes with them."""


class Wakes(Protocol):
    """Which unmentioned messages an agent's manifest wants, and what else wakes it there."""

    async def __call__(self, tx: Transaction, addressee: Addressee) -> frozenset[str]: ...


async def receive(
    database: Database, workspace: WorkspaceId, inbound: Inbound, *, wakes: Wakes
) -> Received:
    """Store a message and wake its conversation: a new run is queued or the active one is steered.

    A redelivery and a twin are each taken once. Words that reach no agent are not stored.
    """
    if _is_chatter(inbound) or inbound.actor.kind in ("bot", "self"):
        return Received(taken=Taken.IGNORED)
    try:
        return await _receive(database, workspace, _storable(inbound), wakes)
    except _NotWanted:
        return Received(taken=Taken.IGNORED)


async def _receive(
    database: Database, workspace: WorkspaceId, inbound: Inbound, wakes: Wakes
) -> Received:
    async with database.transaction(workspace) as tx:
        addressee = await conversations.take_keys(
            tx,
            workspace,
            inbound.thread,
            delivery_key=inbound.delivery_key,
            subject_key=inbound.subject_key,
        )
        if not addressee.is_new:
            return Received(taken=Taken.DUPLICATE)
        if inbound.kind in ("edited", "deleted"):
            return await _change(tx, workspace, inbound, addressee)
        if addressee.agent_id is None or addressee.revision_id is None:
            return await _say_unbound(tx, workspace, inbound)
        if not await _is_wanted(tx, inbound, addressee, wakes):
            raise _NotWanted
        if not await investigating.may_begin(tx, workspace, inbound):
            raise _NotWanted
        received = await _take_message(tx, workspace, inbound, addressee)
        await investigating.note_run(tx, inbound, received.run_id)
        return received


def _storable(inbound: Inbound) -> Inbound:
    """The event without NUL characters, which Postgres takes in no text."""
    if "\0" not in inbound.text and "\0" not in inbound.actor.name:
        return inbound
    actor = replace(inbound.actor, name=inbound.actor.name.replace("\0", ""))
    return replace(inbound, text=inbound.text.replace("\0", ""), actor=actor)


def _is_chatter(inbound: Inbound) -> bool:
    """A new thread that addresses nobody: the common case, decided without the database."""
    return (
        inbound.kind == "message"
        and inbound.addressed == "followup"
        and inbound.thread.root == inbound.message_id
    )


async def _is_wanted(tx: Transaction, inbound: Inbound, addressee: Addressee, wakes: Wakes) -> bool:
    if inbound.kind == "stopped":
        return addressee.conversation_id is not None
    if inbound.wanted_as:
        return inbound.wanted_as in await wakes(tx, addressee)
    if inbound.addressed != "followup":
        return True
    return addressee.conversation_id is not None and "followup" in await wakes(tx, addressee)


async def _take_message(
    tx: Transaction, workspace: WorkspaceId, inbound: Inbound, addressee: Addressee
) -> Received:
    assert addressee.agent_id is not None  # noqa: S101  # checked by the caller
    assert addressee.revision_id is not None  # noqa: S101  # checked by the caller
    if is_stop(inbound.text) or inbound.kind == "stopped":
        known = addressee.conversation_id
        if known is None:
            raise _NotWanted
        # A worker may be ending the run right now: a stop of that one must not open the next.
        await conversations.lock(tx, known)
        if await runs.find_active(tx, known) is None:
            return Received(taken=Taken.IGNORED)
        inbound = replace(inbound, text=messages.STOP)
    if inbound.is_private:
        await places.close(tx, workspace, inbound.thread.place)
    arrived = await messages.arrive(
        tx,
        workspace,
        inbound,
        # A new id, also where the conversation is known: under concurrent updates Postgres can miss
        # the row that is there, and notices by the address alone that it has to look again.
        conversation_id=ConversationId(new_id()),
        agent_id=addressee.agent_id,
        revision_id=addressee.revision_id,
        by=actor_as_who(inbound.actor),
    )
    return Received(
        taken=Taken.STEERED if arrived.run_id is None else Taken.RUN_QUEUED,
        conversation=ConversationRef(workspace=workspace, id=arrived.conversation_id),
        run_id=arrived.run_id,
    )


def is_stop(text: str) -> bool:
    """True for the word that stops a run. Who said it is checked by the worker that reads it."""
    return STOP.fullmatch(text.strip()) is not None


async def _say_unbound(tx: Transaction, workspace: WorkspaceId, inbound: Inbound) -> Received:
    """One polite line per place, once for ever; nobody is answered who did not speak to us."""
    place = inbound.thread.place
    if inbound.kind != "message" or inbound.addressed != "mention" or inbound.from_anybody:
        raise _NotWanted
    if not await deliveries.take_once(
        tx, workspace, place.surface, f"unbound:{place.tenant}:{place.container}"
    ):
        return Received(taken=Taken.UNBOUND)
    conversation = await conversations.open_conversation(
        tx, workspace, inbound.thread, id=new_id(), agent_id=None
    )
    await outbox.put(tx, workspace, conversation, Say(markdown=UNBOUND))
    await audit.append(
        tx,
        workspace,
        "place.unbound",
        actor=actor_as_who(inbound.actor),
        subject=conversation,
        place=place.container,
    )
    await queue.wake(tx, workspace, conversation)
    return Received(
        taken=Taken.UNBOUND, conversation=ConversationRef(workspace=workspace, id=conversation)
    )


async def _change(
    tx: Transaction, workspace: WorkspaceId, inbound: Inbound, addressee: Addressee
) -> Received:
    """An edited or deleted message: what is unread reads as it stands now, and what was remembered
    because of it is not recalled any more. An edit never alters a held call, and a deletion ends no
    run but the one that the message opened, before that has begun."""
    if addressee.conversation_id is None:
        raise _NotWanted
    conversation = ConversationId(addressee.conversation_id)
    await conversations.lock(tx, conversation)
    is_deleted = inbound.kind == "deleted"
    text = "" if is_deleted else inbound.text
    await messages.replace_text(
        tx, conversation, inbound.message_id, text=text, is_deleted=is_deleted
    )
    source = f"{inbound.thread.place.container}:{inbound.message_id}"
    retracted = await memories.retract_source(tx, source)
    for memory in retracted:
        await audit.append(
            tx,
            workspace,
            "memory.retracted",
            actor=actor_as_who(inbound.actor),
            subject=memory,
            because=f"source {inbound.kind}",
        )
    return Received(taken=Taken.CHANGED)
