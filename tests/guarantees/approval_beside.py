"""The promises beside approvals, in the same machine: who reads what, labels, secrets, wider rights.

I7: nothing is read in a place that its resource is not visible in. I8: what a run has seen stays seen.
I10: no row and no prompt has a secret that we know. I12: whoever proposes wider rights does not get
them before somebody else agrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openloop.domain.errors import Invalid, OpenLoopError
from openloop.domain.facts import seen_in
from openloop.storage import steps
from tests import make
from tests.actions.configuring import Desk, waiting
from tests.guarantees.approval_manifests import PEOPLE, agent_spec, workspace_spec
from tests.guarantees.approval_rules import Broken, Rule
from tests.manifests import agent_yaml
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from openloop.domain.conversation import ConversationRef
    from openloop.domain.facts import Seen
    from openloop.domain.ids import ChangeId
    from tests.guarantees.approval_world import Driver

SECRET = "a-secret-of-the-theatre-9Q2xZ"  # known to its redactor
MOST_READS = 1
_SINKS: LiteralString = """
    SELECT count(*) FROM (
        SELECT t::text AS row FROM messages t UNION ALL SELECT t::text FROM runs t
        UNION ALL SELECT t::text FROM steps t UNION ALL SELECT t::text FROM outbox t
        UNION ALL SELECT t::text FROM audit_events t UNION ALL SELECT t::text FROM memories t
    ) AS written WHERE row LIKE '%%' || %(one)s || %(other)s || '%%'
"""


@dataclass
class Proposed:
    """Rights that wait for somebody else."""

    change: ChangeId
    by: str
    rule: Rule


@dataclass
class Others:
    """What is kept of an example, for the promises of this file."""

    reads: int = 0
    waiting: list[Proposed] = field(default_factory=list[Proposed])
    seen: dict[ConversationRef, tuple[Seen, ...]] = field(
        default_factory=dict["ConversationRef", "tuple[Seen, ...]"]
    )


class Beside(RuleBasedStateMachine):
    """Rules and invariants of a machine that has a driver."""

    runner: ClassVar[asyncio.Runner]
    driver: Driver
    others: Others

    def do(self, what: Coroutine[Any, Any, Any]) -> None:
        """Run it to its end."""
        self.runner.run(what)

    @precondition(lambda self: self.others.reads < MOST_READS and self.driver.world.is_granted)
    @rule(is_private=st.booleans())
    def read(self, *, is_private: bool) -> None:
        self.others.reads += 1
        self.do(read(self.driver, is_private=is_private))

    @precondition(lambda self: self.driver.world.is_granted)
    @rule(
        who=st.sampled_from(PEOPLE),
        quorum=st.sampled_from([1, 2]),
        may_edit=st.booleans(),
        then=st.sampled_from(PEOPLE),
    )
    def propose(self, who: str, quorum: int, then: str, *, may_edit: bool) -> None:
        """Somebody else agrees at once, now and then: left to chance that hardly ever happens."""
        new = replace(self.driver.world.rule, quorum=quorum, may_edit=may_edit)
        self.do(propose(self.driver, self.others, who, new))
        if then != who and self.others.waiting:
            self.do(agree(self.driver, self.others, then))

    @precondition(lambda self: self.others.waiting)
    @rule(who=st.sampled_from(PEOPLE))
    def agree(self, who: str) -> None:
        self.do(agree(self.driver, self.others, who))

    @invariant()
    def nothing_else_is_broken(self) -> None:
        self.do(judge(self.driver, self.others))


async def read(driver: Driver, *, is_private: bool) -> None:
    """Somebody has an issue read in a place of full members, and says a secret."""
    stage, before = driver.stage, len(driver.stage.tracker.reads)
    spec = workspace_spec(driver.world)
    if is_private:
        await stage.revise_workspace({**spec, "policy": {"visible_in": "private"}})
    stage.models.turns = [reply(f"I look for {SECRET}.", make.READ), reply("All done.")]
    ref = await stage.mention(f"what of {SECRET}?", by="ben", root=f"root-{len(driver.refs)}")
    driver.refs.append(ref)
    driver.begun[ref], driver.requesters[ref] = driver.world.rule, "ben"
    await stage.work(ref)
    if is_private:
        await stage.revise_workspace(spec)
    made = len(stage.tracker.reads) - before
    if made and is_private:
        raise Broken("I7: what only private places may see was read in another one")
    if not made and not is_private:
        raise Broken("What everybody in the place may see was not read")
    await driver.look()


async def propose(driver: Driver, others: Others, who: str, new: Rule) -> None:
    """Somebody brings a manifest with another rule."""
    was = driver.world.rule
    wider = new.quorum < was.quorum or (new.may_edit and not was.may_edit)
    text = agent_yaml(agent_spec(replace(driver.world, rule=new)))
    try:
        applied = await Desk(driver.stage.database, driver.stage.workspace).apply(text, by=who)
    except Invalid:  # more have to agree than may vote
        return
    if any(each.change_id for each in applied):
        others.waiting.append(Proposed(change=waiting(applied), by=who, rule=new))
    elif wider:
        raise Broken(f"I12: {who} was given {new} instead of {was}")
    else:
        driver.world = replace(driver.world, rule=new)
    await driver.look()


async def agree(driver: Driver, others: Others, who: str) -> None:
    """Somebody agrees to what was proposed last."""
    proposed = others.waiting[-1]
    desk = Desk(driver.stage.database, driver.stage.workspace)
    try:
        await desk.approve(proposed.change, by=who, is_owner=who in driver.world.owners)
    except OpenLoopError:
        return
    others.waiting.pop()
    if who == proposed.by and not driver.world.solo_mode:
        raise Broken(f"I12: {who} agreed to their own {proposed.rule}")
    driver.world = replace(driver.world, rule=proposed.rule)
    await driver.look()


async def judge(driver: Driver, others: Others) -> None:
    """What has to be true after every step."""
    if driver.world.is_granted:
        manifest = await Desk(driver.stage.database, driver.stage.workspace).manifest()
        (live,) = manifest.spec.approvals.rules
        if (live.quorum, live.may_edit) != (driver.world.rule.quorum, driver.world.rule.may_edit):
            raise Broken(f"I12: {live} is in force, and nobody agreed to it")
    async with driver.stage.tx() as tx:
        # In two pieces: whole, it would not even come into this statement.
        if await tx.value(_SINKS, {"one": SECRET[:9], "other": SECRET[9:]}):
            raise Broken("I10: a row has a secret")
        for ref in driver.refs:
            journal = await steps.list_of(tx, (await driver.stage.run_of(ref)).id)
            now, before = seen_in(journal), others.seen.get(ref, ())
            if now[: len(before)] != before:
                raise Broken(f"I8: a run has seen {before}, and then {now}")
            others.seen[ref] = now
    if any(SECRET in str(request) for request in driver.stage.models.requests):
        raise Broken("I10: a prompt has a secret")
