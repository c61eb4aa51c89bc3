"""The product around the suites: its database, gate, journal, approvals and worker, in one process.

Nothing of the runtime is replaced. What stands outside of it is: the platform, the model, and the
tools, which are AgentDojo's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.agentdojo.surroundings import (
    MODEL,
    SURFACE,
    TENANT,
    Platform,
    ScriptedModel,
    Stagehands,
    toolset,
)
from openloop.actions import apply, claims, manifests
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.actions.manifests import ManifestFile, Proposal
from openloop.domain.audit import SYSTEM
from openloop.domain.ids import new_id
from openloop.domain.pricing import Price, PriceOverride
from openloop.domain.surface import Actor, Inbound, Place, Thread
from openloop.domain.typed import typed_in_markdown
from openloop.models.prices import PriceBook
from openloop.runtime import turn
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.courier import Courier
from openloop.runtime.kit import Kit
from openloop.runtime.worker import Worker
from openloop.runtime.world import InstalledWorld
from openloop.storage import principals
from openloop.tools.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from bench.agentdojo.suites import Suite, Suites
    from openloop.actions.receive import Received
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.principal import Principal
    from openloop.models.client import GatewayClient
    from openloop.plugin import Surface
    from openloop.storage.database import Database, Transaction

WORKSPACE = "agentdojo"
REQUESTER, APPROVER = "ben", "anna"
MANIFESTS = Path(__file__).with_name("manifests")

_FREE = PriceOverride(
    price=Price(input_per_million=Decimal(0), output_per_million=Decimal(0)),
    max_output_tokens=4096,
    context_window=10_000_000,
)


class Journaled(Exception):
    """The calls of a model step are on record, and nothing has been done about them yet."""


class Halt(Courier):
    """Where a run forwards what it asked people for, right after it was journaled, it goes no further."""

    async def forward(
        self, ref: ConversationRef, rows: Sequence[OutboxRow], thread: Thread
    ) -> None:
        raise Journaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A workspace with an agent for each suite and table, and a worker that acts for them."""

    database: Database
    workspace: WorkspaceId
    configuration: Configuration
    intake: Intake
    kit: Kit
    worker: Worker
    hands: Stagehands
    suites: Mapping[str, Suite]
    approver: Principal
    began_at: datetime

    def tx(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction in the workspace."""
        return self.database.transaction(self.workspace)

    async def ask(self, agent: str, text: str, *, root: str) -> Received:
        """Somebody mentions an agent in its channel, in a new thread."""
        place = Place(surface=SURFACE, tenant=TENANT, container=agent)
        return await self.intake.take(
            Inbound(
                delivery_key=root,
                subject_key=f"message:{root}",
                kind="message",
                thread=Thread(place=place, root=root),
                actor=Actor(surface=SURFACE, tenant=TENANT, id=f"U0{REQUESTER.upper()}"),
                message_id=root,
                occurred_at=self.began_at,
                text=text,
                typed=typed_in_markdown(text),
                addressed="mention",
            )
        )

    async def decide(self, ref: ConversationRef) -> None:
        """Take the conversation and its first model step, until what that asked for is decided."""
        work = await claims.take(self.database, self.configuration, ref, worker=self.kit.worker)
        assert work is not None
        courier = Halt(self.database, self.kit.surfaces, self.kit.worker)
        with suppress(Journaled):
            await turn.advance(replace(self.kit, courier=courier), work)


async def staged(suites: Suites, database: Database) -> Stage:
    """Everything built in an empty database, and every manifest of `manifests/` applied."""
    known = await suites.all()
    hands = Stagehands(suites=suites)
    workspace = await apply.ensure_workspace(database, WORKSPACE)
    configuration, model = Configuration(), cast("GatewayClient", ScriptedModel(hands))
    surfaces: dict[str, Surface] = {SURFACE: Platform()}
    registry = Registry((*(toolset(each, hands) for each in known), memory_toolset()))
    world = InstalledWorld(surfaces=surfaces, registry=registry, models=model, prices=_prices)
    await _apply(database, workspace, world)
    worker = new_id()
    kit = Kit(
        worker=worker,
        database=database,
        configuration=configuration,
        surfaces=surfaces,
        registry=registry,
        models=model,
        prices=_prices,
        courier=Courier(database, surfaces, worker),
    )
    async with database.transaction(workspace) as tx:
        approver = await principals.find_by_name(tx, APPROVER)
        began_at = await tx.now()
    assert approver is not None
    return Stage(
        database=database,
        workspace=workspace,
        configuration=configuration,
        intake=Intake(database, configuration),
        kit=kit,
        worker=Worker(kit),
        hands=hands,
        suites={each.name: each for each in known},
        approver=approver,
        began_at=began_at,
    )


async def _apply(database: Database, workspace: WorkspaceId, world: InstalledWorld) -> None:
    async with database.transaction(workspace) as tx:
        by = await principals.ensure_service(tx, workspace, "bench")
    files = [
        ManifestFile(name=str(path.relative_to(MANIFESTS)), text=path.read_text())
        for path in sorted(MANIFESTS.rglob("*.yaml"))
    ]
    proposal = Proposal(by=by, who=SYSTEM, origin="bench")
    applied = await manifests.apply_files(
        database, workspace, files, world=world, proposal=proposal
    )
    inactive = [each for one in applied for each in one.inactive]
    assert not inactive, inactive


def _prices(workspace: WorkspaceManifest) -> PriceBook:
    return PriceBook({MODEL: _FREE})
