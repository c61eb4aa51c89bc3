"""Bugs that were planted on purpose, each with the shortest story in which it does harm.

A mutant replaces one function of the product by one that forgets something. The story is played by
the driver of the state machine: it has to end well with the real code, and the model has to object
to the mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import psycopg

from openloop.actions import asking, breaking, effects, vote
from openloop.domain import approval as rules
from openloop.domain.approval import Approval, ApprovalState, Count, Voter
from openloop.runtime import binding, calling, gate
from openloop.storage import approvals
from tests.guarantees import approval_stories as stories

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.guarantees.approval_world import Driver

Story = Callable[["Driver"], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Mutant:
    """What the code forgets, how it is made to, and where that shows."""

    name: str
    forgets: str
    plant: Callable[[Driver], AbstractContextManager[object]]
    story: Story


def planted(
    *patches: tuple[object, str, object],
) -> Callable[[Driver], AbstractContextManager[object]]:
    """Replace attributes while the mutant lives."""

    @contextmanager
    def plant(_: Driver) -> Generator[None]:
        with ExitStack() as stack:
            for owner, name, value in patches:
                stack.enter_context(mock.patch.object(owner, name, value))
            yield

    return plant


def with_voter(**always: Any) -> Callable[..., Any]:
    """Everybody is like that, whatever their rows say."""
    real = Approval.may_count

    def may_count(self: Approval, voter: Voter, demand: Any, *, at: Any) -> bool:
        return real(self, replace(voter, **always), demand, at=at)

    return may_count


# --- mutants -------------------------------------------------------------------------------------


@contextmanager
def _unlimited(d: Driver) -> Generator[None]:
    """Whatever is left, the longest answer can be afforded."""
    with psycopg.connect(d.clock.owner, autocommit=True) as connection:
        real = connection.execute(
            "SELECT pg_get_functiondef('openloop.affordable_tokens'::regproc)"
        ).fetchone()
        assert real is not None
        connection.execute(
            """
            CREATE OR REPLACE FUNCTION openloop.affordable_tokens(amount numeric,
                input_tokens bigint, input_price numeric, output_price numeric, longest bigint)
            RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT longest'
            """
        )
        try:
            yield
        finally:
            connection.execute(real[0])


def _always_approver(real: Callable[..., Any]) -> Callable[..., Any]:
    async def forgetful(*parts: Any, **named: Any) -> Any:
        return replace(await real(*parts, **named), is_approver=True)

    return forgetful


def _always_approvers(real: Callable[..., Any]) -> Callable[..., Any]:
    async def forgetful(*parts: Any, **named: Any) -> Any:
        votes = await real(*parts, **named)
        return [(vote, replace(voter, is_approver=True)) for vote, voter in votes]

    return forgetful


def _for_editor(name: str) -> Callable[..., Any]:
    real = getattr(Approval, name)

    def forgetful(self: Approval, *parts: Any, **named: Any) -> Any:
        return real(replace(self, edited_by=None), *parts, **named)

    return forgetful


def _keeping_solo(value: Any, **changes: Any) -> Any:
    return replace(value, **{name: to for name, to in changes.items() if name != "solo_mode"})


async def _break_at_once(tx: Any, workspace: Any, open_one: Any, **how: Any) -> None:
    at_once: Any = getattr(breaking, "_break")  # noqa: B009  # private, and a mutant's only
    await at_once(tx, workspace, open_one, [], **how)


def _without_round() -> Callable[..., Any]:
    real = Approval.count

    def count(self: Approval, votes: Any, *, at: Any) -> Any:
        return real(self, [(replace(v, round=self.round), who) for v, who in votes], at=at)

    return count


def _with_duplicates(self: Approval, votes: Any, *, at: Any) -> tuple[Count, ...]:
    given = [who for vote, who in votes if vote.decision == "approve" and vote.round == self.round]
    return tuple(
        Count(demand=d, given=sum(self.may_count(who, d, at=at) for who in given))
        for d in self.demands
    )


def _any_demand(self: Approval, votes: Any, *, at: Any) -> bool:
    return any(count.is_met for count in self.count(list(votes), at=at))


def _every_stage(self: Approval, demand: Any, *, at: Any) -> tuple[str, ...]:
    later = (ref for stage in demand.escalation for ref in stage.approvers)
    return (*demand.approvers, *later)


def _member_of_everything(real: Any) -> Any:
    async def voter_of(
        tx: Any, governing: Any, run: Any, approval: Any, by: Any, **how: Any
    ) -> Any:
        found = await real(tx, governing, run, approval, by, **how)
        return replace(found, references=frozenset(approval.references))

    return voter_of


def _members_for_ever(real: Any) -> Any:
    async def voters_of(tx: Any, governing: Any, run: Any, approval: Any) -> Any:
        found = await real(tx, governing, run, approval)
        return [(v, replace(w, references=frozenset(approval.references))) for v, w in found]

    return voters_of


async def _consume_anything(tx: Any, approval: Approval, **_: Any) -> bool:
    await tx.run("UPDATE approvals SET state = 'executing' WHERE id = %(id)s", {"id": approval.id})
    return True


async def _never_withdrawn(real: Any, *parts: Any, after: Any, **named: Any) -> bool:
    if after is ApprovalState.WITHDRAWN:
        return True
    return await real(*parts, after=after, **named)


async def _save_at_any_time(tx: Any, id: Any, *, after: Any, by: Any, at: Any, **_: Any) -> bool:
    await tx.run(
        "UPDATE approvals SET state = %(after)s, decided_by = %(by)s WHERE id = %(id)s",
        {"id": id, "after": after, "by": by},
    )
    return True


async def _keep_token(real: Any, tx: Any, before: Any, after: Any, token: Any) -> bool:
    old = await tx.value("SELECT token_sha256 FROM approvals WHERE id = %(id)s", {"id": before.id})
    return await real(tx, before, after, old)


async def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _anybody(*_: Any) -> Any:
    return []


def _same_digest(*_: Any) -> str:
    return ""


def _same_demand(_: Any) -> dict[str, object]:
    return {}


def _bound(real: Any, extra: Any) -> Any:
    def call(*parts: Any, **named: Any) -> Any:
        return extra(real, *parts, **named)

    return call


def _models_bytes(step: Any, approval: Any) -> Any:
    import json  # noqa: PLC0415  # of the mutant only

    arguments = step.input["arguments"]
    return json.loads(arguments) if isinstance(arguments, str) else arguments


async def _try_again(kit: Any, work: Any, run: Any, step: Any, approval: Any) -> bool:
    await effects.put_back(kit.database, work, run, step, approval)
    return True


def _carried_by_a_retry() -> Callable[..., bool]:
    real = Approval.is_carried

    def is_carried(self: Approval, votes: Any, *, at: Any) -> bool:
        given = list(votes)
        again = any(vote.decision == "retry" and self.is_asked_in(vote) for vote, _ in given)
        return again or real(self, given, at=at)

    return is_carried


def _of_any_attempt(self: Approval, vote: Any) -> bool:
    return vote.round == self.round


def _unchanged(self: Approval, *, at: Any) -> Approval:
    return self


def _never_parked(*_: Any) -> str:
    return ""


def _deny_is_nothing() -> dict[Any, Any]:
    return {**rules.AFTER, (ApprovalState.DENIED, "approve"): ApprovalState.APPROVED}


def _passed(*_: Any, **__: Any) -> None:
    return None


MUTANTS = (
    Mutant(
        "self_approve",
        "that nobody approves what they asked for",
        planted(
            (Approval, "may_count", with_voter(is_requester=False)),
        ),
        stories.own_request,
    ),
    Mutant(
        "editor_votes",
        "that the editor's vote does not count",
        planted(
            (Approval, "may_count", _for_editor("may_count")),
            (Approval, "check_voter", _for_editor("check_voter")),
        ),
        stories.own_edit,
    ),
    Mutant(
        "dup_votes",
        "that votes are those of different people",
        planted((Approval, "count", _with_duplicates)),
        stories.twice,
    ),
    Mutant(
        "quorum_of_one",
        "how many are needed",
        planted((Count, "is_met", property(lambda self: self.given > 0))),
        stories.one_of_two,
    ),
    Mutant(
        "any_demand",
        "that every rule has to be met",
        planted((Approval, "is_carried", _any_demand)),
        stories.both_rules,
    ),
    Mutant(
        "edit_keeps_votes",
        "that an edit voids what was said before",
        planted((Approval, "count", _without_round())),
        stories.vote_then_edit,
    ),
    Mutant(
        "edit_keeps_token",
        "that the old buttons are void",
        planted(
            (approvals, "save_edit", _bound(approvals.save_edit, _keep_token)),
        ),
        stories.old_card,
    ),
    Mutant(
        "unread",
        "that people decide what they have read",
        planted((vote, "_refuse_unseen", _passed)),
        stories.old_text,
    ),
    Mutant(
        "no_expiry",
        "that there is a time to decide",
        planted(
            (Approval, "check_open", _passed),
            (approvals, "save_decision", _save_at_any_time),
        ),
        stories.too_late,
    ),
    Mutant(
        "exec_after_expiry",
        "that there is a time to run",
        planted(
            (effects, "_time_problem", _nothing),
            (approvals, "consume", _consume_anything),
        ),
        stories.too_late_to_run,
    ),
    Mutant(
        "replay",
        "that an approval is used up",
        planted((approvals, "consume", _consume_anything)),
        stories.again,
    ),
    Mutant(
        "no_bind",
        "to compare the bytes with the hash",
        planted((binding, "digest", _same_digest)),
        stories.swapped,
    ),
    Mutant(
        "models_bytes",
        "that the stored bytes run",
        planted((calling, "_arguments", _models_bytes)),
        stories.edited,
    ),
    Mutant(
        "anybody_clicks",
        "who may decide, at the click",
        planted((vote, "voter_of", _member_of_everything(vote.voter_of))),
        stories.leaves_before_the_vote,
    ),
    Mutant(
        "members_for_ever",
        "who may decide, when it runs",
        planted((effects, "voters_of", _members_for_ever(effects.voters_of))),
        stories.leaves_after_the_vote,
    ),
    Mutant(
        "named_is_enough",
        "that a vote takes the role, at the click",
        planted((vote, "voter_of", _always_approver(vote.voter_of))),
        stories.not_an_approver,
    ),
    Mutant(
        "role_for_ever",
        "that a vote takes the role, when it runs",
        planted((effects, "voters_of", _always_approvers(effects.voters_of))),
        stories.loses_the_role,
    ),
    Mutant(
        "demands_unbound",
        "that the rules are part of what was approved",
        planted((binding, "_demand", _same_demand)),
        stories.tightened,
    ),
    Mutant(
        "no_recheck",
        "to look at the rules of now",
        planted((gate, "recheck", _passed)),
        stories.revoked,
    ),
    Mutant(
        "deny_is_nothing",
        "that a rejection is final",
        planted((rules, "AFTER", _deny_is_nothing())),
        stories.rejected,
    ),
    Mutant(
        "early_escalation",
        "whose turn it is",
        planted((Approval, "approvers_of", _every_stage)),
        stories.early,
    ),
    Mutant(
        "never_withdrawn",
        "what was taken back",
        planted((approvals, "move", _bound(approvals.move, _never_withdrawn))),
        stories.withdrawn,
    ),
    Mutant(
        "glass_for_all",
        "that only owners break the glass",
        planted((breaking, "_check", _anybody)),
        stories.foreign_glass,
    ),
    Mutant(
        "glass_for_ever",
        "that a broken glass is good for an hour",
        planted((approvals, "limit_time", _nothing), (rules, "GLASS_HOURS", 1000)),
        stories.old_glass,
    ),
    Mutant(
        "glass_by_token",
        "that a token breaks no glass",
        planted((breaking, "_offer", _break_at_once)),
        stories.glass_by_token,
    ),
    Mutant(
        "blind_retry",
        "that what may have happened is not repeated",
        planted((calling, "_resolve", _try_again)),
        stories.lost,
    ),
    Mutant(
        "retry_alone",
        "that to try again takes as many as to try",
        planted((Approval, "is_carried", _carried_by_a_retry())),
        stories.retried_alone,
    ),
    Mutant(
        "votes_carry_over",
        "that what was said of one attempt is said of that one",
        planted((Approval, "is_asked_in", _of_any_attempt)),
        stories.retried_by_both,
    ),
    Mutant(
        "retry_for_ever",
        "that there is a time to try again",
        planted((Approval, "renewed", _unchanged)),
        stories.retried_late,
    ),
    Mutant(
        "solo_for_ever",
        "that solo mode has to hold when it runs",
        planted((gate, "recheck", _passed), (effects, "replace", _keeping_solo)),
        stories.solo_ended,
    ),
    Mutant(
        "no_cap",
        "how often people are asked",
        planted((asking, "_parked", _never_parked), (asking, "ON_CARDS", 100)),
        stories.many,
    ),
    Mutant(
        "unlimited",
        "that money is limited",
        _unlimited,
        stories.spending,
    ),
)
