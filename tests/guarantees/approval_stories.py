"""The shortest stories in which a forgotten rule of approvals does harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from tests.guarantees.approval_rules import Rule

if TYPE_CHECKING:
    from tests.guarantees.approval_world import Driver


async def own_request(d: Driver) -> None:
    """Anna asks and approves."""
    await d.ask("one", by="anna")
    await d.vote("anna")
    await d.work()


async def own_edit(d: Driver) -> None:
    """Anna writes what is to run, and approves it."""
    await d.ask("one")
    await d.edit("anna")
    await d.vote("anna")
    await d.work()


async def twice(d: Driver) -> None:
    """Anna approves through both doors; two people are needed."""
    await d.change(rule=Rule(quorum=2))
    await d.ask("one")
    await d.vote("anna")
    await d.vote("anna", door="api")
    await d.work()


async def one_of_two(d: Driver) -> None:
    """One person approves; two are needed."""
    await d.change(rule=Rule(quorum=2))
    await d.ask("one")
    await d.vote("anna")
    await d.work()


async def both_rules(d: Driver) -> None:
    """The run began under one rule and another is live: one vote meets only the first."""
    await d.ask("one")
    await d.change(rule=Rule(quorum=2))
    await d.work()
    await d.vote("anna")
    await d.work()


async def vote_then_edit(d: Driver) -> None:
    """Priya approves; Anna rewrites it; one vote more is not two."""
    await d.change(rule=Rule(quorum=2), maintainers=frozenset({"anna", "priya", "mallory"}))
    await d.ask("one")
    await d.vote("priya")
    await d.edit("anna")
    await d.vote("mallory")
    await d.work()


async def old_card(d: Driver) -> None:
    """Priya presses the button of the card as it was before the edit."""
    await d.ask("one")
    await d.edit("anna")
    await d.vote("priya", seen=False)
    await d.work()


async def old_text(d: Driver) -> None:
    """The same through the API, without the hash of what is there now."""
    await d.ask("one")
    await d.edit("anna")
    await d.vote("priya", door="api", seen=False)
    await d.work()


async def too_late(d: Driver) -> None:
    """Three days later Anna approves."""
    await d.ask("one")
    await d.wait(73)
    await d.vote("anna")
    await d.work()


async def too_late_to_run(d: Driver) -> None:
    """Anna approves in time, and no worker is there for three days."""
    await d.ask("one")
    await d.vote("anna")
    await d.wait(73)
    await d.work()


async def again(d: Driver) -> None:
    """Its worker dies, people are asked; another that had read the approval before wakes up."""
    await d.ask("one")
    await d.vote("anna")
    await d.work(crash="before")
    await d.replay()


async def swapped(d: Driver) -> None:
    """Somebody with the database writes other bytes between the decision and the effect."""
    await d.ask("one")
    await d.vote("anna")
    with psycopg.connect(d.clock.owner, autocommit=True) as connection:
        connection.execute("ALTER TABLE openloop.approvals NO FORCE ROW LEVEL SECURITY")
        connection.execute(
            """
            UPDATE openloop.approvals
            SET arguments = '{"repo":"acme/platform","title":"swapped"}'::bytea
            """
        )
        connection.execute("ALTER TABLE openloop.approvals FORCE ROW LEVEL SECURITY")
    await d.stage.sweep_and_work(d.refs[0])
    await d.look()


async def edited(d: Driver) -> None:
    """Anna rewrites it, Priya approves it, it runs."""
    await d.ask("one")
    await d.edit("anna")
    await d.vote("priya")
    await d.work()


async def leaves_before_the_vote(d: Driver) -> None:
    """Anna is no maintainer any more when she presses the button."""
    await d.ask("one")
    await d.change(maintainers=frozenset({"priya"}))
    await d.vote("anna")
    await d.work()


async def leaves_after_the_vote(d: Driver) -> None:
    """Anna is no maintainer any more when it is to run."""
    await d.ask("one")
    await d.vote("anna")
    await d.change(maintainers=frozenset({"priya"}))
    await d.work()


async def not_an_approver(d: Driver) -> None:
    """Anna is named, and has not the role that a vote takes."""
    await d.change(approvers=frozenset({"priya", "mallory"}))
    await d.ask("one")
    await d.vote("anna")
    await d.work()


async def loses_the_role(d: Driver) -> None:
    """Anna is no approver any more when it is to run."""
    await d.ask("one")
    await d.vote("anna")
    await d.change(approvers=frozenset({"priya", "mallory"}))
    await d.work()


async def tightened(d: Driver) -> None:
    """Two people are needed by the time it is to run."""
    await d.ask("one")
    await d.vote("anna")
    await d.change(rule=Rule(quorum=2))
    await d.work()


async def revoked(d: Driver) -> None:
    """The agent has no permission any more when it is to run."""
    await d.ask("one")
    await d.vote("anna")
    await d.change(is_granted=False)
    await d.work()


async def rejected(d: Driver) -> None:
    """Anna rejects, Priya approves."""
    await d.ask("one")
    await d.vote("anna", "deny")
    await d.vote("priya")
    await d.work()


async def early(d: Driver) -> None:
    """Mallory may decide after four hours, and presses at once."""
    await d.ask("one")
    await d.vote("mallory")
    await d.work()


async def withdrawn(d: Driver) -> None:
    """It is approved and taken back."""
    await d.ask("one", "two")
    await d.vote("anna", on=0)
    await d.withdraw(on=0)
    await d.work()


async def foreign_glass(d: Driver) -> None:
    """Mallory is no owner, and breaks the glass."""
    await d.ask("one")
    await d.break_glass("mallory")
    await d.work()


async def old_glass(d: Driver) -> None:
    """The glass is broken, and no worker is there for two hours."""
    await d.ask("one")
    await d.break_glass("priya")
    await d.wait(2)
    await d.work()


async def glass_by_token(d: Driver) -> None:
    """A token of an owner, and no click."""
    await d.ask("one")
    await d.break_glass("priya", click=False)
    await d.work()


async def lost(d: Driver) -> None:
    """The answer is lost, and nobody can tell whether it happened."""
    d.stage.tracker.knows = False
    await d.ask("one")
    await d.vote("anna")
    await d.work(crash="lost")
    await d.work()


async def retried_alone(d: Driver) -> None:
    """Two people are needed; the answer is lost, and one of them wants it tried again."""
    d.stage.tracker.knows = False
    await d.change(rule=Rule(quorum=2))
    await d.ask("one")
    await d.vote("anna")
    await d.vote("priya")
    await d.work(crash="lost")
    await d.vote("anna", "retry")
    await d.work()


async def retried_by_both(d: Driver) -> None:
    """Both want it tried again, it is lost again, and one of them wants a third try."""
    await retried_alone(d)
    await d.vote("priya", "retry", door="api")
    await d.work(crash="lost")
    await d.vote("priya", "retry")
    await d.work()


async def retried_late(d: Driver) -> None:
    """One wants it tried again, and another when nobody remembers that: one of them is not two."""
    await retried_alone(d)
    await d.wait(80)
    await d.vote("priya", "retry")
    await d.work()


async def solo_ended(d: Driver) -> None:
    """Anna approves her own request in solo mode, which ends before it runs."""
    await d.change(solo_mode=True)
    await d.ask("one", by="anna")
    await d.vote("anna")
    await d.change(solo_mode=False)
    await d.work()


async def many(d: Driver) -> None:
    """Seven calls in one step, of a run that may ask four times."""
    await d.ask(*map(str, range(7)))


async def spending(d: Driver) -> None:
    """There are two cents, and an answer may be as long as it likes."""

    async def look(_: Any) -> None:
        await d.judge_money()

    await d.stage.revise({"budget": {"monthly_usd": "0.02", "per_task_usd": "0.02"}})
    d.stage.models.before = look
    await d.ask("one")
