"""Memories: what agents were asked to remember."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from openloop.actions import notes
from openloop.api.authentication import Running, Seeing, who
from openloop.api.kit import Kit
from openloop.api.paging import Before, Limit, Page, Text, page_of, position
from openloop.api.reading import reader_of
from openloop.domain.ids import MemoryId
from openloop.domain.memory import Memory
from openloop.storage import memories, readers

router = APIRouter(prefix="/api/v1/memories", tags=["memories"])

Search = Annotated[Text | None, Query(alias="q", max_length=2000, description="Words to look for.")]


@router.get("", operation_id="list_memories")
async def list_memories(
    kit: Kit, caller: Seeing, *, limit: Limit = 50, cursor: Before = None, search: Search = None
) -> Page[Memory]:
    """The newest live memories that you may read, or those that have all the words."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        reader = await reader_of(kit, tx, caller)
        found = await memories.list_newest(
            tx, limit=limit, before=cursor, query=search, reader=reader
        )
    return page_of(found, limit=limit, last=found[-1].id if found else None, as_of=as_of)


@router.delete("/{memory_id}", operation_id="forget_memory", status_code=204)
async def forget_memory(kit: Kit, caller: Running, memory_id: MemoryId) -> None:
    """Take a memory back: it is not recalled any more."""
    async with kit.database.transaction(caller.workspace) as tx:
        await readers.check_memory(tx, await reader_of(kit, tx, caller), memory_id)
    await notes.forget(kit.database, caller.workspace, memory_id, by=who(caller))
