"""What is found out for the policy: whom it asks, how often, and what becomes of silence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain import facts
from openloop.domain.audience import PlaceClass
from openloop.domain.errors import Conflict, TryLater
from openloop.domain.facts import Answered, Requester, RunFacts, Seen
from openloop.domain.ids import new_id
from openloop.domain.model import ToolCall
from openloop.domain.principal import Role
from openloop.runtime import inquiry
from openloop.storage import requesters
from tests import make
from tests.runtime.fakes import reply
from tests.runtime.gating import LATER, LINKED, Service, own, with_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.claims import Work
    from openloop.storage.database import Database
    from tests.make import Stage

BEN = Requester(name="ben", kind="member", roles=(Role.OPERATOR,), typed=("please open an issue",))
CONTEXT = Seen(source="", visible_in=PlaceClass.PUBLIC)
MAY = Answered(service="github", person="#4712", resource="acme/platform", access="write")
READ_WEBSITE: dict[str, Any] = {"label": "private", "source": "github:acme/website"}


def call(name: str = "github__create_issue", **arguments: Any) -> ToolCall:
    given = {"repo": "acme/platform", "title": "A title", **arguments}
    return ToolCall(id="", name=name, arguments=json.dumps(given))


NOTE = ToolCall(id="", name=make.NOTE[0], arguments=make.NOTE[1])


async def waiting(stage: Stage, **where: Any) -> Work:
    """A claimed run that has read its request and asked for one write."""
    ref, _ = await stage.hold_quietly(**where)
    return await stage.claim_by_force(ref)


def having_read(work: Work, seq: int = 1) -> Work:
    """The same, with something confined read in a step."""
    steps = [
        replace(each, input={**each.input, **READ_WEBSITE}) if each.seq == seq else each
        for each in work.steps
    ]
    return replace(work, steps=steps)


async def facts_of(
    stage: Stage, work: Work, *calls: ToolCall, seq: int = 2, kit: Any = None
) -> RunFacts:
    assert work.run is not None
    return await inquiry.of_step(kit or stage.kit(), work, work.run, calls or [call()], seq=seq)


async def test_whoever_asked_is_known_by_name_kind_roles_and_words(stage: Stage) -> None:
    known = await facts_of(stage, await waiting(stage))
    assert known == RunFacts(
        requesters=(BEN,), surface="slack", place=PlaceClass.INTERNAL, seen=(CONTEXT,)
    )


async def test_a_call_is_judged_by_what_was_read_before_its_step(stage: Stage) -> None:
    work = having_read(await waiting(stage))
    read = Seen(source="github:acme/website", visible_in=PlaceClass.PRIVATE)
    assert (await facts_of(stage, work, seq=2)).seen == (CONTEXT, read)
    assert (await facts_of(stage, work, seq=1)).seen == (CONTEXT,)


# --- whom nobody needs to ask --------------------------------------------------------------------


async def test_for_calls_of_our_own_nobody_is_asked_who_asked(stage: Stage) -> None:
    work = await waiting(stage)
    stage.surface.audiences_asked.clear()
    nothing = RunFacts(requesters=(), surface="slack", place=None, seen=(CONTEXT,))
    assert await facts_of(stage, work, NOTE) == nothing
    assert stage.surface.audiences_asked == []
    confined = await facts_of(stage, having_read(work), NOTE)
    assert (confined.requesters, confined.place) == ((), PlaceClass.INTERNAL)


async def test_without_its_platform_nothing_is_known_and_nothing_certain(stage: Stage) -> None:
    work = await waiting(stage)
    known = await facts_of(stage, work, kit=make.without_surfaces(stage.kit()))
    assert (known.requesters, known.place, known.is_certain) == ((), None, False)


async def test_an_answer_asks_nobody_where_nothing_confined_was_read(stage: Stage) -> None:
    work = await waiting(stage)
    stage.surface.audiences_asked.clear()
    assert (await inquiry.of_answer(stage.kit(), work)).place is None
    assert stage.surface.audiences_asked == []
    known = await inquiry.of_answer(stage.kit(), having_read(work))
    assert known.place is PlaceClass.INTERNAL
    assert known.label is PlaceClass.PRIVATE


# --- silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "certain"), [(LATER, False), (Conflict("no"), True)])
async def test_who_reads_along_is_unknown_where_nobody_says_so(
    stage: Stage, error: Exception, *, certain: bool
) -> None:
    work = await waiting(stage)
    stage.surface.place_class = error
    known = await facts_of(stage, work)
    assert (known.place, known.is_certain) == (None, certain)
    assert known.requesters == (BEN,)


@pytest.mark.parametrize(("error", "certain"), [(LATER, False), (Conflict("no"), True)])
async def test_whoever_the_platform_does_not_know_is_no_member(
    stage: Stage, error: Any, *, certain: bool
) -> None:
    work = await waiting(stage)
    stage.surface.person_error = error
    known = await facts_of(stage, work)
    assert known.requesters == (replace(BEN, kind="unknown"),)
    assert known.is_certain is certain


async def test_one_who_cannot_be_asked_makes_all_of_it_uncertain(stage: Stage) -> None:
    """Whatever is found out afterwards does not make it certain again."""
    work = having_read(await waiting(stage))
    with_service(stage, Service(readers={"acme/platform": PlaceClass.PRIVATE}))
    stage.surface.person_error = TryLater("busy")
    assert not (await facts_of(stage, work)).is_certain
    stage.surface.person_error = None
    assert (await facts_of(stage, work)).is_certain
    stage.surface.place_class = LATER
    assert not (await facts_of(stage, work)).is_certain


# --- requesters ----------------------------------------------------------------------------------


async def test_what_one_person_said_in_two_messages_is_theirs_once(stage: Stage) -> None:
    ref = await stage.mention()
    await stage.say("and label it", root="root-1")
    stage.models.turns = [reply("I will.", make.CREATE)]
    await stage.work(ref)
    known = await facts_of(stage, await stage.claim_by_force(ref))
    assert known.requesters == (replace(BEN, typed=("please open an issue", "and label it")),)


async def test_somebody_without_a_name_here_goes_by_their_id(stage: Stage) -> None:
    known = await facts_of(stage, await waiting(stage, by="eve"))
    [eve] = known.requesters
    assert (eve.roles, eve.links) == ((), {})
    assert eve.name in ("eve", "U0EVE")


async def test_a_deactivated_person_is_one_whatever_the_platform_says(stage: Stage) -> None:
    work = await waiting(stage)
    async with stage.tx() as tx:
        await tx.run("UPDATE principals SET active = false WHERE name = 'ben'")
    [ben] = (await facts_of(stage, work)).requesters
    assert ben.kind == "deactivated"


@pytest.mark.parametrize("people", [inquiry.MOST_REQUESTERS, inquiry.MOST_REQUESTERS + 1])
async def test_a_run_acts_for_so_many_people_and_for_nobody_beyond(
    stage: Stage, people: int
) -> None:
    work = await waiting(stage)
    await say_more(stage, by=[f"U0PERSON{each}" for each in range(people - 1)])
    known = await facts_of(stage, work)
    assert len(known.requesters) == (people if people == inquiry.MOST_REQUESTERS else 0)
    assert inquiry.MOST_REQUESTERS == 20


@pytest.mark.parametrize("said", [requesters.MOST, requesters.MOST + 1])
async def test_a_run_in_which_too_much_was_said_acts_for_nobody(stage: Stage, said: int) -> None:
    work = await waiting(stage)
    await say_more(stage, by=["U0BEN"] * (said - 1))
    known = await facts_of(stage, work)
    assert len(known.requesters) == (1 if said == requesters.MOST else 0)
    assert requesters.MOST == 100


async def say_more(stage: Stage, *, by: Sequence[str]) -> None:
    """So many more messages of the run, as if they had been said and read."""
    async with stage.tx() as tx:
        columns = await tx.value(
            """
            SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
            WHERE table_schema = 'openloop' AND table_name = 'messages'
              AND column_name NOT IN ('id', 'actor', 'external_id')
              AND is_generated = 'NEVER' AND is_identity = 'NO'
            """
        )
        for number, who in enumerate(by):
            await tx.run(
                f"""
                INSERT INTO messages (id, actor, external_id, {columns})
                SELECT %(id)s, actor || jsonb_build_object('id', %(who)s::text), %(key)s, {columns}
                FROM messages WHERE run_id IS NOT NULL ORDER BY id LIMIT 1
                """,  # noqa: S608  # pyright: ignore[reportArgumentType]
                {"id": new_id(), "who": who, "key": f"copy-{number}"},
            )


# --- what services say ---------------------------------------------------------------------------


async def linked(database: Database, **tool: Any) -> Stage:
    return await make.stage(database, agent=own(**tool), workspace=LINKED)


async def test_a_service_is_asked_for_each_linked_person_about_each_call(
    database: Database,
) -> None:
    stage = await linked(database, repos=["acme/platform", "acme/website"])
    service = Service(yes={("#4712", "acme/platform", "write")})
    with_service(stage, service)
    work = await waiting(stage)
    service.asked.clear()
    calls = [call(), call(title="Another"), call(repo="acme/website")]
    known = await facts_of(stage, work, *calls)
    assert sorted(service.asked) == [
        ("#4712", "acme/platform", "write"),
        ("#4712", "acme/website", "write"),
    ]
    assert known.answered == frozenset({MAY})
    assert known.is_certain


@pytest.mark.parametrize(("error", "certain"), [(LATER, False), (Conflict("no"), True)])
async def test_a_service_that_does_not_answer_has_not_said_yes(
    database: Database, error: Exception, *, certain: bool
) -> None:
    stage = await linked(database)
    service = Service(yes={("#4712", "acme/platform", "write")})
    with_service(stage, service)
    work = await waiting(stage)
    service.error = error
    known = await facts_of(stage, work)
    assert (known.answered, known.is_certain) == (frozenset(), certain)


async def test_a_manifest_that_speaks_for_people_asks_no_service(stage: Stage) -> None:
    service = Service(yes={("#4712", "acme/platform", "write")})
    with_service(stage, service)
    known = await facts_of(stage, await waiting(stage))
    assert (service.asked, known.answered, known.audiences) == ([], frozenset(), {})


async def test_who_reads_what_is_written_is_asked_where_something_confined_was_read(
    stage: Stage,
) -> None:
    service = Service(readers={"acme/platform": PlaceClass.PUBLIC})
    with_service(stage, service)
    work = having_read(await waiting(stage))
    service.asked.clear()
    known = await facts_of(stage, work)
    assert known.audiences == {"github:acme/platform": PlaceClass.PUBLIC}
    assert service.asked == [("acme/platform",)]
    service.asked.clear()
    reads = ToolCall(id="", name=make.READ[0], arguments=make.READ[1])
    assert (await facts_of(stage, work, reads)).audiences == {}
    assert service.asked == []


@pytest.mark.parametrize(("error", "certain"), [(LATER, False), (Conflict("no"), True)])
async def test_a_service_that_should_say_who_reads_and_does_not_is_noted(
    stage: Stage, error: Exception, *, certain: bool
) -> None:
    service = Service(readers={"acme/platform": PlaceClass.PUBLIC})
    with_service(stage, service)
    work = having_read(await waiting(stage))
    service.error = error
    known = await facts_of(stage, work)
    assert (known.audiences, known.is_certain) == ({"github:acme/platform": None}, certain)


async def test_what_is_held_is_looked_at_with_what_was_read_before_it(stage: Stage) -> None:
    work = having_read(await waiting(stage))
    [approval] = work.approvals
    assert work.run is not None
    known = await inquiry.of_held(stage.kit(), work, work.run, approval, with_target=True)
    assert known.requesters == (BEN,)
    assert known.label is PlaceClass.PRIVATE
    gone = replace(approval, tool="github__gone")
    known = await inquiry.of_held(stage.kit(), work, work.run, gone, with_target=True)
    assert known.requesters == ()


# --- what a call would change --------------------------------------------------------------------


class Target:
    """Something that has versions, and how often it was looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self.error: Exception | None = None

    async def version(self, arguments: dict[str, Any]) -> str:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return f"version of {arguments['title']}"


def versioned(stage: Stage) -> Target:
    target = Target()
    with_service(stage, Service(), version=target.version)
    return target


def target_of(arguments: dict[str, Any]) -> str:
    return facts.target_of("github__create_issue", arguments)


ARGUMENTS = {"repo": "acme/platform", "title": "A title"}


async def test_only_what_is_held_is_looked_at(stage: Stage) -> None:
    work, target = await waiting(stage), versioned(stage)
    reads = ToolCall(id="", name=make.READ[0], arguments=make.READ[1])
    found = await facts_of(stage, work, call(), reads, NOTE)
    assert found.versions == {target_of(ARGUMENTS): "version of A title"}
    assert target.looks == 1
    denied = await facts_of(stage, work, call(repo="acme/secret"))
    assert (denied.versions, target.looks) == ({}, 1)


async def test_what_a_rule_lets_pass_is_not_looked_at(database: Database) -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    approvals = {"approvers": ["@maintainers"], "allow": [rule]}
    stage = await make.stage(database, agent={"approvals": approvals})
    ref = await stage.mention()
    target = versioned(stage)
    stage.models.turns = [reply("I will.", make.CREATE), reply("All done.")]
    await stage.work(ref)
    assert target.looks == 0


@pytest.mark.parametrize(("error", "certain"), [(LATER, False), (Conflict("no"), True)])
async def test_what_cannot_be_looked_at_has_no_version(
    stage: Stage, error: Exception, *, certain: bool
) -> None:
    work, target = await waiting(stage), versioned(stage)
    target.error = error
    found = await facts_of(stage, work)
    assert (found.versions, found.is_certain) == ({}, certain)


async def test_a_held_call_is_looked_at_when_that_is_asked_for(stage: Stage) -> None:
    work, target = await waiting(stage), versioned(stage)
    [approval] = work.approvals
    assert work.run is not None
    asked = json.loads(approval.arguments)
    kit = stage.kit()
    found = await inquiry.of_held(kit, work, work.run, approval, with_target=True)
    assert found.versions == {target_of(asked): f"version of {asked['title']}"}
    for before, taken in (({}, ""), ({"target_version": "then"}, "then")):
        known = replace(approval, preconditions=before)
        found = await inquiry.of_held(kit, work, work.run, known, with_target=False)
        assert found.versions == {target_of(asked): taken}
    assert target.looks == 1
    with_service(stage, Service())
    found = await inquiry.of_held(stage.kit(), work, work.run, approval, with_target=True)
    assert (found.versions, found.requesters) == ({}, (BEN,))
