"""Edits: other bytes under a new hash, judged like what a model asks for, and told to the model."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.cancel import cancel
from openloop.actions.editing import NotEditable
from openloop.actions.vote import vote
from openloop.domain.approval import ApprovalState
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import (
    AlreadyDecided,
    Edited,
    Expired,
    Invalid,
    NotAnApprover,
    OwnEdit,
    OwnRequest,
)
from openloop.runtime import editing
from openloop.storage import approvals
from tests.actions.asking import edit, rule, stage_with
from tests.actions.deciding import decide
from tests.waiting import until_someone_waits_for

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Clock, Stage


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need one maintainer, who may edit them."""
    return await stage_with(database, rule(quorum=1))


async def test_what_was_edited_runs_and_the_model_is_told_what_changed(stage: Stage) -> None:
    ref, _ = await stage.hold()
    before = await stage.approval(ref)

    edited = await edit(stage, ref, by="anna", title="Move to Postgres 18", body="Soon.")

    assert edited.hash != before.hash
    assert (edited.round, edited.state) == (2, ApprovalState.PENDING)
    await stage.work(ref)
    told = stage.surface.settled[-1]
    assert told.outcome == "Edited by anna: it has to be approved anew"
    assert {each.value for each in told.card.fields} >= {"Move to Postgres 18", "Soon."}
    await stage.press("approve", by="priya", token=told.buttons[0].token)
    await stage.work(ref)

    [ran] = stage.tracker.issues.values()
    assert ran == {"repo": "acme/platform", "title": "Move to Postgres 18", "body": "Soon."}
    said = json.loads(stage.models.requests[-1].messages[-1].content)
    assert said["edited"]["changes"] == {
        "title": {"asked": "Move to Postgres 16", "ran": "Move to Postgres 18"},
        "body": {"asked": None, "ran": "Soon."},
    }
    [audited] = await stage.audit("approval.edited")
    assert (audited.detail["before"], audited.detail["hash"]) == (before.hash, edited.hash)


async def test_whoever_edited_last_has_no_vote(stage: Stage) -> None:
    ref, _ = await stage.hold()
    edited = await edit(stage, ref, by="anna", title="Another")
    with pytest.raises(OwnEdit):
        await _approve(stage, edited.id, by="anna", seen=edited.hash)

    again = await edit(stage, ref, by="priya", title="A third")
    await _approve(stage, again.id, by="anna", seen=again.hash)
    await stage.work(ref)
    assert [issue["title"] for issue in stage.tracker.issues.values()] == ["A third"]


async def test_what_was_edited_is_decided_only_by_who_has_read_it(stage: Stage) -> None:
    """The button of the old card is void, and the API wants the hash."""
    ref, token = await stage.hold()
    before = await stage.approval(ref)
    edited = await edit(stage, ref, by="anna", title="Another")

    await stage.press("approve", by="priya", token=token)
    for seen in (None, before.hash):
        with pytest.raises(Edited):
            await _approve(stage, edited.id, by="priya", seen=seen)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING

    await _approve(stage, edited.id, by="priya", seen=edited.hash)
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_a_click_on_the_old_card_that_waits_for_the_edit_is_void(stage: Stage) -> None:
    ref, token = await stage.hold()
    approval = await stage.approval(ref)

    async with stage.tx() as tx:  # an edit is under way...
        await approvals.lock(tx, approval.id)
        click = asyncio.create_task(stage.press("approve", by="priya", token=token))
        await until_someone_waits_for(tx)  # ...when somebody approves what was there before
        await tx.run(
            "UPDATE approvals SET hash = repeat('1', 64), round = 2, token_sha256 = '\\x01'"
        )
    await click

    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    [refused] = await stage.audit("click")
    assert refused.detail == {"code": "approval_edited"}


@pytest.mark.parametrize("who", ["ben", "mallory"])
async def test_nobody_else_edits(stage: Stage, who: str) -> None:
    ref, _ = await stage.hold(await stage.mention(by="priya"))
    with pytest.raises(NotAnApprover):
        await edit(stage, ref, by=who, title="Another")


async def test_whoever_asked_does_not_edit(stage: Stage) -> None:
    ref, _ = await stage.hold(await stage.mention(by="anna"))
    with pytest.raises(OwnRequest):
        await edit(stage, ref, by="anna", title="Another")


async def test_an_edit_needs_a_rule_that_lets_people_edit(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=1, may_edit=False))
    ref, _ = await stage.hold()
    with pytest.raises(NotEditable):
        await edit(stage, ref, by="anna", title="Another")


def _nested(depth: int) -> Any:
    found: Any = "x"
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"title": 7}, "is not of type"),
        ({"assignee": "mallory"}, "assignee"),
        ({"repo": "acme/other"}, "not permitted"),
        ({"title": "x" * 70_000}, "too long|longer"),
        ({"title": "Mo\u202eve"}, "invisible character"),
        ({"title": "a\x00b"}, "NUL"),
        ({"title": 2**70}, "cannot be written as JSON"),
        ({"title": "\ud800"}, "cannot be written as JSON"),
        ({"title": float("nan")}, "not of type"),
        ({"title": _nested(5000)}, "cannot be written as JSON"),
    ],
)
async def test_what_the_gate_would_refuse_cannot_be_written_by_people_either(
    stage: Stage, changes: dict[str, Any], why: str
) -> None:
    ref, _ = await stage.hold()
    before = await stage.approval(ref)
    with pytest.raises(Invalid, match=why):
        await edit(stage, ref, by="anna", **changes)
    assert await stage.approval(ref) == before


async def test_an_edit_is_of_what_was_read(stage: Stage) -> None:
    ref, _ = await stage.hold()
    before = await stage.approval(ref)
    await edit(stage, ref, by="anna", title="Another")
    with pytest.raises(Edited):
        await editing.edit(
            stage.kit(),
            stage.workspace,
            before.id,
            {"repo": "acme/platform", "title": "A third"},
            seen=before.hash,
            by=await stage.principal("priya"),
            via="api",
        )


async def test_nothing_is_edited_that_is_decided(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, "approve", by="anna")
    with pytest.raises(AlreadyDecided):
        await edit(stage, ref, by="priya", title="Another")


async def test_nor_what_has_expired(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await clock.advance(hours=73)
    with pytest.raises(Expired):
        await edit(stage, ref, by="priya", title="Another")


async def test_nor_what_was_withdrawn(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await cancel(stage.database, stage.workspace, (await stage.run_of(ref)).id, by=SYSTEM)
    await stage.work(ref)
    with pytest.raises(AlreadyDecided):
        await edit(stage, ref, by="priya", title="Another")


async def test_the_same_arguments_are_no_edit(stage: Stage) -> None:
    ref, token = await stage.hold()
    await edit(stage, ref, by="anna")
    await stage.press("approve", by="anna", token=token)
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED


async def test_an_edit_keeps_its_time(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    before = await stage.approval(ref)
    await clock.advance(hours=10)
    assert (await edit(stage, ref, by="anna", title="Another")).expires_at == before.expires_at


async def _approve(stage: Stage, id: Any, *, by: str, seen: str | None) -> None:
    await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        id,
        "approve",
        by=await stage.principal(by),
        via="api",
        seen=seen,
    )
