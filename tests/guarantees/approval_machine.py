"""The state machine of approvals, and the theatre in which it and the mutants' stories are played."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from openloop.domain.redaction import Redactor
from openloop.runtime import calling
from openloop.storage.database import Database
from tests import make
from tests.guarantees.approval_beside import SECRET, Beside, Others
from tests.guarantees.approval_manifests import PEOPLE
from tests.guarantees.approval_rules import Rule
from tests.guarantees.approval_world import Driver

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.guarantees.approval_mutants import Mutant
    from tests.make import Clock, Stage

MOST_RUNS = 2
_AFTER_A_FINDING = (Phase.shrink, Phase.explain)

people = st.sampled_from(PEOPLE)
which = st.integers(0, 4)
doors = st.sampled_from(["click", "api"])


class Approvals(Beside):
    """Each rule is one thing that people, manifests, clocks or workers do."""

    stage: ClassVar[Stage]
    clock: ClassVar[Clock]

    @initialize(
        titles=st.sampled_from([("one",), ("one", "two")]), by=st.sampled_from(["ben", "anna"])
    )
    def begin(self, titles: tuple[str, ...], by: str) -> None:
        self.clock.rewind()
        self.do(make.emptied(self.stage))
        self.driver, self.others = Driver(self.stage, self.clock), Others()
        self.do(self.driver.begin())
        self.do(self.driver.ask(*titles, by=by))

    @precondition(lambda self: len(self.driver.refs) < MOST_RUNS)
    @rule(by=st.sampled_from(["ben", "priya"]))
    def ask(self, by: str) -> None:
        self.do(self.driver.ask("three", by=by))

    @rule(who=people, on=which, door=doors, seen=st.booleans())
    def approve(self, who: str, on: int, door: Any, *, seen: bool) -> None:
        self.do(self.driver.vote(who, on=on, door=door, seen=seen))

    @rule(who=people, on=which, decision=st.sampled_from(["deny", "retry", "happened"]), door=doors)
    def decide(self, who: str, on: int, decision: Any, door: Any) -> None:
        self.do(self.driver.vote(who, decision, on=on, door=door))

    @rule(on=which, then=st.sampled_from(["work", "wait", "nothing"]))
    def drive_to_approved(self, on: int, then: str) -> None:
        """Without this most examples never see the states in which bugs live."""
        for who in ("anna", "priya"):
            self.do(self.driver.vote(who, on=on))
        if then == "work":
            self.do(self.driver.work())
        elif then == "wait":
            self.do(self.driver.wait(80))

    @rule(who=people, on=which)
    def edit(self, who: str, on: int) -> None:
        self.do(self.driver.edit(who, on=on))

    @rule(on=which)
    def withdraw(self, on: int) -> None:
        self.do(self.driver.withdraw(on=on))

    @rule(on=which)
    def stop(self, on: int) -> None:
        self.do(self.driver.stop(on=on))

    @rule(who=people, on=which, click=st.booleans())
    def break_glass(self, who: str, on: int, *, click: bool) -> None:
        self.do(self.driver.break_glass(who, on=on, click=click))

    @rule(
        maintainers=st.sampled_from(
            [("anna", "priya"), ("priya",), ("anna",), ("mallory", "priya"), PEOPLE]
        )
    )
    def regroup(self, maintainers: tuple[str, ...]) -> None:
        self.do(self.driver.change(maintainers=frozenset(maintainers)))

    @rule(owners=st.sampled_from([("anna", "priya"), ("anna",), ("mallory", "priya")]))
    def reown(self, owners: tuple[str, ...]) -> None:
        self.do(self.driver.change(owners=frozenset(owners)))

    @rule(approvers=st.sampled_from([PEOPLE, ("priya", "mallory"), ("anna", "ben", "mallory")]))
    def rerole(self, approvers: tuple[str, ...]) -> None:
        self.do(self.driver.change(approvers=frozenset(approvers)))

    @rule(quorum=st.sampled_from([1, 2]), may_edit=st.booleans(), escalates=st.booleans())
    def demand(self, quorum: int, *, may_edit: bool, escalates: bool) -> None:
        new = Rule(quorum=quorum, may_edit=may_edit, escalates=escalates)
        self.do(self.driver.change(rule=new))

    @rule(solo=st.booleans())
    def solo(self, *, solo: bool) -> None:
        self.do(self.driver.change(solo_mode=solo))

    @rule(granted=st.booleans())
    def grant(self, *, granted: bool) -> None:
        self.do(self.driver.change(is_granted=granted))

    @rule(wording=st.sampled_from(["", "Be kind.", "Be brief."]))
    def reword(self, wording: str) -> None:
        self.do(self.driver.reword(wording))

    @rule(hours=st.sampled_from([0.5, 2, 5, 30, 71, 73]))
    def wait(self, hours: float) -> None:
        self.do(self.driver.wait(hours))

    @rule(crash=st.sampled_from([None, None, "before", "after", "lost", "later"]))
    def work(self, crash: Any) -> None:
        self.do(self.driver.work(crash=crash))

    @rule(on=which)
    def replay(self, on: int) -> None:
        self.do(self.driver.replay(on=on))

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.do(self.driver.work())


@dataclass
class Theatre:
    """One database and one loop for all stories: emptying costs less than building."""

    runner: asyncio.Runner
    stage: Stage
    clock: Clock

    def play(self, mutant: Mutant, *, is_planted: bool) -> None:
        """Tell a mutant's story, with the mutant in it or with the real code.

        Raises:
            Broken: the model objects
        """
        self.clock.rewind()
        self.runner.run(make.emptied(self.stage))
        driver = self.driver()
        self.runner.run(driver.begin())
        if not is_planted:
            self.runner.run(mutant.story(driver))
            return
        with mutant.plant(driver):
            self.runner.run(mutant.story(driver))

    def driver(self) -> Driver:
        """Somebody to play a story with."""
        return Driver(self.stage, self.clock)

    def wander(self, *, examples: int, steps: int, shrink: bool = True) -> None:
        """Let the machine do what comes to its mind; what it finds is made short, if wanted.

        Raises:
            Broken: the model objects
        """
        own = {"runner": self.runner, "stage": self.stage, "clock": self.clock}
        run_state_machine_as_test(
            type("Machine", (Approvals,), own),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                print_blob=False,
                phases=[each for each in Phase if shrink or each not in _AFTER_A_FINDING],
                report_multiple_bugs=False,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


@contextmanager
def theatre(conninfo: str) -> Generator[Theatre]:
    """A theatre over an empty database, whose clock is put right afterwards."""
    clock = make.Clock(conninfo)
    quick = mock.patch.object(calling, "LOOK_UP_PAUSE_SECONDS", 0)
    with asyncio.Runner() as runner, capture_logs(), quick:
        database = Database(conninfo, size=4, redactor=Redactor([SECRET]), name="openloop-theatre")
        runner.run(database.open())
        try:
            yield Theatre(runner=runner, stage=runner.run(make.stage(database)), clock=clock)
        finally:
            runner.run(database.close())
            clock.restore()
