"""What an edit leaves behind: all that the gate says of the new bytes, and no more than it lets pass."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.actions.editing import edit as edit_as_judged
from openloop.actions.judged import Held
from openloop.actions.pause import pause
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import AlreadyDecided, Invalid, TryLater, Unavailable
from openloop.domain.pause import Paused, PauseScope
from openloop.runtime import editing
from openloop.storage import approvals
from tests.actions.asking import edit, rule, stage_with
from tests.actions.holding import held_as, too_late

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.storage.database import Database
    from tests.make import Stage

WRITTEN = {"repo": "acme/platform", "title": "Another"}


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need one maintainer, who may edit them."""
    return await stage_with(database, rule(quorum=1))


async def edited(stage: Stage, approval: Approval, held: Held | str) -> Approval:
    """Anna edits, and this is what the gate says."""
    return await edit_as_judged(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        WRITTEN,
        seen=approval.hash,
        by=await stage.principal("anna"),
        via="api",
        judge=lambda _governing, _conversation, _approval, _arguments: held,
    )


async def test_everything_that_the_gate_says_of_it_holds_from_now_on(stage: Stage) -> None:
    ref, before = await stage.hold_quietly()
    [demand] = before.demands
    held = held_as(
        before,
        rule="another",
        arguments=json.dumps(WRITTEN).encode(),
        preconditions={"expires_hours": 72, "target_version": "7"},
        hash="1" * 64,
        card=replace(before.card, title="Another", notes=("A note",)),
        demands=(replace(demand, quorum=2),),
        may_edit=False,
        solo_mode=True,
    )
    after = await edited(stage, before, held)
    assert after == replace(
        before,
        rule="another",
        arguments=held.arguments,
        preconditions=held.preconditions,
        hash=held.hash,
        card=replace(held.card, notes=("A note", "Edited by anna, whose vote does not count")),
        demands=held.demands,
        may_edit=False,
        solo_mode=True,
        edited_by=(await stage.principal("anna")).id,
        round=2,
    )
    assert after == await stage.approval(ref)
    [event] = await stage.audit("approval.edited")
    assert event.detail["reason"] == ""


async def test_the_same_bytes_are_what_they_were(stage: Stage) -> None:
    ref, before = await stage.hold_quietly()
    assert await edited(stage, before, held_as(before, rule="another")) == before
    assert await stage.approval(ref) == before
    assert await stage.kinds("approval.edited") == []


async def test_what_the_gate_refuses_is_refused_with_its_words(stage: Stage) -> None:
    _, before = await stage.hold_quietly()
    with pytest.raises(Invalid, match="These arguments are refused: too bold") as refused:
        await edited(stage, before, "too bold")
    assert refused.value.code == "arguments_refused"
    for title in (7, 2**70):
        with pytest.raises(Invalid, match="These arguments are refused") as refused:
            await edit_of(stage, before, title=title)
        assert refused.value.code == "arguments_refused"


async def edit_of(
    stage: Stage, approval: Approval, *, title: object = "Another", **given: str
) -> Approval:
    """Anna edits, and the gate judges."""
    return await editing.edit(
        stage.kit(),
        stage.workspace,
        approval.id,
        {**WRITTEN, "title": title},
        seen=approval.hash,
        by=await stage.principal("anna"),
        via="api",
        **given,
    )


async def test_the_record_has_the_editors_reason(stage: Stage) -> None:
    _, before = await stage.hold_quietly()
    again = await edit_of(stage, before, reason="a typo")
    await edit_of(stage, again, title="A third")
    assert [each.detail["reason"] for each in await stage.audit("approval.edited")] == [
        "a typo",
        "",
    ]
    assert [each.detail["round"] for each in await stage.audit("approval.edited")] == [2, 3]


async def test_nothing_is_edited_in_a_pause(stage: Stage) -> None:
    ref, before = await stage.hold_quietly()
    await pause(
        stage.database, stage.workspace, scope=PauseScope.WORKSPACE, reason="look", by=SYSTEM
    )
    with pytest.raises(Paused):
        await edit(stage, ref, by="anna", title="Another")
    assert await stage.approval(ref) == before


async def test_nor_while_nobody_can_say_whether_it_is_permitted(stage: Stage) -> None:
    ref, before = await stage.hold_quietly()
    stage.surface.place_class = TryLater("busy")
    with pytest.raises(Unavailable):
        await edit(stage, ref, by="anna", title="Another")
    assert await stage.approval(ref) == before


async def test_an_edit_that_was_not_written_is_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, _ = await stage.hold_quietly()
    monkeypatch.setattr(approvals, "save_edit", too_late)
    with pytest.raises(AlreadyDecided, match="Somebody else"):
        await edit(stage, ref, by="anna", title="Another")
    assert await stage.kinds("approval.edited") == []
