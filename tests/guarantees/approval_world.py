"""The product driven step by step beside the model: after each step both have to agree.

Everything goes through the product's own doors: mentions, clicks, the API's actions, manifests, the
worker. What the outside world saw is compared with what the model allows.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from openloop.actions import effects, waiting
from openloop.actions.breaking import BREAK_GLASS, ask_to_break
from openloop.actions.cancel import cancel
from openloop.actions.vote import vote
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Conflict, Forbidden, Invalid, LostClaim
from openloop.domain.step import StepState
from openloop.domain.surface import Ask as AskOp
from openloop.domain.surface import Say, Settle
from openloop.runtime import editing
from tests import make
from tests.guarantees.approval_manifests import PER_RUN, agent_spec, workspace_spec
from tests.guarantees.approval_rules import Ask, Broken, Rule, World
from tests.runtime.fakes import Killed, reply

if TYPE_CHECKING:
    from openloop.domain.approval import Approval, Decision
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.ids import ApprovalId
    from openloop.domain.surface import Asked
    from tests.make import Clock, Stage

LIVE = tuple(map(ApprovalState, ("pending", "approved", "executing", "unknown")))
Door = Literal["click", "api"]
Crash = Literal["before", "after", "lost", "later"]


class Driver:
    """A stage, the model beside it, and what people can do."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self.stage, self.clock, self.world = stage, clock, World()
        self.refs: list[ConversationRef] = []
        self.begun: dict[ConversationRef, Rule] = {}
        self.titles: dict[tuple[ConversationRef, int], str] = {}
        self.requesters: dict[ConversationRef, str] = {}
        self.asks: dict[ApprovalId, Ask] = {}
        self.rows: dict[ApprovalId, tuple[ConversationRef, Approval]] = {}
        self.approved: dict[ApprovalId, Approval] = {}
        self.edits = 0
        self._writes = 0
        self._not_sent: set[int] = set()

    async def begin(self) -> None:
        """Apply the first manifests."""
        await self.stage.revise_workspace(workspace_spec(self.world))
        await self.stage.revise(agent_spec(self.world))

    # --- what people do --------------------------------------------------------------------------

    async def ask(self, *titles: str, by: str = "ben") -> None:
        """Somebody wants issues of these titles, all in one step."""
        calls = [
            ("github__create_issue", json.dumps({"repo": "acme/platform", "title": title}))
            for title in titles
        ]
        self.stage.models.turns = [reply("These.", *calls), reply("All done.")]
        ref = await self.stage.mention(by=by, root=f"root-{len(self.refs)}")
        self.refs.append(ref)
        self.begun[ref], self.requesters[ref] = self.world.rule, by
        for index, title in enumerate(titles):
            self.titles[ref, 2 + index] = title
        await self.stage.work(ref)
        await self.look()

    async def vote(
        self,
        who: str,
        decision: Decision = "approve",
        *,
        on: int = -1,
        door: Door = "click",
        seen: bool = True,
    ) -> None:
        """Somebody decides; without `seen` they have read what was there before an edit."""
        picked = self._pick(on)
        if picked is None:
            return
        id, (ref, row) = picked
        ask, before = self.asks[id], row.state
        counted = await self._counted(id, ref, who, decision, door=door, seen=seen)
        is_open = before is ApprovalState.PENDING and ask.is_in_time(self.world)
        is_unknown = before is ApprovalState.UNKNOWN
        expected = (
            (is_open if decision in ("approve", "deny") else is_unknown)
            and ask.may_decide(who, self.world)
            and (seen or row.round == 1)
            and not (decision in ("approve", "retry") and ask.has_said(who, self.world))
        )
        if counted and not expected:
            raise Broken(f"I4: {decision} of {who} counted for {ask}")
        if expected and not counted:
            raise Broken(f"{decision} of {who} did not count for {ask}")
        if counted:
            match decision:
                case "approve":
                    ask.approving.add(who)
                case "retry":
                    ask.retry(who, self.world)
                case "deny" | "happened":
                    ask.is_over = True
        await self.look()

    async def edit(self, who: str, *, on: int = -1) -> None:
        """Somebody writes another title."""
        picked = self._pick(on)
        if picked is None:
            return
        id, (_, row) = picked
        ask, title = self.asks[id], f"edited {self.edits}"
        self.edits += 1
        try:
            await editing.edit(
                self.stage.kit(),
                self.stage.workspace,
                id,
                {"repo": "acme/platform", "title": title},
                seen=row.hash,
                by=await self.stage.principal(who),
                via="api",
            )
        except (Conflict, Forbidden, Invalid):
            await self.look()
            return
        if row.state is not ApprovalState.PENDING or not replace(ask, editor=None).may_decide(
            who, self.world
        ):
            raise Broken(f"I4: {who} edited {ask}")
        ask.title, ask.editor = title, who
        ask.approving, ask.glass = set(), None
        # It is asked anew: what decides a hold now decides this one from now on.
        ask.rules, ask.solo_mode = frozenset({ask.begun, self.world.rule}), self.world.solo_mode
        await self.look()

    async def withdraw(self, *, on: int = -1) -> None:
        """Somebody takes an ask back."""
        picked = self._pick(on)
        if picked is None:
            return
        id, _ = picked
        with contextlib.suppress(Conflict):
            await waiting.withdraw(
                self.stage.database, self.stage.workspace, id, by=SYSTEM, reason="not needed"
            )
            self.asks[id].is_over = True
        await self.look()

    async def stop(self, *, on: int = -1) -> None:
        """Somebody stops the run that asks."""
        picked = self._pick(on)
        if picked is None:
            return
        ref = picked[1][0]
        with contextlib.suppress(Conflict):
            await cancel(
                self.stage.database,
                self.stage.workspace,
                (await self.stage.run_of(ref)).id,
                by=SYSTEM,
            )
            for id, (of, _) in self.rows.items():
                if of == ref:
                    self.asks[id].is_over = True
        await self.look()

    async def break_glass(self, who: str, *, on: int = -1, click: bool = True) -> None:
        """An owner writes down why, and confirms it by a click."""
        picked = self._pick(on)
        if picked is None:
            return
        id, (ref, row) = picked
        state = row.state
        try:
            await ask_to_break(
                self.stage.database,
                self.stage.configuration,
                self.stage.workspace,
                id,
                by=await self.stage.principal(who),
                via="api",
                reason="it burns",
            )
        except (Conflict, Forbidden):
            await self.look()
            return
        if who not in self.world.owners or len(self.world.owners) < 2:
            raise Broken(f"{who} was let near the glass of {self.asks[id]}")
        await self.look()
        if self.rows[id][1].state is not state:
            raise Broken("A token broke the glass")
        if click:
            says = [op for op in self.stage.surface.posted.values() if isinstance(op, Say)]
            token = [op for op in says if op.buttons][-1].buttons[0].token
            await self.stage.take(make.click(BREAK_GLASS, token, by=who, root=self._root(ref)))
            await self.look()
            if self.rows[id][1].state is ApprovalState.APPROVED:
                self.asks[id].glass = (who, self.world.hours)

    # --- what changes around them ----------------------------------------------------------------

    async def change(self, **world: Any) -> None:
        """Other people, other rules: an apply."""
        before, self.world = self.world, replace(self.world, **world)
        if workspace_spec(before) != workspace_spec(self.world):
            await self.stage.revise_workspace(workspace_spec(self.world))
        if agent_spec(before) != agent_spec(self.world):
            try:
                await self.stage.revise(agent_spec(self.world))
            except Invalid:  # more have to agree than may vote: what was in force stays so
                self.world = before
        await self.look()

    async def reword(self, wording: str) -> None:
        """An apply that has nothing to do with what is held."""
        with contextlib.suppress(Invalid):
            await self.stage.revise(agent_spec(self.world, wording=wording))
        await self.look()

    async def wait(self, hours: float) -> None:
        """Time passes."""
        await self.clock.advance(hours=hours)
        self.world = self.world.with_hours(hours)
        await self.look()

    async def work(self, *, crash: Crash | None = None) -> None:
        """Workers do all that is due; the first effect may end in some way."""
        due = [id for id, ask in self.asks.items() if self._should_run(id, ask)]
        tracker, before = self.stage.tracker, len(self.stage.tracker.writes)
        self._arm(crash)
        for ref in self.refs:
            with contextlib.suppress(Killed):
                await self.stage.sweep_and_work(ref)
        tracker.before = tracker.after = None
        tracker.next = []
        if crash == "later" and len(tracker.writes) > before:
            self._not_sent.add(before)
        if crash is not None:  # the next worker finds what the dead one left
            for ref in self.refs:
                await self.stage.sweep_and_work(ref)
        await self.look()
        for id in due:
            if self.rows[id][1].state is ApprovalState.APPROVED and crash is None:
                raise Broken(f"{self.asks[id]} was approved and does not run")

    async def replay(self, *, on: int = -1) -> None:
        """A worker that read an approval long ago wakes up and wants to use it up again."""
        picked = self._pick(on)
        if picked is None:
            return
        id, (ref, row) = picked
        run = await self.stage.run_of(ref)
        if run.state.is_over:
            return
        work = await self.stage.claim_by_force(ref)
        assert work.run is not None
        step = next(step for step in work.steps if step.seq == row.step_seq)
        stale = self.approved.get(id, replace(row, state=ApprovalState.APPROVED))
        with contextlib.suppress(LostClaim):
            begun = await effects.begin(
                self.stage.database,
                self.stage.configuration,
                work,
                work.run,
                replace(step, state=StepState.HELD),
                stale,
                recheck=lambda _, __: None,
            )
            if begun.state is StepState.STARTED and row.state is not ApprovalState.APPROVED:
                raise Broken(f"I5: an approval that is {row.state} was used up")
        await self.stage.lapse(ref)
        await self.look()

    # --- what is compared ------------------------------------------------------------------------

    async def look(self) -> None:
        """Read everything that can be seen, and compare it with the model."""
        for ref in self.refs:
            await self.stage.kit().courier.drain(ref)
            for row in await self.stage.approvals(ref):
                if row.id not in self.asks:
                    self.asks[row.id] = self._asked(ref, row)
                self.rows[row.id] = (ref, row)
                if row.state is ApprovalState.APPROVED:
                    self.approved[row.id] = row
        self._judge_writes()
        for id, times in (await self._lost()).items():
            self.asks[id].lose(times)
        self._judge_cards()
        await self.judge_money()
        await self._judge_record()
        for id, (_, row) in self.rows.items():
            if row.state is ApprovalState.DENIED and not self.asks[id].is_over:
                raise Broken("Something was rejected that nobody rejected")
            self.asks[id].is_over |= row.state not in LIVE

    def _asked(self, ref: ConversationRef, row: Approval) -> Ask:
        before = [
            self.asks[id]
            for id, (of, other) in self.rows.items()
            if of == ref and other.step_seq == row.step_seq
        ]
        title = before[-1].title if before else self.titles[ref, row.step_seq]
        editor = before[-1].editor if before else None
        return Ask(
            title=title,
            requester=self.requesters[ref],
            rules=frozenset({self.begun[ref], self.world.rule}),
            solo_mode=self.world.solo_mode,
            asked_at=self.world.hours,
            begun=self.begun[ref],
            editor=editor,
        )

    def _judge_writes(self) -> None:
        """I1 to I5: every effect, when it happened."""
        for index, key in enumerate(self.stage.tracker.writes[self._writes :], self._writes):
            run, _, seq = key.partition(":")
            found = [
                id
                for id, (_, row) in self.rows.items()
                if str(row.run_id) == run and row.step_seq == int(seq)
            ]
            if not found:
                raise Broken("I2: an effect without an approval")
            ask = self.asks[found[-1]]
            problem = ask.why_not(self.world, title=self.stage.tracker.wanted[key]["title"])
            if problem is not None:
                raise Broken(f"{problem}: {ask} in {self.world}")
            ask.writes += index not in self._not_sent
        self._writes = len(self.stage.tracker.writes)

    def _judge_cards(self) -> None:
        """I3: what people see is what would run; and nobody is asked more than they agreed to."""
        for id, (_, row) in self.rows.items():
            shown = self._drawings(id)
            if not shown or row.state not in (ApprovalState.PENDING, ApprovalState.APPROVED):
                continue
            title = next(each.value for each in shown[-1].card.fields if each.label == "title")
            if title != json.loads(row.arguments)["title"]:
                raise Broken(f"I3: {title!r} is shown and {row.arguments!r} would run")
        for ref in self.refs:
            own = [row for of, row in self.rows.values() if of == ref]
            if sum(row.parked not in ("run", "approvers") for row in own) > PER_RUN:
                raise Broken("A run asked more often than it may")

    async def judge_money(self) -> None:
        """I6: spent and reserved never exceed a limit."""
        for row in (await self.stage.budgets()).values():
            if row.limit_usd is not None and row.settled_usd + row.reserved_usd > row.limit_usd:
                raise Broken(f"I6: {row}")

    async def _judge_record(self) -> None:
        """I9, I11: one run for a mention, and an intent on record before each effect."""
        if await self.stage.count("runs") != len(self.refs):
            raise Broken("I9: another number of runs than of mentions")
        async with self.stage.tx() as tx:
            intended = await tx.value(
                """
                SELECT count(*) FROM audit_events WHERE kind = 'effect.intended'
                AND run_id IN (SELECT id FROM runs)
                """
            )
        if intended < len(self.stage.tracker.writes):
            raise Broken("I11: an effect without an intent on record")

    async def _lost(self) -> dict[ApprovalId, int]:
        """How often it became unknown what came of a call."""
        events = await self.stage.audit("effect.unknown")
        times = Counter(str(event.subject) for event in events)
        return {id: times[str(id)] for id in self.asks}

    async def _refusals(self) -> int:
        async with self.stage.tx() as tx:
            return await tx.value("SELECT count(*) FROM audit_events WHERE kind = 'click.refused'")

    # --- how -------------------------------------------------------------------------------------

    def _pick(self, on: int) -> tuple[ApprovalId, tuple[ConversationRef, Approval]] | None:
        rows = list(self.rows.items())
        return rows[on % len(rows)] if rows else None

    def _root(self, ref: ConversationRef) -> str:
        return f"root-{self.refs.index(ref)}"

    async def _counted(
        self,
        id: ApprovalId,
        ref: ConversationRef,
        who: str,
        decision: Decision,
        *,
        door: Door,
        seen: bool,
    ) -> bool:
        row = self.rows[id][1]
        if door == "click":
            token = self._token(id, decision, seen=seen)
            if token is not None:
                before = await self._refusals()
                press = make.click(decision, token, by=who, root=self._root(ref))
                await self.stage.take(press)
                await self.stage.take(press)  # delivered twice
                return await self._refusals() == before
        try:
            await vote(
                self.stage.database,
                self.stage.configuration,
                self.stage.workspace,
                id,
                decision,
                by=await self.stage.principal(who),
                via="api",
                seen=row.hash if seen else None,
            )
        except (Conflict, Forbidden):
            return False
        return True

    def _token(self, id: ApprovalId, decision: str, *, seen: bool) -> str | None:
        """The token on the newest drawing of a call, or on the oldest, which an edit has voided."""
        if not seen and self.rows[id][1].round == 1:
            return None
        drawn = [each for each in self._drawings(id) if each.buttons]
        if not drawn:
            return None
        buttons = (drawn[-1] if seen else drawn[0]).buttons
        return next((each.token for each in buttons if each.action == decision), None)

    def _drawings(self, id: ApprovalId) -> list[Asked]:
        return [
            each
            for op in self.stage.surface.posted.values()
            if isinstance(op, AskOp | Settle)
            for each in op.asked
            if each.approval == str(id)
        ]

    def _should_run(self, id: ApprovalId, ask: Ask) -> bool:
        row = self.rows[id][1]
        title = ask.title
        return row.state is ApprovalState.APPROVED and ask.why_not(self.world, title=title) is None

    def _arm(self, crash: Crash | None) -> None:
        tracker = self.stage.tracker

        async def die(key: str) -> None:
            tracker.before = tracker.after = None
            raise Killed

        match crash:
            case "before":
                tracker.before = die
            case "after":
                tracker.after = die
            case "lost" | "later":
                tracker.next = ["lost" if crash == "lost" else "later"]
            case None:
                pass
