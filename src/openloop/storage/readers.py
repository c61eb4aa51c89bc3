"""What a reader may read, as conditions of queries: the rule is that of `domain/readers.py`.

A list is filtered in its query, so that its pages stay full; what is asked for by its id is looked
at row by row. Both are held against the rule, case by case, in tests/storage/test_readers.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from openloop.domain.errors import NotFound
from openloop.domain.readers import OPEN, Standing, may_read
from openloop.domain.surface import Actor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from openloop.domain.ids import ApprovalId, ConversationId, MemoryId, PrincipalId, RunId
    from openloop.domain.readers import Matter, Reader
    from openloop.storage.database import Transaction

CONSOLE = "console"
MOST_IDENTITIES = 200

# Conversations of which somebody has opened or steered a run.
_ASKED_IN: LiteralString = """
    SELECT said.conversation_id FROM messages said
    JOIN unnest(%(surfaces)s::text[], %(tenants)s::text[], %(external_ids)s::text[])
        AS own (surface, tenant, external_id) ON own.external_id = said.author_id
    WHERE said.run_id IS NOT NULL AND said.actor->>'surface' = own.surface
      AND own.tenant IN (said.actor->>'tenant', '')
"""
_CLASS: LiteralString = """
    SELECT CASE WHEN there.created_at <= place.private_until THEN 'private' ELSE place.class END
    FROM conversations there JOIN places place
        ON (place.container, place.surface, place.tenant) = (there.container, there.surface, there.tenant)
"""


def _is_asked(run: LiteralString) -> LiteralString:
    """As `Approval.approvers_of` counts: with every escalation that is due."""
    return f"""
        %(references)s::text[] <> '{{}}' AND EXISTS (
            SELECT FROM approvals held CROSS JOIN LATERAL jsonb_array_elements(held.demands) AS demand
            WHERE held.run_id = {run} AND (demand->'approvers' ?| %(references)s::text[] OR EXISTS (
                SELECT FROM jsonb_array_elements(demand->'escalation') AS stage
                WHERE stage->'approvers' ?| %(references)s::text[]
                  AND held.asked_at + make_interval(hours => (stage->>'after_hours')::integer)
                      <= openloop.now())))
    """  # noqa: S608  # constants


def of_conversation(id: LiteralString) -> LiteralString:
    """The condition under which a reader may know of the conversation that a column names."""
    return f"""
        (%(sees)s AND (
            ({_CLASS} WHERE there.id = {id}) = ANY(%(open)s) OR {id} IN ({_ASKED_IN})))
    """  # constants


def of_run(id: LiteralString, conversation: LiteralString) -> LiteralString:
    """The same for a run, of which those know, too, who are asked about one of its calls."""
    return f"({of_conversation(conversation)} OR %(sees)s AND {_is_asked(id)})"


_OF_MEMORY_S_RUN: LiteralString = (
    "SELECT r.conversation_id FROM runs r WHERE r.id = memories.run_id"
)


def of_memory() -> LiteralString:
    """The same for the rows of `memories`: one of a place is read there, and by its class anywhere."""
    return f"""
        (%(sees)s AND (
            memories.visible_in = ANY(%(open)s) AND (memories.scope <> 'channel'
                OR ({_CLASS} WHERE there.id = ({_OF_MEMORY_S_RUN})) = ANY(%(open)s))
            OR ({_OF_MEMORY_S_RUN}) IN ({_ASKED_IN})))
    """


def of_event() -> LiteralString:
    """The same for the rows of `audit_events`, as `matter_of` sorts them, and for a reader's own."""
    return f"""
        (%(audits)s AND (audit_events.actor->>'principal_id' = %(principal)s::text OR CASE
            WHEN audit_events.run_id IS NOT NULL THEN EXISTS (
                SELECT FROM runs about WHERE about.id = audit_events.run_id
                  AND {of_run("about.id", "about.conversation_id")})
            WHEN audit_events.kind = 'message.received' THEN
                {of_conversation("(audit_events.detail->>'conversation')::uuid")}
            WHEN audit_events.kind = 'place.unbound' THEN {of_conversation("audit_events.subject")}
            WHEN starts_with(audit_events.kind, 'memory.') THEN EXISTS (
                SELECT FROM memories WHERE memories.id = audit_events.subject AND {of_memory()})
            ELSE false END))
    """  # noqa: S608  # constants


def only(reader: Reader | None, readable: LiteralString) -> LiteralString:
    """The condition as the end of a WHERE; nothing for whoever reads everything, and for ourselves."""
    return "" if reader is None or reader.oversees else f" AND {readable}"


def parameters(reader: Reader | None) -> dict[str, object]:
    """What these conditions ask for."""
    if reader is None or reader.oversees:
        return {}
    return {
        "principal": str(reader.principal),
        "sees": reader.sees,
        "audits": reader.audits,
        "open": [str(each) for each in OPEN],
        "surfaces": [each.surface for each in reader.known_as],
        "tenants": [each.tenant for each in reader.known_as],
        "external_ids": [each.id for each in reader.known_as],
        "references": sorted(reader.references),
    }


async def list_known_as(tx: Transaction, principal: PrincipalId) -> tuple[Actor, ...]:
    """The ids that are this principal's on surfaces: what the manifest says comes before a link."""
    found = await tx.all(
        Actor,
        """
        SELECT i.surface, i.tenant, i.external_id AS id FROM identities i
        WHERE i.principal_id = %(id)s AND NOT EXISTS (
            SELECT FROM identities o
            WHERE o.external_id = i.external_id AND o.surface = i.surface
              AND o.principal_id <> i.principal_id AND (o.tenant = '' OR i.tenant IN (o.tenant, ''))
              AND o.origin = 'manifest' AND i.origin <> 'manifest')
        LIMIT %(most)s
        """,
        {"id": principal, "most": MOST_IDENTITIES},
    )
    # On the console people are known as principals: their id there is the principal's.
    return (*found, Actor(surface=CONSOLE, tenant="", id=str(principal)))


async def list_readable(
    tx: Transaction, reader: Reader, matters: Iterable[tuple[Matter, UUID]]
) -> set[UUID]:
    """Those of these runs, conversations and memories that a reader may know of."""
    wanted: dict[Matter, list[UUID]] = {"run": [], "conversation": [], "memory": []}
    if reader.oversees:
        return {id for _, id in matters}
    for kind, id in set(matters):
        wanted[kind].append(id)
    found = await tx.tuples(
        f"""
        SELECT r.id FROM runs r WHERE r.id = ANY(%(runs)s) AND {of_run("r.id", "r.conversation_id")}
        UNION ALL
        SELECT c.id FROM conversations c WHERE c.id = ANY(%(conversations)s) AND {of_conversation("c.id")}
        UNION ALL
        SELECT memories.id FROM memories WHERE memories.id = ANY(%(memories)s) AND {of_memory()}
        """,  # noqa: S608  # constants
        {
            "runs": wanted["run"],
            "conversations": wanted["conversation"],
            "memories": wanted["memory"],
            **parameters(reader),
        },
    )
    return {row[0] for row in found}


async def check_run(tx: Transaction, reader: Reader, id: RunId) -> None:
    """Refuse a run that the reader may not know of as one that does not exist.

    Raises:
        NotFound
    """
    if not reader.oversees:
        _check(reader, await _standing_to_run(tx, reader, id), f"No run {id}")


async def check_approval(tx: Transaction, reader: Reader, id: ApprovalId) -> None:
    """The same for an approval: whoever may read its run may read it.

    Raises:
        NotFound
    """
    if reader.oversees:
        return
    run = await tx.value("SELECT run_id FROM approvals WHERE id = %(id)s", {"id": id})
    standing = None if run is None else await _standing_to_run(tx, reader, run)
    _check(reader, standing, f"No approval {id}")


async def check_memory(tx: Transaction, reader: Reader, id: MemoryId) -> None:
    """The same for a memory, live or not.

    Raises:
        NotFound
    """
    if id not in await list_readable(tx, reader, [("memory", id)]):
        raise NotFound(f"No memory {id}")


async def check_conversation(tx: Transaction, reader: Reader, id: ConversationId) -> None:
    """The same for a conversation.

    Raises:
        NotFound
    """
    if not await may_read_conversation(tx, reader, id):
        raise NotFound(f"No conversation {id}")


async def may_read_conversation(tx: Transaction, reader: Reader, id: ConversationId) -> bool:
    """Whether the reader may know of a conversation, if there is one."""
    if reader.oversees:
        return True
    standing = await _standing_to(tx, reader, id)
    return standing is not None and may_read(reader, standing)


async def _standing_to(tx: Transaction, reader: Reader, id: ConversationId) -> Standing | None:
    return await tx.find(
        Standing,
        f"""
        SELECT ({_CLASS} WHERE there.id = c.id) AS place,
               c.id IN ({_ASKED_IN} AND said.conversation_id = c.id) AS has_asked
        FROM conversations c WHERE c.id = %(id)s
        """,  # noqa: S608  # constants
        {"id": id, **parameters(reader)},
    )


async def _standing_to_run(tx: Transaction, reader: Reader, id: RunId) -> Standing | None:
    return await tx.find(
        Standing,
        f"""
        SELECT ({_CLASS} WHERE there.id = r.conversation_id) AS place,
               r.conversation_id IN ({_ASKED_IN} AND said.conversation_id = r.conversation_id)
                   AS has_asked,
               {_is_asked("r.id")} AS is_asked
        FROM runs r WHERE r.id = %(id)s
        """,  # noqa: S608  # constants
        {"id": id, **parameters(reader)},
    )


def _check(reader: Reader, standing: Standing | None, missing: str) -> None:
    if standing is None or not may_read(reader, standing):
        raise NotFound(missing)
