"""Callers of one workspace in a process of its own, which may die in a gap: `python -m bench.callers`.

What it is to do comes as JSON on standard input. Each caller holds a run, sets money aside for a call
of a fixed size through the product's own actions, and is charged all of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from openloop.actions import claims, endings, model_calls
from openloop.actions.configuration import Configuration
from openloop.actions.model_calls import BudgetExhausted, BudgetTaken, ModelCall
from openloop.domain.budget import Limit, Limits
from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId, ReservationId, WorkspaceId, new_id
from openloop.domain.model import ModelReply, Usage
from openloop.domain.pricing import ModelFacts, Price
from openloop.storage import budgets, conversations
from openloop.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.actions.claims import Work
    from openloop.storage.database import Transaction

INPUT_TOKENS, OUTPUT_TOKENS = 100, 1000
PRICE = Decimal(1000)
SIZE_USD = Decimal("1.1")
"""What a call of that many tokens costs at a dollar per thousand."""

GAPS = ("counting", "reserving", "reserved", "settling", "settled")
"""Where a process dies: before the commit of a transaction, or between two."""

_MODEL = "ollama/callers"
_FACTS = ModelFacts(
    model=_MODEL,
    provider="ollama",
    price=Price(input_per_million=PRICE, output_per_million=PRICE),
    max_output_tokens=1_000_000,
    context_window=100_000,
)
_WAIT_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a process is to do. With `seconds` its callers go on and on, far below the limit."""

    dsn: str
    workspace: str
    conversations: list[str]
    limit_usd: str
    gap: str = ""
    seconds: float = 0
    patience_seconds: float = 0.5

    @property
    def limits(self) -> Limits:
        """The limit on the workspace's month, and one on its day that is out of reach."""
        always = (Limit(axis="agent", span="month"), Limit(axis="run", span="run"))
        if self.seconds:
            return (Limit(axis="workspace", span="month", usd=Decimal(1_000_000)), *always)
        return (
            Limit(axis="workspace", span="month", usd=Decimal(self.limit_usd)),
            Limit(axis="workspace", span="day", usd=Decimal(1_000_000)),
            *always,
        )


class Mortal(Database):
    """A database whose process dies in a gap."""

    def __init__(self, orders: Orders) -> None:
        super().__init__(orders.dsn, size=8, name="callers")
        self._gap = orders.gap

    def pass_by(self, gap: str) -> None:
        """Die here, if this is the gap."""
        if gap == self._gap:
            os.kill(os.getpid(), signal.SIGKILL)

    @asynccontextmanager
    async def transaction(self, workspace: WorkspaceId) -> AsyncGenerator[Transaction]:
        """A transaction that may end between its last statement and its commit."""
        async with super().transaction(workspace) as tx:
            yield tx
            if self._gap:
                self.pass_by(await _doing(tx))


async def _doing(tx: Transaction) -> str:
    """What the transaction has just written of money, by its rows."""
    return await tx.value(
        """
        SELECT CASE
            WHEN EXISTS (SELECT FROM reservations WHERE xmin = mine AND state = 'held') THEN 'reserving'
            WHEN EXISTS (SELECT FROM reservations WHERE xmin = mine AND state = 'settled') THEN 'settling'
            WHEN EXISTS (SELECT FROM budgets WHERE xmin = mine AND span = 'day') THEN 'counting'
            ELSE 'other' END
        FROM (SELECT pg_current_xact_id()::xid AS mine) AS now
        """
    )


async def work(orders: Orders) -> dict[str, int]:
    """Let every caller make its call; how many were made, refused, and left for another process."""
    database = Mortal(orders)
    await database.open()
    configuration = Configuration()
    refs = [
        ConversationRef(
            workspace=WorkspaceId(UUID(orders.workspace)), id=ConversationId(UUID(each))
        )
        for each in orders.conversations
    ]
    try:
        if orders.seconds:
            return {"pairs": await _go_on(database, configuration, refs, orders)}
        if orders.gap == "counting":
            await _forget_count(database, refs[0].workspace)
        outcomes = await asyncio.gather(
            *(_call(database, configuration, ref, orders) for ref in refs)
        )
    finally:
        await database.close()
    return {kind: outcomes.count(kind) for kind in ("made", "refused", "left")}


async def _forget_count(database: Mortal, workspace: WorkspaceId) -> None:
    """As where two ids of a person are linked: the row is counted again before it is relied on."""
    async with Database.transaction(database, workspace) as tx:
        await tx.run("UPDATE budgets SET is_counted = false WHERE span = 'day'")


async def _call(
    database: Mortal, configuration: Configuration, ref: ConversationRef, orders: Orders
) -> str:
    """One caller, from its claim to its charge."""
    work = await claims.take(database, configuration, ref, worker=new_id())
    if work is None or work.run is None:
        return "left"
    until = time.monotonic() + orders.patience_seconds
    while True:
        try:
            begun = await model_calls.begin(database, work, work.run, _wanted(orders, work))
            break
        except BudgetTaken:
            # Somebody died with the rest, or may need less of it: nobody knows before the lease ends.
            if time.monotonic() > until:
                await claims.hand_over(database, work.claim)
                return "left"
            await asyncio.sleep(_WAIT_SECONDS)
        except BudgetExhausted:
            await claims.hand_over(database, work.claim)
            return "refused"
        work = await claims.look_again(database, configuration, work)
        assert work.run is not None
    database.pass_by("reserved")
    await endings.answer(
        database,
        work,
        work.run,
        begun=begun,
        reply=_reply(),
        cost_usd=begun.reserved_usd,
        say=None,
        status=None,
    )
    database.pass_by("settled")
    return "made"


def _wanted(orders: Orders, work: Work) -> ModelCall:
    return ModelCall(
        seq=1,
        # As large as all others, or nothing: a smaller answer would be another size.
        facts=replace(_FACTS, max_output_tokens=OUTPUT_TOKENS),
        input_tokens=INPUT_TOKENS,
        output_limit=OUTPUT_TOKENS,
        limits=orders.limits,
        context=None if work.steps else {"system": "s", "request": "r"},
        steering=[],
        taken=[message.id for message in work.unread],
        status=None,
    )


def _reply() -> ModelReply:
    usage = Usage(input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS)
    return ModelReply(model=_MODEL, text="done", tool_calls=(), usage=usage, finish="stop")


async def _go_on(
    database: Mortal, configuration: Configuration, refs: list[ConversationRef], orders: Orders
) -> int:
    """Reserve and settle again and again; how many pairs there were."""
    over = time.monotonic() + orders.seconds
    return sum(
        await asyncio.gather(*(_pairs(database, configuration, r, orders, over) for r in refs))
    )


async def _pairs(
    database: Mortal,
    configuration: Configuration,
    ref: ConversationRef,
    orders: Orders,
    over: float,
) -> int:
    work = await claims.take(database, configuration, ref, worker=new_id())
    assert work is not None
    assert work.run is not None
    await model_calls.begin(database, work, work.run, _wanted(orders, work))
    account, made = model_calls.account_of(work, work.run), 0
    while time.monotonic() < over:
        id = ReservationId(new_id())
        async with database.transaction(ref.workspace) as tx:
            await conversations.fence(tx, work.claim)
            asked = await budgets.reserve(
                tx,
                account,
                reservation_id=id,
                step_seq=1,
                epoch=work.claim.epoch,
                model=_MODEL,
                price=_FACTS.price,
                input_tokens=INPUT_TOKENS,
                longest=OUTPUT_TOKENS,
                limits=orders.limits,
                step_input={},
            )
        assert (await asked.one()).amount_usd == SIZE_USD
        async with database.transaction(ref.workspace) as tx:
            await conversations.fence(tx, work.claim)
            settled = await budgets.settle(tx, id, cost_usd=SIZE_USD, usage=_reply().usage)
        assert await settled.first() is not None
        made += 1
    return made


def written(orders: Orders) -> bytes:
    """Orders as a process reads them."""
    return json.dumps(asdict(orders)).encode()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(Orders(**json.load(sys.stdin))))))
