"""Conversations on the console: say something to an agent, and read what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid5

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import StringConstraints

from openloop.api.authentication import Running, Seeing
from openloop.api.idempotency import KEY
from openloop.api.kit import Kit
from openloop.api.messages import Sent, sent_to
from openloop.api.paging import LARGEST, STRICT_BODY, Limit, Name, Text, position
from openloop.api.reading import reader_of
from openloop.domain.errors import Invalid, NotFound, Unavailable
from openloop.domain.ids import ConversationId, RunId
from openloop.domain.priority import PriorityName
from openloop.domain.run import RunState
from openloop.domain.surface import Delivery, Rejected
from openloop.storage import agents, conversations, outbox, readers, runs

if TYPE_CHECKING:
    from openloop.domain.principal import Caller
    from openloop.domain.surface import Inbound
    from openloop.plugin import Surface
    from openloop.storage.database import Database, Transaction

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])

CONSOLE = "console"


class NoConsole(Unavailable):
    """The console surface is not installed."""

    code = "console_not_installed"


class NotTaken(Invalid):
    """There is nothing that the message could be for: a stop where nothing runs."""

    code = "message_not_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something to say to an agent; `thread` goes on in a conversation of this agent.

    `priority` says how soon a new conversation is worked on where others wait, too.
    """

    __pydantic_config__ = STRICT_BODY

    agent: Name
    text: Annotated[Text, StringConstraints(min_length=1)]
    thread: Name | None = None
    priority: PriorityName = "interactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Where the answer will be. `taken` says what became of the message."""

    conversation_id: ConversationId
    thread: str
    run_id: RunId | None
    taken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestRun:
    """The newest run of a conversation, in short."""

    id: RunId
    state: RunState
    outcome: str
    error_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What a conversation was sent after `after`; `last_seq` is the next `after`."""

    messages: tuple[Sent, ...]
    last_seq: int
    run: LatestRun | None
    as_of: str


@router.post("", operation_id="say_to_agent", status_code=202)
async def say_to_agent(kit: Kit, caller: Running, request: Request, body: Said) -> Heard:
    """Say something to an agent: a new conversation, or the next words of one."""
    console = kit.surfaces.get(CONSOLE)
    if console is None:
        raise NoConsole("The console is not installed here")
    async with kit.database.directory() as tx:
        workspace = (await agents.get_workspace(tx, caller.workspace)).name
    key: str | None = request.scope.get(KEY)
    inbound = _accept(console, caller, workspace, body, key)
    async with kit.database.transaction(caller.workspace) as tx:
        await agents.get_agent(tx, body.agent)
        known = await conversations.find_addressee(tx, inbound.thread)
        goes_on = known.conversation_id is not None and await readers.may_read_conversation(
            tx, await reader_of(kit, tx, caller), known.conversation_id
        )
    if body.thread is not None and not goes_on:
        raise NotFound(f"No conversation {body.thread!r} with {body.agent}")
    received = await kit.intake.take(inbound, caller.workspace)
    conversation = received.conversation.id if received.conversation else known.conversation_id
    if conversation is None:
        conversation = await _conversation(kit.database, caller, inbound)
    return Heard(
        conversation_id=conversation,
        thread=inbound.thread.root,
        run_id=received.run_id,
        taken=received.taken,
    )


@router.get("/{conversation_id}/messages", operation_id="list_conversation_messages")
async def list_conversation_messages(
    kit: Kit,
    caller: Seeing,
    conversation_id: ConversationId,
    *,
    after: Annotated[int, Query(ge=0, le=LARGEST, description="A `last_seq` of before.")] = 0,
    limit: Limit = 100,
) -> Transcript:
    """What was sent into a conversation, in order, and how its newest run stands."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        await readers.check_conversation(tx, await reader_of(kit, tx, caller), conversation_id)
        if await conversations.find(tx, conversation_id) is None:
            raise NotFound(f"No conversation {conversation_id}")
        # The run first: what it said before it ended is then in the list for sure.
        run = await _latest_run(tx, conversation_id)
        found = await outbox.list_after(tx, conversation_id, after, limit=limit)
    return Transcript(
        messages=sent_to(found, caller),
        last_seq=found[-1].seq if found else after,
        run=run,
        as_of=as_of,
    )


def _accept(
    console: Surface, caller: Caller, workspace: str, body: Said, key: str | None
) -> Inbound:
    headers = {
        "x-openloop-principal": str(caller.principal),
        "x-openloop-name": caller.name,
        "x-openloop-workspace": workspace,
    }
    if key is not None:
        # The same request names the same message, also where its answer was never recorded.
        headers["x-openloop-delivery"] = str(uuid5(caller.principal, key))
    said = {
        "agent": body.agent,
        "text": body.text,
        "thread": body.thread,
        "priority": body.priority,
    }
    delivery = Delivery(
        headers=headers,
        body=orjson.dumps(said),
        received_at=datetime.now(UTC),
        transport=CONSOLE,
    )
    try:
        (inbound,) = console.accept(delivery).events
    except Rejected as refusal:
        raise Invalid(str(refusal), problems=(str(refusal),), code=refusal.code) from None
    return inbound


async def _conversation(database: Database, caller: Caller, inbound: Inbound) -> ConversationId:
    """The conversation of a message that was taken before, or opened none."""
    async with database.transaction(caller.workspace) as tx:
        found = (await conversations.find_addressee(tx, inbound.thread)).conversation_id
    if found is None:
        raise NotTaken("There is nothing to stop")
    return found


async def _latest_run(tx: Transaction, conversation_id: ConversationId) -> LatestRun | None:
    run = await runs.find_newest(tx, conversation_id)
    if run is None:
        return None
    return LatestRun(id=run.id, state=run.state, outcome=run.outcome, error_code=run.error_code)
