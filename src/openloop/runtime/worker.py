"""The worker: claims conversations, works on them move by move, and lets them go."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from openloop.actions import claims
from openloop.actions.supervised import keep_doing
from openloop.domain.errors import LostClaim, Unavailable
from openloop.plugin import PlaceRights
from openloop.runtime import turn
from openloop.runtime.calling import Postponed
from openloop.runtime.choosing import Choosing
from openloop.runtime.landing import fail
from openloop.runtime.mirror import Mirror
from openloop.runtime.queue import Queue
from openloop.runtime.readership import Readership
from openloop.runtime.slots import Slots
from openloop.runtime.sweep import Sweep
from openloop.storage import conversations

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.conversation import Claim, ConversationRef
    from openloop.domain.ids import ConversationId, WorkspaceId
    from openloop.domain.priority import Priority
    from openloop.runtime.kit import Kit

log = structlog.get_logger(__name__)

RENEW_SECONDS = 2.0
BACKLOG = 500
"""How many conversations of one workspace and priority wait in a worker; the sweep finds the others."""
TRIES = 6
RETRY_SECONDS = (0.5, 1, 2, 5, 10)


class Worker:
    """One process that works on many conversations at a time, each under its own claim."""

    def __init__(self, kit: Kit, *, concurrency: int = 32) -> None:
        self._kit = kit
        self._slots = Slots(concurrency)
        self._silent_on = frozenset(
            name for name, each in kit.surfaces.items() if isinstance(each, PlaceRights)
        )
        self._held: dict[ConversationId, Claim] = {}
        self._active: dict[ConversationId, asyncio.Task[None]] = {}
        self._again: set[ConversationId] = set()
        self._backlog: Counter[tuple[WorkspaceId, Priority]] = Counter()
        self._stopping = False
        self.queue = Queue(kit.database.conninfo, self.wake, concurrency=concurrency)

    async def run(self) -> None:
        """Work until cancelled or `stop`; claims that are held then are handed over."""
        sweep = Sweep(self._kit.database, self._kit.configuration, self.wake)
        mirror = Mirror(self._kit.database, self._kit.surfaces)
        readership = Readership(self._kit.database, self._kit.surfaces)
        background = [
            asyncio.create_task(sweep.run(), name="sweep"),
            asyncio.create_task(keep_doing("leases", self._renew, RENEW_SECONDS), name="leases"),
            asyncio.create_task(mirror.run(), name="mirror"),
            asyncio.create_task(readership.run(), name="readership"),
            asyncio.create_task(Choosing(self._kit).run(), name="choices"),
        ]
        try:
            await self.queue.run()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await asyncio.gather(*self._active.values(), return_exceptions=True)

    def stop(self) -> None:
        """Drain: no new claims; each run stops at its next step boundary and is handed over."""
        self._stopping = True
        self.queue.stop()

    def wake(self, ref: ConversationRef) -> None:
        """Look at a conversation as soon as its workspace has a slot.

        What comes while this process looks at it already is looked at once more after that; what is
        too much for now is left to the sweep.
        """
        if ref.id in self._active:
            self._again.add(ref.id)
        elif not self._stopping and self._backlog[ref.workspace, ref.priority] < BACKLOG:
            self._backlog[ref.workspace, ref.priority] += 1
            task = self._active[ref.id] = asyncio.create_task(self.advance(ref))
            task.add_done_callback(lambda _: self._looked_at(ref))

    def _looked_at(self, ref: ConversationRef) -> None:
        del self._active[ref.id]
        self._backlog[ref.workspace, ref.priority] -= 1
        if ref.id in self._again:
            self._again.discard(ref.id)
            self.wake(ref)

    async def advance(self, ref: ConversationRef) -> None:
        """Claim the conversation and work until it can be let go; then send what is due.

        A conversation that somebody else holds, or on which nothing is due, is left alone.
        """
        async with self._slots.one(ref.workspace, ref.priority):
            if self._stopping:
                return
            try:
                work = await claims.take(
                    self._kit.database,
                    self._kit.configuration,
                    ref,
                    worker=self._kit.worker,
                    silent_on=self._silent_on,
                )
                if work is None:
                    await self._kit.courier.drain(ref)
                else:
                    if work.conversation.has_open_ops:
                        await self._kit.courier.drain(ref)
                    if work.conversation.line_since is not None:
                        await self._wake_next(work)  # there may be room for more than this one
                    await self._work(ref, work)
                    await self._wake_next(work)
                    await self._kit.courier.catch_up(ref)
            except Unavailable as error:
                # The lease lapses and the sweep comes back to it.
                log.warning("postponed", conversation=str(ref.id), reason=str(error))
            except Exception as error:  # noqa: BLE001  # the worker around a run: tried again
                await self._put_off(ref, error)

    async def _work(self, ref: ConversationRef, work: Work) -> None:
        claim = work.claim
        self._held[ref.id] = claim
        try:
            while not await turn.advance(self._kit, work):
                if self._stopping:
                    await claims.hand_over(self._kit.database, work.claim)
                    return
                work = await claims.look_again(self._kit.database, self._kit.configuration, work)
                kept = await claims.keep_place(self._kit.database, work, silent_on=self._silent_on)
                if kept is None:
                    return
                work = kept
        except (Postponed, LostClaim) as ended:
            log.info("left", conversation=str(ref.id), why=type(ended).__name__)
        except Exception as error:  # noqa: BLE001  # the worker around a run: recorded, tried again
            await self._after_error(work, error)
        finally:
            if self._held.get(ref.id) is claim:  # else this process has claimed it anew
                del self._held[ref.id]

    async def _wake_next(self, work: Work) -> None:
        for ref in await claims.next_in_line(self._kit.database, work):
            self.wake(ref)

    async def _put_off(self, ref: ConversationRef, error: Exception) -> None:
        """A conversation that cannot even be read is not tried all the time."""
        kind = type(error).__name__
        log.error("conversation put off", conversation=str(ref.id), error=kind, exc_info=True)
        with contextlib.suppress(Unavailable):
            await claims.put_off(self._kit.database, ref, after_seconds=RETRY_SECONDS[-1])

    async def _after_error(self, work: Work, error: Exception) -> None:
        """Try again a little later; after too many tries the run ends and says so."""
        failures = work.conversation.failures
        log.error(
            "move failed",
            conversation=str(work.conversation.id),
            run=str(work.run.id) if work.run else "",
            error=type(error).__name__,
            failures=failures + 1,
            exc_info=not isinstance(error, Unavailable),
        )
        try:
            if (
                failures + 1 >= TRIES
                and work.run is not None
                and not isinstance(error, Unavailable)
            ):
                reason = "Something failed inside of OpenLoop; it is in its log."
                await fail(self._kit, work, work.run, reason=reason, code="internal")
            else:
                seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                await claims.release_failed(self._kit.database, work.claim, after_seconds=seconds)
        except (LostClaim, Unavailable) as later:
            log.warning("left to the sweep", why=type(later).__name__)

    async def _renew(self) -> None:
        """Keep the leases of everything this process holds."""
        with contextlib.suppress(Unavailable):
            await self._kit.courier.renew()
        by_workspace: dict[WorkspaceId, list[ConversationId]] = {}
        for conversation, claim in self._held.items():
            by_workspace.setdefault(claim.ref.workspace, []).append(conversation)
        for workspace, ids in by_workspace.items():
            with contextlib.suppress(Unavailable):
                async with self._kit.database.transaction(workspace) as tx:
                    await conversations.renew(tx, self._kit.worker, ids)
