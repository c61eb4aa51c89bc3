"""Own requests: whoever asked does not decide, whatever becomes of the id by which they asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import OwnRequest
from tests.actions.deciding import decide
from tests.actions.linked import link, unlink

if TYPE_CHECKING:
    from tests.make import Clock, Stage


async def test_whoever_unlinks_the_id_by_which_they_asked_still_asked(stage: Stage) -> None:
    await link(stage, "anna", "U0PHONE")
    ref, _ = await stage.hold(await stage.mention(by="phone"))
    await unlink(stage, "anna")

    with pytest.raises(OwnRequest):
        await decide(stage, ref, "approve", by="anna")

    await link(stage, "ben", "U0PHONE")
    with pytest.raises(OwnRequest):
        await decide(stage, ref, "approve", by="anna")
    await decide(stage, ref, "approve", by="priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_what_somebody_approved_counts_no_more_once_they_turn_out_to_have_asked(
    stage: Stage,
) -> None:
    ref, _ = await stage.hold(await stage.mention(by="phone"))
    await decide(stage, ref, "approve", by="anna")
    await link(stage, "anna", "U0PHONE")

    await stage.work(ref)

    assert stage.tracker.writes == []
    approval = await stage.approval(ref)
    assert approval.state is ApprovalState.PENDING
    assert "the vote of anna does not count any more" in approval.reason
    await unlink(stage, "anna")
    with pytest.raises(OwnRequest):
        await decide(stage, ref, "approve", by="anna")


async def test_whoever_gives_up_an_id_and_asks_under_it_later_still_asked(
    stage: Stage, clock: Clock
) -> None:
    await link(stage, "anna", "U0PHONE")
    await unlink(stage, "anna")
    await clock.advance(minutes=1)

    ref, _ = await stage.hold(await stage.mention(by="phone"))

    with pytest.raises(OwnRequest):
        await decide(stage, ref, "approve", by="anna")


async def test_what_was_ones_id_before_it_was_anothers_is_the_others_request(
    stage: Stage, clock: Clock
) -> None:
    await link(stage, "anna", "U0PHONE")
    await unlink(stage, "anna")
    await link(stage, "ben", "U0PHONE")
    await clock.advance(minutes=1)

    ref, _ = await stage.hold(await stage.mention(by="phone"))

    await decide(stage, ref, "approve", by="anna")
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_an_apply_takes_nobodys_vote(stage: Stage) -> None:
    """Each apply writes the ids of a manifest anew."""
    ref, _ = await stage.hold(await stage.mention(by="ben"))
    await stage.revise_workspace({"budget": {"monthly_usd": 150}})
    await decide(stage, ref, "approve", by="anna")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1
