"""Attacks on standing rules: what is allowed at once stops at a stop, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.actions.cancel import cancel
from openloop.domain.audit import SYSTEM
from openloop.domain.run import RunState
from openloop.storage import principals
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.test_attack_effects import STANDING, create

if TYPE_CHECKING:
    from openloop.storage.database import Database


@pytest.mark.parametrize(
    ("how", "by", "is_heard"),
    [("cancel", "", True), ("stop", "anna", True), ("stop", "eve", False), ("ok", "anna", False)],
)
async def test_a_stop_during_one_allowed_write_keeps_the_next_from_running(
    database: Database, how: str, by: str, *, is_heard: bool
) -> None:
    stage = await make.stage(database, agent=STANDING)
    stage.models.turns = [reply("Two.", create("one"), create("two")), reply("All done.")]
    stage.surface.kinds = {"U0EVE": "guest"}
    ref = await stage.mention()
    run = await stage.run_of(ref)

    async def stop_now(key: str) -> None:
        stage.tracker.after = None
        if how == "cancel":
            await cancel(stage.database, stage.workspace, run.id, by=SYSTEM)
        else:
            await stage.say(how, by=by)

    stage.tracker.after = stop_now
    await stage.work(ref)

    made = [issue["title"] for issue in stage.tracker.issues.values()]
    assert made == (["one"] if is_heard else ["one", "two"])
    assert (await stage.run_of(ref)).state is (RunState.CANCELLED if is_heard else RunState.DONE)
    assert (await stage.kinds("effect"))[:2] == ["effect.intended", "effect.intended"]
    assert (await stage.kinds("effect"))[2:] == [
        "effect.done",
        "effect.failed" if is_heard else "effect.done",
    ]


async def test_whose_words_they_are_is_what_the_manifest_says_of_their_id(
    database: Database,
) -> None:
    """A link of the same id to an owner, made before the manifest knew it, gives nobody a role."""
    stage = await make.stage(database, agent=STANDING)
    async with stage.tx() as tx:
        for name, tenant, origin in (("anna", "T0ACME", "manifest"), ("priya", "", "link")):
            person = await principals.find_by_name(tx, name)
            assert person is not None
            await principals.set_identity(
                tx,
                stage.workspace,
                person.id,
                surface="slack",
                tenant=tenant,
                external_id="U0EVE",
                origin=origin,  # pyright: ignore[reportArgumentType]
            )
    stage.models.turns = [reply("I will.", make.CREATE), reply("All done.")]

    ref = await stage.mention(by="eve")
    await stage.work(ref)

    assert stage.tracker.writes == []
    assert "anna is none" in (await stage.approval(ref)).rule
