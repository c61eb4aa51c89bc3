"""What the tests of money share: calls at a dollar per thousand tokens."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from openloop.actions import endings, model_calls
from openloop.actions.model_calls import ModelCall
from openloop.domain.model import ModelReply
from openloop.domain.pricing import ModelFacts, Price
from openloop.storage import accounts
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.model_calls import Begun
    from openloop.domain.budget import Limits
    from openloop.storage.database import Transaction
    from tests.make import Stage

# A dollar per thousand tokens, in and out.
FACTS = ModelFacts(
    model=make.MODEL,
    provider="ollama",
    price=Price(input_per_million=Decimal(1000), output_per_million=Decimal(1000)),
    max_output_tokens=1_000_000,
    context_window=100_000,
)
CALL = Decimal("1.1")
"""What a call of 100 tokens in and 1,000 out reserves."""


async def begin(
    stage: Stage,
    work: Work,
    limits: Limits,
    *,
    facts: ModelFacts = FACTS,
    input_tokens: int = 100,
    output_limit: int = 1000,
) -> Begun:
    """Reserve for the first model call of a claimed run."""
    assert work.run is not None
    call = ModelCall(
        seq=1,
        facts=facts,
        input_tokens=input_tokens,
        output_limit=output_limit,
        limits=limits,
        context=None if work.steps else {"system": "s", "request": "r"},
        steering=[],
        taken=[message.id for message in work.unread],
        status=None,
    )
    return await model_calls.begin(stage.database, work, work.run, call)


async def open_rows(tx: Transaction, stage: Stage, work: Work) -> None:
    """Make the budget rows of a claimed run."""
    assert work.run is not None
    await accounts.open_rows(tx, stage.workspace, agent_id=work.run.agent_id, run_id=work.run.id)


def used(input_tokens: int, output_tokens: int) -> ModelReply:
    return reply("done", usage=(input_tokens, output_tokens))


async def answer(stage: Stage, work: Work, begun: Begun, said: ModelReply) -> None:
    """Finish a run with what its only call used, at a dollar per thousand tokens."""
    assert work.run is not None
    cost = Decimal(said.usage.input_tokens + said.usage.output_tokens) / 1000
    await endings.answer(
        stage.database,
        work,
        work.run,
        begun=begun,
        reply=said,
        cost_usd=None if said.usage.assumed else cost,
        say=None,
        status=None,
    )


async def claimed(stage: Stage, count: int) -> list[Work]:
    """As many claimed runs, each in a thread of its own."""
    refs = [await stage.mention(root=f"root-{n}") for n in range(count)]
    return [await stage.claim(ref) for ref in refs]


async def lapsed(stage: Stage) -> None:
    """Let the lease of every reservation run out."""
    async with stage.tx() as tx:
        await tx.run("UPDATE reservations SET lease_until = openloop.now() - interval '1 second'")
