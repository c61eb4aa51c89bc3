"""How much is found out at once and for how long, and what can be neither read nor told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import Conflict, TryLater
from openloop.domain.surface import Person
from openloop.runtime import disclosing, inquiry
from tests import make
from tests.runtime.gating import LATER, LINKED, Service, with_service
from tests.runtime.test_inquiry import (
    MAY,
    facts_of,
    having_read,
    linked,
    say_more,
    versioned,
    waiting,
)

if TYPE_CHECKING:
    from openloop.domain.tool import Arguments
    from openloop.storage.database import Database
    from tests.make import Stage


async def test_eight_people_are_looked_up_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await waiting(stage)
    await say_more(stage, by=[f"U0PERSON{each}" for each in range(19)])
    inside, most = 0, 0

    async def person(tenant: str, id: str) -> Person:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(5):  # whoever may look people up as well does so meanwhile
            await asyncio.sleep(0)
        inside -= 1
        return Person(id=id, name=id, kind="member")

    monkeypatch.setattr(stage.surface, "person", person)
    known = await facts_of(stage, work)
    assert (len(known.requesters), most) == (20, 8)


async def test_a_platform_has_ten_seconds_to_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await waiting(stage)
    given: list[float] = []
    real = asyncio.timeout

    def timeout(seconds: float) -> asyncio.Timeout:
        given.append(seconds)
        return real(seconds)

    with monkeypatch.context() as patched:
        patched.setattr(inquiry.asyncio, "timeout", timeout)
        await inquiry.of_answer(stage.kit(), having_read(work))
    assert given == [10]


async def test_one_of_several_who_cannot_be_asked_is_enough_to_be_uncertain(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await waiting(stage)
    await say_more(stage, by=["U0EVE"])
    look_up = stage.surface.person

    async def person(tenant: str, id: str) -> Person:
        if id == "U0EVE":
            raise TryLater("busy")
        return await look_up(tenant, id)

    monkeypatch.setattr(stage.surface, "person", person)
    known = await facts_of(stage, work)
    assert [each.kind for each in known.requesters] == ["member", "unknown"]
    assert not known.is_certain


async def test_people_go_by_their_name_here_then_on_the_platform_then_by_their_id(
    stage: Stage,
) -> None:
    work = await waiting(stage)
    await say_more(stage, by=["U0EVE", "U0MALLORY"])
    async with stage.tx() as tx:
        await tx.run(
            """
            UPDATE messages SET actor = actor || jsonb_build_object('name',
                CASE WHEN actor->>'id' = 'U0MALLORY' THEN '' ELSE 'a name' END)
            """
        )
    known = await facts_of(stage, work)
    assert [each.name for each in known.requesters] == ["ben", "a name", "U0MALLORY"]


async def test_words_that_nobody_typed_are_none_of_theirs(stage: Stage) -> None:
    work = await waiting(stage)
    await say_more(stage, by=["U0BEN"])
    async with stage.tx() as tx:
        await tx.run("UPDATE messages SET typed = '' WHERE external_id LIKE 'copy-%%'")
    [ben] = (await facts_of(stage, work)).requesters
    assert ben.typed == ("please open an issue",)


# --- whether a service is asked ------------------------------------------------------------------


async def test_a_service_is_asked_where_one_of_both_revisions_wants_that(
    database: Database,
) -> None:
    stage = await linked(database)
    service = Service(yes={("#4712", "acme/platform", "write")})
    with_service(stage, service)
    work = await waiting(stage)
    await stage.revise({"tools": make.AGENT["tools"]})
    service.asked.clear()
    await stage.lapse(work.claim.ref)
    again = await stage.claim(work.claim.ref)
    assert (await facts_of(stage, again)).answered == frozenset({MAY})


async def test_no_service_is_asked_where_the_manifest_speaks_for_people_who_are_linked(
    database: Database,
) -> None:
    stage = await make.stage(database, workspace=LINKED)
    service = Service(yes={("#4712", "acme/platform", "write")})
    with_service(stage, service)
    known = await facts_of(stage, await waiting(stage))
    assert (service.asked, known.answered) == ([], frozenset())


async def test_of_a_call_without_a_resource_it_is_asked_for_none(database: Database) -> None:
    stage = await linked(database)
    with_service(stage, Service(yes={("#4712", "acme/platform", "write")}))
    work = await waiting(stage)
    service = Service()
    with_service(stage, service, resource=None)
    await facts_of(stage, having_read(work))
    assert service.asked == [("#4712", "", "write")]  # and not who reads it


async def test_a_service_that_nobody_can_ask_has_not_said_yes(database: Database) -> None:
    stage = await linked(database)
    with_service(stage, Service(yes={("#4712", "acme/platform", "write")}))
    work = await waiting(stage)
    stage.registry = make.registry_of(*stage.tracker.toolset().tools)
    known = await facts_of(stage, having_read(work))
    assert (known.answered, known.audiences, known.is_certain) == (frozenset(), {}, True)


# --- what is held, and cannot be looked at -------------------------------------------------------


async def test_a_held_call_that_names_nothing_any_more_asks_nobody(stage: Stage) -> None:
    def gone(_: Arguments) -> str:
        raise Conflict("no such repository")

    work = await waiting(stage)
    [approval] = work.approvals
    assert work.run is not None
    with_service(stage, Service(), resource=gone)
    for with_target in (True, False):
        known = await inquiry.of_held(
            stage.kit(), work, work.run, approval, with_target=with_target
        )
        assert (known.requesters, known.versions) == ((), {})


async def test_a_tool_that_has_gone_or_has_no_versions_is_at_none(stage: Stage) -> None:
    work = await waiting(stage)
    [approval] = work.approvals
    assert work.run is not None
    for tool, has_versions in (("github__gone", True), (approval.tool, False)):
        if has_versions:
            versioned(stage)
        else:
            with_service(stage, Service())
        held = replace(approval, tool=tool)
        known = await inquiry.of_held(stage.kit(), work, work.run, held, with_target=False)
        assert known.versions == {}


# --- what is told --------------------------------------------------------------------------------


async def test_words_wait_where_nobody_can_tell_who_reads_them(stage: Stage) -> None:
    work = having_read(await waiting(stage))
    stage.surface.place_class = LATER
    assert await disclosing.told(stage.kit(), work, "the text") is None
    with pytest.raises(TryLater, match="does not say at the moment who reads this place"):
        await disclosing.told_or_later(stage.kit(), work, "the text")
    stage.surface.place_class = Conflict("no")
    told = await disclosing.told_or_later(stage.kit(), work, "the text")
    assert told.text.startswith(disclosing.WITHHELD)
    assert told.steps == []
