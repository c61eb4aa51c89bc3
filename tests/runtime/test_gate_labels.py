"""What a run has read: where it may be said, written and remembered, by the class of the place now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.runtime import disclosing
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.gating import (
    LATER,
    TWO_REPOS,
    Service,
    between,
    calls,
    create,
    rules,
    with_service,
)

if TYPE_CHECKING:
    from openloop.storage.database import Database


async def test_a_read_is_journaled_with_how_far_it_may_go(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("Reading.", make.READ), reply("Done.")]
    ref = await stage.mention()
    await stage.work(ref)
    [read] = await calls(stage, ref)
    assert (read.input["label"], read.input["source"]) == ("internal", "github:acme/platform")


async def test_an_answer_is_withheld_where_others_read_along_by_now(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("Reading.", make.READ, make.NOTE), reply("The secret is 42.")]

    async def share() -> None:
        stage.surface.place_class = PlaceClass.SHARED

    between(stage, 1, share)
    await stage.work(await stage.mention())
    [said] = stage.surface.said
    assert said.startswith(disclosing.WITHHELD)
    assert "42" not in said
    assert "Postgres 16" not in said


async def test_an_answer_waits_where_nobody_says_who_reads_along(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("Reading.", make.READ), reply("The answer is 42.")]

    async def lose() -> None:
        stage.surface.place_class = LATER

    between(stage, 1, lose)
    ref = await stage.mention()
    await stage.work(ref)
    assert stage.surface.said == []

    stage.surface.place_class = PlaceClass.INTERNAL
    await stage.sweep_and_work(ref)
    assert stage.surface.said == ["The answer is 42."]
    assert len(stage.models.requests) == 2


async def test_what_was_read_is_not_written_where_the_public_reads(database: Database) -> None:
    """A standing rule would let it pass, and no person would see it."""
    allow = [{"permission": "github.issues:write", "repos": ["acme/website"]}]
    stage = await make.stage(
        database,
        agent={
            "tools": [TWO_REPOS],
            "approvals": {"allow": allow, "approvers": ["@maintainers"]},
        },
    )
    service = Service(readers={"acme/website": PlaceClass.PUBLIC})
    with_service(stage, service)
    stage.models.turns = [reply("-", make.READ), reply("-", create("acme/website")), reply("Done.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await rules(stage, ref))[1] == "rights: label"

    service.readers["acme/website"] = PlaceClass.INTERNAL
    ref = await stage.mention(root="root-2")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1


async def test_a_memory_goes_no_further_than_what_its_run_had_read(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("-", make.READ), reply("-", make.NOTE), reply("Done.")]
    await stage.work(await stage.mention())
    async with stage.tx() as tx:
        assert await tx.value("SELECT visible_in FROM memories") == "internal"

    stage.models.requests.clear()
    stage.models.turns = [reply("Here.")]
    ref = await stage.mention("what did we decide about Postgres?", root="root-2")
    await stage.work(ref)
    assert "Postgres 16" in stage.models.requests[-1].messages[1].content
    first = (await stage.steps(await stage.run_of(ref)))[0]
    assert (first.output or {})["label"] == "internal"

    stage.surface.place_class = PlaceClass.SHARED
    await stage.work(await stage.mention("what did we decide about Postgres?", root="root-3"))
    assert "Postgres 16" not in stage.models.requests[-1].messages[1].content
