"""What tests are about, built through the product's own actions and nothing else.

`stage` is a whole runtime without a network: the real database, the real actions, gate, worker and
courier, and the fakes of `tests.runtime.fakes` at the three ports (surface, model, toolset).
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from openloop.actions import apply, claims
from openloop.actions.asking import ask_again
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.domain.budget import Limit, Limits
from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId, new_id
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.pricing import Price, PriceOverride
from openloop.domain.surface import Actor, Choice, Inbound, Place, Thread
from openloop.models.prices import PriceBook
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.courier import Courier
from openloop.runtime.kit import Kit
from openloop.runtime.worker import Worker
from openloop.storage import (
    approvals,
    audit,
    conversations,
    messages,
    outbox,
    principals,
    rows,
    runs,
    steps,
)
from openloop.storage.usage import Budget
from openloop.tools.registry import Registry
from tests.clock import Clock as Clock
from tests.manifests import AGENT as AGENT
from tests.manifests import CHANNEL as CHANNEL
from tests.manifests import MODEL as MODEL
from tests.manifests import WORKSPACE as WORKSPACE
from tests.manifests import agent_manifest as agent_manifest
from tests.manifests import agent_yaml as agent_yaml
from tests.manifests import applied_agent as applied_agent
from tests.manifests import applied_workspace as applied_workspace
from tests.manifests import workspace_manifest as workspace_manifest
from tests.manifests import workspace_yaml as workspace_yaml
from tests.runtime.fakes import TENANT, FakeModels, FakeSurface, FakeTracker, Killed, reply

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from psycopg.types.json import Jsonb

    from openloop.actions.apply import Applied
    from openloop.actions.claims import Work
    from openloop.actions.receive import Received
    from openloop.domain.approval import Approval
    from openloop.domain.audit import AuditEvent
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
    from openloop.domain.step import Step
    from openloop.domain.surface import Addressed, InboundKind
    from openloop.models.client import GatewayClient
    from openloop.plugin import Surface, Tool
    from openloop.storage.database import Database, Transaction
    from openloop.storage.messages import Message

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CREATE = ("github__create_issue", '{"repo": "acme/platform", "title": "Move to Postgres 16"}')
READ = ("github__get_issue", '{"repo": "acme/platform", "number": 1}')
NOTE = ("memory__note", '{"kind": "decision", "text": "We move to Postgres 16."}')

_count = itertools.count(1)


# --- what comes in -------------------------------------------------------------------------------


def place(channel: str = CHANNEL) -> Place:
    """A channel by its id."""
    return Place(surface="slack", tenant=TENANT, container=channel)


def thread(root: str = "root-1", *, channel: str = CHANNEL) -> Thread:
    """A thread in a channel."""
    return Thread(place=place(channel), root=root)


def actor(name: str) -> Actor:
    """Somebody on the platform; the manifest's people have such ids."""
    return Actor(surface="slack", tenant=TENANT, id=f"U0{name.upper()}")


def inbound(
    text: str = "please open an issue",
    *,
    by: str = "ben",
    root: str = "root-1",
    channel: str = CHANNEL,
    kind: InboundKind = "message",
    addressed: Addressed = "mention",
    message_id: str | None = None,
    delivery_key: str | None = None,
    subject_key: str | None = None,
) -> Inbound:
    """A message (or an edit, a deletion) with keys of its own, unless they are given."""
    number = next(_count)
    message_id = message_id or f"message-{number}"
    return Inbound(
        delivery_key=delivery_key or f"delivery-{number}",
        subject_key=subject_key or f"{kind}:{message_id}:{number}",
        kind=kind,
        thread=thread(root, channel=channel),
        actor=actor(by),
        message_id=message_id,
        occurred_at=NOON,
        text=text,
        typed=text,
        addressed=addressed,
        link=f"https://slack.example/{message_id}",
    )


def click(
    action: str, token: str, *, by: str, root: str = "root-1", channel: str = CHANNEL
) -> Inbound:
    """Somebody presses one of our buttons."""
    return replace(
        inbound("", by=by, root=root, channel=channel),
        kind="choice",
        choice=Choice(action=action, token=token, message_id="card"),
    )


# --- a runtime -----------------------------------------------------------------------------------


@dataclass
class Stage:
    """A workspace with an agent, and a runtime around it that a test drives move by move."""

    database: Database
    workspace: WorkspaceId
    configuration: Configuration
    surface: FakeSurface
    models: FakeModels
    tracker: FakeTracker
    registry: Registry
    intake: Intake

    def kit(self, database: Database | None = None) -> Kit:
        """What a new worker process would be made of."""
        worker, database = new_id(), database or self.database
        surfaces: dict[str, Surface] = {"slack": self.surface}
        return Kit(
            worker=worker,
            database=database,
            configuration=self.configuration,
            surfaces=surfaces,
            registry=self.registry,
            models=cast("GatewayClient", self.models),
            prices=_prices,
            courier=Courier(database, surfaces, worker),
        )

    async def say(self, text: str = "please open an issue", **details: Any) -> Received:
        """Somebody says something to the agent."""
        return await self.take(inbound(text, **details))

    async def take(self, event: Inbound) -> Received:
        """Take in an event as the API does."""
        return await self.intake.take(event)

    async def mention(self, text: str = "please open an issue", **details: Any) -> ConversationRef:
        """Somebody mentions the agent; the conversation that this woke."""
        received = await self.say(text, **details)
        assert received.conversation is not None, received
        return received.conversation

    async def claim(self, ref: ConversationRef, kit: Kit | None = None) -> Work:
        """Take the conversation for a worker."""
        kit = kit or self.kit()
        work = await claims.take(self.database, self.configuration, ref, worker=kit.worker)
        assert work is not None, "somebody holds the conversation, or nothing is due"
        return work

    async def claim_by_force(self, ref: ConversationRef) -> Work:
        """Take a conversation in which nothing is due, as a timer does."""
        async with self.tx() as tx:
            await conversations.bump(tx, ref.id)
        return await self.claim(ref)

    async def take_in(self, event: Inbound) -> Received:
        """Take in an event of this workspace, whatever its installation says."""
        return await self.intake.take(event, self.workspace)

    async def work(self, ref: ConversationRef, kit: Kit | None = None) -> None:
        """Let a new worker do all that is due in the conversation."""
        await Worker(kit or self.kit()).advance(ref)

    async def sweep_and_work(self, ref: ConversationRef) -> None:
        """The timers and leases of the conversation run out, and a new worker takes it up."""
        await self.lapse(ref)
        await self.work(ref)

    async def lapse(self, ref: ConversationRef) -> None:
        """Let all leases and backoffs of the conversation run out: its worker is dead."""
        async with self.tx() as tx:
            await tx.run(
                """
                UPDATE conversations SET lease_until = openloop.now() - interval '1 second'
                WHERE id = %(id)s AND claimed_by IS NOT NULL
                """,
                {"id": ref.id},
            )
            await tx.run(
                """
                UPDATE conversations SET wake_at = openloop.now() - interval '1 second'
                WHERE id = %(id)s AND wake_at IS NOT NULL
                """,
                {"id": ref.id},
            )
            await tx.run(
                """
                UPDATE outbox SET not_before = NULL, lease_until = openloop.now() - interval '1 second'
                WHERE conversation_id = %(id)s AND state IN ('queued', 'sending')
                """,
                {"id": ref.id},
            )

    async def hold(self, ref: ConversationRef | None = None) -> tuple[ConversationRef, str]:
        """A run that waits for an approval; the conversation, and the token of the card's buttons."""
        self.models.turns = [reply("I will open it.", CREATE), reply("All done.")]
        ref = ref or await self.mention()
        await self.work(ref)
        return ref, self.token()

    async def hold_quietly(self, **where: Any) -> tuple[ConversationRef, Approval]:
        """A run that waits for an approval, whether or not a card asks for it."""
        self.models.turns = [reply("I will open it.", CREATE), reply("All done.")]
        ref = await self.mention(**where)
        await self.work(ref)
        return ref, await self.approval(ref)

    def token(self) -> str:
        """The token of the newest card."""
        return self.surface.cards[-1].buttons[0].token

    def tokens(self) -> list[str]:
        """The tokens of every held call on every card, in their order."""
        asked = (each for card in self.surface.cards for each in card.asked)
        return [each.buttons[0].token for each in asked]

    async def press(self, action: str, *, by: str, token: str | None = None, **where: Any) -> None:
        """Somebody presses a button of the newest card."""
        await self.take(click(action, token or self.token(), by=by, **where))

    def tx(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in the workspace."""
        return self.database.transaction(self.workspace)

    async def run_of(self, ref: ConversationRef) -> Run:
        """The newest run of the conversation."""
        async with self.tx() as tx:
            found = await runs.list_newest(tx, limit=50)
        return next(run for run in found if run.conversation_id == ref.id)

    async def runs(self) -> list[Run]:
        """Every run, newest first."""
        async with self.tx() as tx:
            return await runs.list_newest(tx, limit=500)

    async def approval(self, ref: ConversationRef) -> Approval:
        """The newest approval of the conversation's newest run."""
        run = await self.run_of(ref)
        async with self.tx() as tx:
            return (await approvals.list_of_run(tx, run.id))[-1]

    async def approvals(self, ref: ConversationRef) -> list[Approval]:
        """Every approval of the conversation's newest run; what was asked anew comes last."""
        run = await self.run_of(ref)
        async with self.tx() as tx:
            return await approvals.list_of_run(tx, run.id)

    async def count(self, table: str) -> int:
        """How many rows a table has in this workspace."""
        async with self.tx() as tx:
            return await tx.value(f"SELECT count(*) FROM {table}")  # noqa: S608  # pyright: ignore

    async def steps(self, run: Run) -> list[Step]:
        """The journal of a run."""
        async with self.tx() as tx:
            return await steps.list_of(tx, run.id)

    async def unread(self, ref: ConversationRef) -> list[Message]:
        """What nobody has read yet."""
        async with self.tx() as tx:
            return await messages.list_unread(tx, ref.id)

    async def outbox(self, ref: ConversationRef) -> list[OutboxRow]:
        """Everything that was put into the conversation's outbox, in order."""
        async with self.tx() as tx:
            return await outbox.list_after(tx, ref.id, 0, limit=500)

    async def audit(self, kind: str | None = None) -> list[AuditEvent]:
        """The audit, oldest first."""
        async with self.tx() as tx:
            return (await audit.list_newest(tx, limit=1000, kind=kind))[::-1]

    async def kinds(self, prefix: str | None = None) -> list[str]:
        """The kinds of the audit's events, oldest first."""
        return [event.kind for event in await self.audit(prefix)]

    async def principal(self, name: str) -> Principal:
        """A person of the manifest."""
        async with self.tx() as tx:
            found = await principals.find_by_name(tx, name)
        assert found is not None
        return found

    async def budgets(self) -> dict[str, Budget]:
        """The budget rows by axis (of the newest run, where there are several)."""
        async with self.tx() as tx:
            found = await tx.all(
                Budget,
                """
                SELECT axis, span, subject, period, on_exceeded, limit_usd, extra_usd, settled_usd,
                       reserved_usd, overrun_usd, limit_tokens, extra_tokens, settled_tokens,
                       reserved_tokens, overrun_tokens, told
                FROM budgets ORDER BY subject
                """,
            )
        return {row.axis: row for row in found}

    async def revise(self, spec: Mapping[str, Any] | None = None) -> Applied:
        """Apply another revision of the agent."""
        return await applied_agent(self.database, self.workspace, spec)

    async def revise_workspace(self, spec: Mapping[str, Any]) -> Applied:
        """Apply another revision of the workspace."""
        return await applied_workspace(self.database, self.workspace, spec)


async def stage(
    database: Database,
    *,
    agent: Mapping[str, Any] | None = None,
    workspace: Mapping[str, Any] | None = None,
    name: str = "acme",
) -> Stage:
    """A workspace with one agent in #DEV; parts of both specs can be replaced."""
    id = await apply.ensure_workspace(database, name)
    await applied_workspace(database, id, workspace, name=name)
    await applied_agent(database, id, agent)
    surface, tracker = FakeSurface(), FakeTracker()
    configuration = Configuration({"slack": surface})
    return Stage(
        database=database,
        workspace=id,
        configuration=configuration,
        surface=surface,
        models=FakeModels(turns=[reply("All done.")]),
        tracker=tracker,
        registry=Registry((tracker.toolset(), memory_toolset())),
        intake=Intake(database, configuration),
    )


async def stage_of(
    database: Database, like: Stage, name: str, *, workspace: Mapping[str, Any]
) -> Stage:
    """A second workspace in the same database, with the same platforms around it."""
    id = await apply.ensure_workspace(database, name)
    await applied_workspace(database, id, workspace, name=name)
    return replace(like, workspace=id)


async def emptied(stage: Stage) -> None:
    """Forget every run of the workspace and all that came of it; manifests and people stay."""
    tables = [
        "votes",
        "broken_glasses",
        "approvals",
        "memories",
        "outbox",
        "reservations",
        "budgets",
        "steps",
        "messages",
        "runs",
    ]
    async with stage.tx() as tx:
        for table in (*tables, "conversations", "taken_keys"):
            await tx.run(f"DELETE FROM {table}")  # noqa: S608  # pyright: ignore[reportArgumentType]
    stage.surface, stage.models, stage.tracker = FakeSurface(), FakeModels(), FakeTracker()
    stage.registry = Registry((stage.tracker.toolset(), memory_toolset()))


async def killed_after_the_effect(stage: Stage, ref: ConversationRef) -> ConversationRef:
    """A worker that died when the approved call had happened and nobody knew of it yet."""

    async def die(key: str) -> None:
        stage.tracker.after = None
        raise Killed

    stage.tracker.after = die
    with contextlib.suppress(Killed):
        await stage.work(ref)
    assert (await stage.approval(ref)).state == "executing"
    return ref


def registry_of(*tools: Tool) -> Registry:
    """A registry whose tracker has these tools only."""
    toolset = replace(FakeTracker().toolset(), tools=tools)
    return Registry((toolset, memory_toolset()))


def as_json(value: object) -> Jsonb:
    """A parameter for a jsonb column."""
    return rows.json(value)


def limits(
    *, workspace: str | None = None, agent: str | None = None, run: str | None = None
) -> Limits:
    """Limits in dollars; an axis that is not named has none."""
    dollars = {"workspace": workspace, "agent": agent, "run": run}
    return tuple(
        Limit(
            axis=axis,
            span="run" if axis == "run" else "month",
            usd=None if (usd := dollars[axis]) is None else Decimal(usd),
        )
        for axis in ("workspace", "agent", "run")
    )


def without_surfaces(kit: Kit) -> Kit:
    """The kit of an installation that has no surface configured."""
    return replace(kit, surfaces={}, courier=Courier(kit.database, {}, kit.worker))


def _prices(workspace: WorkspaceManifest) -> PriceBook:
    return PriceBook(
        {
            model: PriceOverride(
                price=Price(
                    input_per_million=price.input_per_million,
                    output_per_million=price.output_per_million,
                ),
                max_output_tokens=price.max_output_tokens,
                context_window=price.context_window,
            )
            for model, price in workspace.spec.prices.items()
        }
    )


async def add_conversation(
    tx: Transaction, workspace: WorkspaceId, *, root: str = "root-9"
) -> ConversationId:
    """A conversation in which nothing was said."""
    return await conversations.open_conversation(
        tx, workspace, thread(root), id=new_id(), agent_id=None
    )


__all__ = ["ask_again"]
