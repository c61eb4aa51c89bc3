"""Targets: what people decided about is what is changed, or it is asked about anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import Invalid, NotFound, TryLater
from openloop.domain.run import RunState
from openloop.runtime import binding
from openloop.storage import conversations
from tests import make
from tests.actions.asking import edit, rule, stage_with
from tests.actions.deciding import approved, decide, unknown
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.tool import Arguments
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

STANDING: dict[str, Any] = {
    "approvals": {
        "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
        "approvers": ["@maintainers"],
    }
}
GONE = NotFound("There is no such issue")


@dataclass
class Target:
    """The thing that a write would change, and how often somebody has looked at it."""

    state: str | Exception = "open"
    looks: list[Arguments] = field(default_factory=list["Arguments"])

    async def version(self, arguments: Arguments) -> str:
        self.looks.append(arguments)
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


def with_target(stage: Stage) -> Target:
    """The tracker, whose first tool writes to something that has versions."""
    target = Target()
    [tool, *others] = stage.tracker.toolset().tools
    stage.registry = make.registry_of(replace(tool, version=target.version), *others)
    return target


async def test_a_target_that_changed_after_the_decision_is_asked_about_anew(stage: Stage) -> None:
    target = with_target(stage)
    ref = await approved(stage)
    target.state = "closed"

    await stage.work(ref)

    stale, anew = await stage.approvals(ref)
    assert stage.tracker.writes == []
    assert (stale.state, anew.state) == (ApprovalState.STALE, ApprovalState.PENDING)
    why = "what it would change changed since it was asked (it was open, and is closed)"
    assert stale.reason == why
    assert why in stage.surface.settled[-1].outcome
    assert len(stage.surface.cards) == 2
    assert anew.preconditions["target_version"] == "closed"
    assert "effect.intended" not in await stage.kinds()

    await stage.press("approve", by="priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_one_that_stayed_as_it_was_is_changed_as_approved(stage: Stage) -> None:
    target = with_target(stage)
    ref = await approved(stage)

    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    assert len(target.looks) == 2  # when it was held, and before it was made


async def test_nobody_looks_at_it_while_people_think(stage: Stage) -> None:
    """A target that never rests costs a decision, not a card at every look."""
    target = with_target(stage)
    ref, _ = await stage.hold()
    target.state = "closed"

    for _ in range(3):
        await stage.work(await woken(stage, ref))

    [approval] = await stage.approvals(ref)
    assert approval.state is ApprovalState.PENDING
    assert len(target.looks) == 1


async def test_what_passes_by_a_standing_rule_is_not_looked_at(database: Database) -> None:
    stage = await make.stage(database, agent=STANDING)
    target = with_target(stage)
    stage.models.turns = [reply("I will.", make.CREATE), reply("All done.")]

    await stage.work(await stage.mention())

    assert len(stage.tracker.writes) == 1
    assert target.looks == []


@pytest.mark.parametrize("error", [GONE, TryLater("busy")])
async def test_what_nobody_can_look_at_is_not_asked_about(stage: Stage, error: Exception) -> None:
    with_target(stage).state = error
    stage.models.turns = [reply("I will.", make.CREATE), reply("I could not.")]
    ref = await stage.mention()

    await stage.work(ref)

    assert await stage.approvals(ref) == []
    assert "What this would change is not there" in stage.models.requests[-1].messages[-1].content
    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_a_target_that_is_gone_voids_what_was_approved(stage: Stage) -> None:
    target = with_target(stage)
    ref = await approved(stage)
    target.state = GONE

    await stage.work(ref)

    [approval] = await stage.approvals(ref)
    assert approval.state is ApprovalState.STALE
    assert approval.reason.startswith("What this would change is not there")
    assert stage.tracker.writes == []
    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_what_was_approved_waits_while_nobody_can_look(stage: Stage) -> None:
    target = with_target(stage)
    ref = await approved(stage)
    target.state = TryLater("busy")
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED

    target.state = "open"
    await stage.sweep_and_work(ref)
    assert len(stage.tracker.writes) == 1


async def test_and_no_longer_than_it_was_approved_for(stage: Stage, clock: Clock) -> None:
    target = with_target(stage)
    ref = await approved(stage)
    target.state = TryLater("busy")
    await clock.advance(hours=73)

    await stage.work(ref)

    assert (await stage.approval(ref)).state is ApprovalState.STALE
    assert stage.tracker.writes == []


async def test_an_edit_is_bound_to_the_target_that_it_names(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1))
    target = with_target(stage)
    ref, _ = await stage.hold()
    target.state = "another"

    edited = await edit(stage, ref, by="anna", title="Another")

    assert edited.preconditions["target_version"] == "another"
    assert target.looks[-1]["title"] == "Another"
    target.state = GONE
    with pytest.raises(Invalid, match="What this would change is not there"):
        await edit(stage, ref, by="anna", title="A third")


async def test_a_retry_of_what_may_have_changed_its_target_is_asked_anew(stage: Stage) -> None:
    target = with_target(stage)
    ref = await unknown(stage)
    target.state = "changed, maybe by the first try"
    tried = list(stage.tracker.writes)

    await stage.press("retry", by="priya")
    await stage.work(ref)

    assert stage.tracker.writes == tried
    assert [each.state for each in await stage.approvals(ref)] == ["stale", "pending"]


async def test_a_tool_that_learns_to_look_asks_anew_about_what_was_approved_before(
    stage: Stage,
) -> None:
    ref = await approved(stage)
    with_target(stage)
    await stage.work(ref)
    stale, anew = await stage.approvals(ref)
    assert stale.reason == "what it would change changed since it was asked"
    assert anew.preconditions["target_version"] == "open"


@pytest.mark.parametrize("version", ["x" * 10_000, "a\u202eb", "two\nlines", "\ud800"])
async def test_a_version_that_no_card_could_show_is_kept_by_its_hash(
    stage: Stage, version: str
) -> None:
    target = with_target(stage)
    target.state = version
    ref, _ = await stage.hold()
    kept = (await stage.approval(ref)).preconditions["target_version"]
    assert isinstance(kept, str)
    assert len(kept) == 64

    await decide(stage, ref, "approve", by="anna")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


def test_every_condition_has_words_for_the_card() -> None:
    now = dict.fromkeys(binding.WORDS, "now")
    for key in now:
        assert binding.WORDS[key] in binding.differences({**now, key: "then"}, now)
    assert binding.differences(now, now) == ""


async def woken(stage: Stage, ref: ConversationRef) -> ConversationRef:
    """The conversation, with something due in it."""
    async with stage.tx() as tx:
        await conversations.bump(tx, ref.id)
    return ref
