"""Rights as a run meets them: who asked, who reads along, what the live manifest says at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.approval import ApprovalState
from openloop.domain.audience import PlaceClass
from openloop.domain.errors import OpenLoopError
from openloop.storage import principals
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.gating import (
    LATER,
    LINKED,
    TWO_REPOS,
    Service,
    between,
    calls,
    create,
    own,
    rules,
    with_service,
)

if TYPE_CHECKING:
    from openloop.storage.database import Database
    from tests.make import Clock

# --- what it costs -------------------------------------------------------------------------------


async def test_a_run_without_tools_asks_nobody_who_reads_along(database: Database) -> None:
    stage = await make.stage(database)
    ref = await stage.mention("hello")
    await stage.work(ref)
    assert stage.surface.said == ["All done."]
    assert stage.surface.audiences_asked == []


async def test_a_note_of_a_run_that_has_read_nothing_asks_nobody(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("Noting.", make.NOTE), reply("Noted.")]
    await stage.work(await stage.mention())
    assert stage.surface.audiences_asked == []


# --- the live revision ---------------------------------------------------------------------------


async def test_a_tightening_reaches_a_running_run_at_its_next_call(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("One.", make.READ), reply("Two.", make.READ), reply("Done.")]

    async def tighten() -> None:
        await stage.revise({"tools": [{**TWO_REPOS, "repos": ["acme/website"]}]})

    between(stage, 1, tighten)
    ref = await stage.mention()
    await stage.work(ref)

    assert await rules(stage, ref) == [
        "spec.tools[0].permissions: issues:read",
        "spec.tools[0].repos",
    ]
    assert len(stage.tracker.reads) == 1


@pytest.mark.parametrize(
    "tightened",
    [
        {"tools": [], "approvals": {}},
        {"tools": [{**TWO_REPOS, "repos": ["acme/website"]}]},
        {"tools": [{**TWO_REPOS, "requester_rights": "own"}]},
    ],
    ids=["grant", "repository", "rights of the requester"],
)
async def test_a_tightening_reaches_a_waiting_run_before_its_call(
    database: Database, tightened: dict[str, Any]
) -> None:
    stage = await make.stage(database)
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    await stage.revise(tightened)

    await stage.work(ref)

    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.STALE


async def test_a_loosening_does_not_reach_a_run_that_began_before_it(database: Database) -> None:
    stage = await make.stage(database)
    stage.models.turns = [
        reply("One.", make.READ),
        reply("Two.", create("acme/website")),
        reply("-"),
    ]

    async def loosen() -> None:
        await stage.revise({"tools": [TWO_REPOS]})

    between(stage, 1, loosen)
    ref = await stage.mention()
    await stage.work(ref)
    assert (await rules(stage, ref))[1] == "spec.tools[0].repos"


# --- the place -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [PlaceClass.GUESTS, PlaceClass.SHARED, PlaceClass.PUBLIC])
async def test_what_a_place_may_not_see_is_not_read_at_all(
    database: Database, place: PlaceClass
) -> None:
    stage = await make.stage(database)
    stage.surface.place_class = place
    stage.models.turns = [reply("Reading.", make.READ), reply("I may not.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert await rules(stage, ref) == ["spec.tools[0].visible_in: internal"]
    assert stage.tracker.reads == []


async def test_where_nobody_says_who_reads_along_nothing_is_called(database: Database) -> None:
    stage = await make.stage(database)
    stage.surface.place_class = LATER
    stage.models.turns = [reply("Both.", make.READ, make.CREATE), reply("I may not.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert await rules(stage, ref) == ["rights: place", "rights: place"]
    assert stage.tracker.reads == stage.tracker.writes == []


async def test_an_approved_call_waits_for_a_platform_that_does_not_answer(
    database: Database,
) -> None:
    stage = await make.stage(database)
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.surface.place_class = LATER
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.APPROVED

    stage.surface.place_class = PlaceClass.INTERNAL
    await stage.sweep_and_work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.EXECUTED


async def test_an_approved_call_waits_no_longer_than_its_approval_lasts(
    database: Database, clock: Clock
) -> None:
    stage = await make.stage(database)
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.surface.place_class = LATER
    await stage.work(ref)
    await clock.advance(hours=73)
    await stage.sweep_and_work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approvals(ref))[0].state is ApprovalState.STALE


async def test_what_a_platform_refuses_to_say_voids_what_was_approved(database: Database) -> None:
    stage = await make.stage(database)
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.surface.place_class = OpenLoopError("missing_scope")
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approvals(ref))[0].state is ApprovalState.STALE


async def test_a_place_that_became_shared_voids_what_was_approved_for_it(
    database: Database,
) -> None:
    stage = await make.stage(database)
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.surface.place_class = PlaceClass.SHARED
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approvals(ref))[0].state is ApprovalState.STALE


# --- requesters ----------------------------------------------------------------------------------


async def test_words_of_a_guest_are_left_out_and_take_nothing_from_the_run(
    database: Database,
) -> None:
    stage = await make.stage(database)
    stage.surface.kinds = {"U0EVE": "guest"}
    stage.models.turns = [reply("One.", make.READ), reply("Two.", make.READ), reply("Done.")]

    async def interject() -> None:
        await stage.say("me too", by="eve")

    between(stage, 0, interject)
    ref = await stage.mention()
    await stage.work(ref)
    assert len(stage.tracker.reads) == 2
    assert await stage.unread(ref) == []
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT actor->>'id', run_id IS NULL FROM messages ORDER BY id")
    assert found == [("U0BEN", False), ("U0EVE", True)]


@pytest.mark.parametrize("kind", ["guest", "external", "deactivated", "unknown"])
async def test_a_requester_who_is_no_full_member_any_more_ends_what_the_run_may_do(
    database: Database, kind: Any
) -> None:
    stage = await make.stage(database)
    stage.models.turns = [reply("One.", make.READ), reply("Two.", make.READ), reply("Done.")]

    async def leave() -> None:
        stage.surface.kinds = {"U0BEN": kind}

    between(stage, 1, leave)
    ref = await stage.mention()
    await stage.work(ref)
    assert len(stage.tracker.reads) == 1
    assert (await rules(stage, ref))[1] == "rights: requesters"


async def test_a_deactivated_principal_has_no_rights_whatever_the_platform_says(
    database: Database,
) -> None:
    stage = await make.stage(database)
    async with stage.tx() as tx:
        await principals.deactivate_others(tx, ["anna", "priya"])
    stage.models.turns = [reply("One.", make.READ), reply("Done.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert await rules(stage, ref) == ["rights: requesters"]


# --- rights of their own -------------------------------------------------------------------------


async def test_own_rights_are_what_the_service_says_of_everybody_who_asked(
    database: Database,
) -> None:
    stage = await make.stage(database, agent=own(), workspace=LINKED)
    service = Service(yes={("#4712", "acme/platform", "read")})
    with_service(stage, service)
    stage.models.turns = [reply("Both.", make.READ, make.CREATE), reply("Done.")]
    ref = await stage.mention()
    await stage.work(ref)

    read, write = await calls(stage, ref)
    assert read.rule == "spec.tools[0].permissions: issues:read"
    assert write.rule == "spec.tools[0].requester_rights: own"
    assert set(service.asked) == {
        ("#4712", "acme/platform", "read"),
        ("#4712", "acme/platform", "write"),
    }


async def test_somebody_who_steers_has_to_have_the_right_too(database: Database) -> None:
    stage = await make.stage(database, agent=own(), workspace=LINKED)
    service = Service(yes={("#4712", "acme/platform", "read")})
    with_service(stage, service)
    stage.models.turns = [reply("One.", make.READ), reply("Two.", make.READ), reply("Done.")]

    async def steer(by: str = "priya") -> None:
        await stage.say("and look again", by=by)

    between(stage, 0, steer)
    ref = await stage.mention()
    await stage.work(ref)
    assert len(stage.tracker.reads) == 1
    [_, second] = await calls(stage, ref)
    assert second.rule == "spec.tools[0].requester_rights: own"
    assert ("#4711", "acme/platform", "read") in service.asked


@pytest.mark.parametrize("why", ["not linked", "error", "no service"])
async def test_without_an_answer_nobody_has_rights_of_their_own(
    database: Database, why: str
) -> None:
    linked = LINKED if why != "not linked" else None
    stage = await make.stage(database, agent=own(), workspace=linked)
    service = Service(
        yes={("#4712", "acme/platform", "read")}, error=LATER if why == "error" else None
    )
    if why != "no service":
        with_service(stage, service)
    stage.models.turns = [reply("One.", make.READ), reply("Done.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert await rules(stage, ref) == ["spec.tools[0].requester_rights: own"]
    assert stage.tracker.reads == []


async def test_where_guests_read_along_the_service_is_asked_and_among_members_it_is_not(
    database: Database,
) -> None:
    stage = await make.stage(
        database,
        agent={"tools": [{**TWO_REPOS, "visible_in": "guests"}]},
        workspace=LINKED,
    )
    service = Service()
    with_service(stage, service)
    stage.models.turns = [reply("One.", make.READ), reply("Done.")]
    ref = await stage.mention(root="root-1")
    await stage.work(ref)
    assert service.asked == []
    stage.surface.place_class = PlaceClass.GUESTS
    ref = await stage.mention(root="root-2")
    await stage.work(ref)
    assert await rules(stage, ref) == ["spec.tools[0].requester_rights: own"]
