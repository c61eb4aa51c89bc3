"""From a verified delivery to committed rows: what webhooks, Socket Mode and the console share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import choosing, investigating, linking
from openloop.actions.offboarding import departed
from openloop.actions.receive import Received, Taken, receive
from openloop.actions.twins import Twins
from openloop.actions.vote import click
from openloop.domain.audit import Who
from openloop.domain.manifest_agent import waking_labels, watching
from openloop.storage import deliveries

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.surface import Accepted, Departure, Inbound
    from openloop.storage.conversations import Addressee
    from openloop.storage.database import Database, Transaction


class Intake:
    """Commits events. It returns when they are committed, and raises where they could not be."""

    def __init__(self, database: Database, configuration: Configuration) -> None:
        self._database = database
        self._configuration = configuration
        # An installation never moves to another workspace, so a found one is kept for good.
        self._workspaces: dict[tuple[str, str], WorkspaceId] = {}
        self._twins = Twins()

    async def __call__(self, accepted: Accepted) -> None:
        """Take in every event of a delivery; events of unknown installations are ignored.

        Raises:
            Unavailable: nothing was committed for the event, and the platform must deliver again
        """
        for inbound in accepted.events:
            await self.take(inbound)
        for departure in accepted.departures:
            await self._see_off(departure)

    async def _see_off(self, departure: Departure) -> None:
        """A person is gone from a platform: in every workspace that this one speaks for."""
        workspace = await self._workspace(departure.surface, departure.installation)
        if workspace is not None:
            by = Who(kind="system", name=departure.surface, via=departure.surface)
            await departed(self._database, workspace, departure, by=by)

    async def take(self, inbound: Inbound, workspace: WorkspaceId | None = None) -> Received:
        """Take in one event; `workspace` where the caller has authenticated it already."""
        place = inbound.thread.place
        workspace = workspace or await self._workspace(place.surface, place.tenant)
        if workspace is None:
            return Received(taken=Taken.IGNORED)
        if inbound.kind == "build_failed":
            asked = investigating.asked_about(inbound)
            if asked is None:
                return Received(taken=Taken.IGNORED)
            inbound = asked
        if inbound.kind == "choice" and inbound.from_anybody:
            await choosing.keep(self._database, workspace, inbound)
            return Received(taken=Taken.CHANGED)
        if inbound.kind == "choice":
            await click(self._database, self._configuration, workspace, inbound)
            return Received(taken=Taken.CHANGED)
        if not inbound.from_anybody and (code := linking.code_in(inbound)) is not None:
            await linking.offer(self._database, workspace, inbound, code)
            return Received(taken=Taken.CHANGED)
        subject = (workspace, inbound.thread.place.surface, inbound.subject_key)
        async with self._twins.alone(subject) as was_taken:
            if was_taken:
                return Received(taken=Taken.DUPLICATE)
            received = await receive(self._database, workspace, inbound, wakes=self._wakes)
            if received.taken is not Taken.IGNORED:
                self._twins.note(subject)
        return received

    async def _workspace(self, surface: str, tenant: str) -> WorkspaceId | None:
        known = self._workspaces.get((surface, tenant))
        if known is not None:
            return known
        async with self._database.directory() as tx:
            found = await deliveries.find_workspace(tx, surface, tenant)
        if found is not None:
            self._workspaces[surface, tenant] = found
        return found

    async def _wakes(self, tx: Transaction, addressee: Addressee) -> frozenset[str]:
        assert addressee.agent_id is not None  # noqa: S101  # asked only where an agent is bound
        assert addressee.revision_id is not None  # noqa: S101  # an applied agent has one
        governing = await self._configuration.governing(
            tx, addressee.agent_id, addressee.revision_id
        )
        spec = governing.live.spec
        words = (
            word
            for binding in spec.surfaces
            for word in (*waking_labels(binding), *watching(binding))
        )
        return frozenset((*spec.wake, *words))
