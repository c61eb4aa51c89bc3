"""What queries let a reader see is what the rule says, case by case; and what a place is known as."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import NotFound
from openloop.domain.ids import PrincipalId, new_id
from openloop.domain.readers import Reader, Standing, may_read, may_recall
from openloop.storage import (
    approvals,
    audit,
    evidence,
    memories,
    places,
    principals,
    readers,
    recorded_calls,
    rows,
    runs,
)
from tests import make
from tests.reading import BEN, MALLORY, Told, every_case, tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from openloop.domain.principal import Principal
    from openloop.storage.database import Transaction
    from openloop.storage.principals import IdentityOrigin
    from tests.make import Clock, Stage

PRIVATE = Standing(place=PlaceClass.PRIVATE)
OPEN = Standing(place=PlaceClass.INTERNAL)
MEMBER = Reader(
    principal=PrincipalId(new_id()),
    sees=True,
    audits=True,
    known_as=(BEN,),
    references=frozenset({"@ben"}),
)
READERS = {
    "member": MEMBER,
    "overseer": replace(MEMBER, oversees=True),
    "nobody": replace(MEMBER, sees=False),
    "somebody else": replace(MEMBER, known_as=(), references=frozenset[str]()),
}


def stands(reader: Reader, told: Told) -> Standing:
    """How a reader stands to a conversation that was told for ben."""
    return replace(
        told.standing,
        has_asked=told.standing.has_asked and bool(reader.known_as),
        is_asked=told.standing.is_asked and bool(reader.references),
    )


@pytest.mark.parametrize("name", READERS)
async def test_every_query_shows_what_the_rule_says(stage: Stage, name: str) -> None:
    reader = READERS[name]
    told = await every_case(stage)
    wanted = {each.run for each in told if may_read(reader, stands(reader, each))}
    of_conversation = {
        each.conversation
        for each in told
        if may_read(reader, replace(stands(reader, each), is_asked=False))
    }
    remembered = {
        each.memory
        for each in told
        if may_recall(reader, stands(reader, each), visible_in=PlaceClass.PUBLIC, is_of_place=True)
    }
    approved = {each.approval for each in told if each.run in wanted}

    async with stage.tx() as tx:
        listed = [
            {run.id for run in await runs.list_newest(tx, limit=100, reader=reader)},
            {
                UUID(run.id)
                for run in await evidence.list_facts(tx, after=None, limit=100, reader=reader)
            },
            {
                run.id
                for run in await recorded_calls.list_runs(
                    tx, hours=1, before=None, limit=100, reader=reader
                )
            },
            {
                event.run_id
                for event in await audit.list_newest(tx, limit=100, kind="run.", reader=reader)
            },
            {each.run for each in told if await is_shown(readers.check_run, tx, reader, each.run)},
            await readers.list_readable(tx, reader, [("run", each.run) for each in told]),
        ]
        asks = [
            {each.id for each in await approvals.list_newest(tx, limit=100, reader=reader)},
            {
                approval.id
                for each in told
                for approval in await approvals.list_of_run(tx, each.run, reader=reader)
            },
            {
                each.approval
                for each in told
                if await is_shown(readers.check_approval, tx, reader, each.approval)
            },
        ]
        talks = [
            {
                each.conversation
                for each in told
                if await is_shown(readers.check_conversation, tx, reader, each.conversation)
            },
            await readers.list_readable(
                tx, reader, [("conversation", each.conversation) for each in told]
            ),
        ]
        notes = [
            {each.id for each in await memories.list_newest(tx, limit=100, reader=reader)},
            {
                each.memory
                for each in told
                if await is_shown(readers.check_memory, tx, reader, each.memory)
            },
        ]

    assert len(told) == 24
    assert listed == [wanted] * 6
    assert asks == [approved] * 3
    assert talks == [of_conversation] * 2
    assert notes == [remembered] * 2


async def is_shown(check: Callable[..., Any], *arguments: Any) -> bool:
    try:
        await check(*arguments)
    except NotFound:
        return False
    return True


# --- who asked, who is asked -----------------------------------------------------------------------


async def test_an_id_counts_in_its_tenant_and_surface_only(stage: Stage) -> None:
    told = await tell(stage, replace(PRIVATE, has_asked=True))
    others = [
        replace(BEN, tenant="T0OTHER"),
        replace(BEN, surface="github"),
        replace(BEN, id="U0BE"),
    ]

    async with stage.tx() as tx:
        for known_as in (BEN, replace(BEN, tenant="")):
            await readers.check_run(tx, replace(MEMBER, known_as=(known_as,)), told.run)
        for other in others:
            with pytest.raises(NotFound):
                await readers.check_run(tx, replace(MEMBER, known_as=(other,)), told.run)


async def test_words_that_no_run_has_taken_in_make_nobody_a_requester(stage: Stage) -> None:
    told = await tell(stage, replace(PRIVATE, has_asked=True))
    async with stage.tx() as tx:
        await tx.run("UPDATE messages SET run_id = NULL")
    async with stage.tx() as tx:
        with pytest.raises(NotFound):
            await readers.check_run(tx, MEMBER, told.run)


async def test_who_decides_later_is_asked_once_that_is_due(stage: Stage, clock: Clock) -> None:
    told = await tell(stage, PRIVATE)
    demands = """[{"rule": "r", "approvers": ["@leads"],
                   "escalation": [{"after_hours": 2, "approvers": ["@ben"]}]}]"""
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET demands = %(d)s::jsonb", {"d": demands})

    async with stage.tx() as tx:
        with pytest.raises(NotFound):
            await readers.check_run(tx, MEMBER, told.run)
    await clock.advance(hours=2, seconds=1)
    async with stage.tx() as tx:
        await readers.check_run(tx, MEMBER, told.run)


async def test_people_are_known_by_the_ids_of_the_manifest_before_those_they_linked(
    stage: Stage,
) -> None:
    ben, anna = await stage.principal("ben"), await stage.principal("anna")

    async def set_identity(person: Principal, tenant: str, origin: IdentityOrigin) -> None:
        async with stage.tx() as tx:
            await principals.set_identity(
                tx,
                stage.workspace,
                person.id,
                surface="slack",
                tenant=tenant,
                external_id="U0SAME",
                origin=origin,
            )

    async def known(person: Principal) -> set[tuple[str, str]]:
        async with stage.tx() as tx:
            return {(a.tenant, a.id) for a in await readers.list_known_as(tx, person.id)}

    await set_identity(anna, make.place().tenant, "link")
    assert await known(anna) == {("T0ACME", "U0ANNA"), ("T0ACME", "U0SAME"), ("", str(anna.id))}
    await set_identity(ben, "", "manifest")

    assert await known(ben) == {("T0ACME", "U0BEN"), ("", "U0SAME"), ("", str(ben.id))}
    assert await known(anna) == {("T0ACME", "U0ANNA"), ("", str(anna.id))}


@pytest.mark.parametrize("scope", ["channel", "agent", "workspace"])
@pytest.mark.parametrize("place", [PlaceClass.PRIVATE, PlaceClass.INTERNAL])
@pytest.mark.parametrize("visible_in", [PlaceClass.PRIVATE, PlaceClass.INTERNAL])
async def test_a_memory_is_read_by_its_class_and_one_of_a_channel_there(
    stage: Stage, scope: str, place: PlaceClass, visible_in: PlaceClass
) -> None:
    told = await tell(stage, Standing(place=place))
    async with stage.tx() as tx:
        await tx.run(
            "UPDATE memories SET scope = %(scope)s, visible_in = %(visible_in)s",
            {"scope": scope, "visible_in": str(visible_in)},
        )
        shown = await readers.list_readable(tx, MEMBER, [("memory", told.memory)])

    rule = may_recall(MEMBER, told.standing, visible_in=visible_in, is_of_place=scope == "channel")
    assert bool(shown) is rule


# --- places ----------------------------------------------------------------------------------------


async def reads(stage: Stage, told: Told) -> bool:
    """Whether any full member reads it now."""
    anybody = Reader(principal=PrincipalId(new_id()), sees=True)
    async with stage.tx() as tx:
        return await readers.may_read_conversation(tx, anybody, told.conversation)


async def note(stage: Stage, told: Told, found: PlaceClass | None) -> None:
    async with stage.tx() as tx:
        await places.note(tx, stage.workspace, told.place, found)


async def test_a_place_that_turns_private_hides_all_that_was_said_there(
    stage: Stage, clock: Clock
) -> None:
    told = await tell(stage, OPEN)
    other = await tell(stage, Standing(place=None), channel=told.place.container)
    assert await reads(stage, told)
    assert await reads(stage, other)

    await note(stage, told, PlaceClass.PRIVATE)

    assert not await reads(stage, told)
    assert not await reads(stage, other)


async def test_what_was_said_in_private_stays_so_when_the_place_is_opened(
    stage: Stage, clock: Clock
) -> None:
    told = await tell(stage, PRIVATE)
    await clock.advance(minutes=2)
    before = await tell(stage, Standing(place=None), channel=told.place.container)
    await note(stage, told, PlaceClass.INTERNAL)
    await clock.advance(minutes=2)
    after = await tell(stage, Standing(place=None), channel=told.place.container)
    await note(stage, told, PlaceClass.INTERNAL)

    assert not await reads(stage, told)
    assert not await reads(stage, before)  # nobody had asked in between
    assert await reads(stage, after)


async def test_what_nobody_tells_any_more_is_not_known(stage: Stage, clock: Clock) -> None:
    told = await tell(stage, OPEN)
    await clock.advance(minutes=2)
    await note(stage, told, None)
    assert not await reads(stage, told)

    await clock.advance(minutes=2)
    await note(stage, told, PlaceClass.PUBLIC)
    assert await reads(stage, told)


async def test_an_answer_that_was_remembered_does_not_widen_what_was_told_since(
    stage: Stage, clock: Clock
) -> None:
    """A delivery says that the channel is private; the platform's answer of before is still about."""
    told = await tell(stage, OPEN)
    async with stage.tx() as tx:
        await places.close(tx, stage.workspace, told.place)
    await note(stage, told, PlaceClass.INTERNAL)
    assert not await reads(stage, told)
    later = await tell(stage, Standing(place=None), channel=told.place.container)

    await clock.advance(seconds=61)
    await note(stage, told, PlaceClass.INTERNAL)
    assert not await reads(stage, later)
    await clock.advance(seconds=1)
    newest = await tell(stage, Standing(place=None), channel=told.place.container)
    assert await reads(stage, newest)


async def test_the_same_answer_is_written_once_a_minute_and_waits_for_nobody(
    stage: Stage, clock: Clock
) -> None:
    told = await tell(stage, OPEN)

    async def known_at() -> Any:
        async with stage.tx() as tx:
            return await tx.value("SELECT known_at FROM places")

    first = await known_at()
    async with stage.tx() as holding:
        await holding.run("SELECT FROM places FOR UPDATE")
        await note(stage, told, PlaceClass.INTERNAL)
    assert await known_at() == first
    await clock.advance(seconds=61)
    await note(stage, told, PlaceClass.INTERNAL)
    assert await known_at() > first


async def test_places_are_asked_about_in_turn_and_by_one_at_a_time(
    stage: Stage, clock: Clock
) -> None:
    """Those of agents are known from the start; the others once somebody has asked there."""
    told = [await tell(stage, OPEN) for _ in range(3)]

    async def due(limit: int = 10) -> list[str]:
        async with stage.tx() as tx:
            taken = await places.take_due(tx, stage.workspace, surfaces=["slack"], limit=limit)
        return [place.container for place in taken]

    first = await due(2)
    rest = await due()
    assert sorted(first + rest) == sorted([make.CHANNEL, *(t.place.container for t in told)])
    assert await due() == []
    await clock.advance(seconds=places.DUE_SECONDS + 1)
    assert len(await due()) == 4


# --- what it costs ---------------------------------------------------------------------------------

MANY = 5000


async def many(stage: Stage) -> None:
    """As many private conversations, of which one in a hundred is ben's, and a few that all read."""
    await tell(stage, OPEN)
    told = await tell(stage, replace(PRIVATE, has_asked=True))
    async with stage.tx() as tx:
        await tx.run(
            """
            WITH n AS (SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS run
                       FROM generate_series(1, %(many)s) AS n),
            c AS (INSERT INTO conversations (workspace_id, id, agent_id, surface, tenant, container, root)
                  SELECT workspace_id, n.id, agent_id, surface, tenant, container, n.id::text
                  FROM conversations, n WHERE conversations.id = %(id)s),
            r AS (INSERT INTO runs (workspace_id, id, conversation_id, agent_id, revision_id, state,
                                    requested_by, request)
                  SELECT workspace_id, n.run, n.id, agent_id, revision_id, state, requested_by, ''
                  FROM runs, n WHERE runs.id = %(run)s),
            e AS (INSERT INTO audit_events (workspace_id, kind, actor, subject, run_id)
                  SELECT %(workspace)s, 'run.done', '{"kind": "system"}', n.run, n.run FROM n)
            INSERT INTO messages (workspace_id, id, conversation_id, run_id, external_id, actor, text,
                                  sent_at)
            SELECT workspace_id, gen_random_uuid(), n.id, n.run, n.id::text,
                   CASE WHEN n.n %% 100 = 0 THEN actor ELSE %(other)s END, '', sent_at
            FROM messages, n WHERE messages.run_id = %(run)s
            """,
            {
                "many": MANY,
                "id": told.conversation,
                "run": told.run,
                "workspace": stage.workspace,
                "other": rows.json(MALLORY),
            },
        )


async def test_lists_are_looked_up_in_indexes(stage: Stage, superuser: str) -> None:
    """Nobody reads a whole table for a page, however little of it is theirs."""
    await many(stage)
    with psycopg.connect(superuser, autocommit=True) as connection:
        for table in ("conversations", "runs", "messages", "audit_events", "approvals", "memories"):
            connection.execute(f"ANALYZE openloop.{table}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    asked: list[Callable[[Transaction], Awaitable[object]]] = [
        lambda tx: runs.list_newest(tx, limit=50, reader=MEMBER),
        lambda tx: approvals.list_newest(tx, limit=50, reader=MEMBER),
        lambda tx: memories.list_newest(tx, limit=50, reader=MEMBER),
        lambda tx: audit.list_newest(tx, limit=50, reader=MEMBER),
        lambda tx: evidence.list_facts(tx, after=None, limit=50, reader=MEMBER),
        lambda tx: recorded_calls.list_runs(tx, hours=1, before=None, limit=50, reader=MEMBER),
    ]
    for ask in asked:
        async with stage.tx() as tx:
            assert await ask(tx)
            read = await tx.tuples(
                """
                SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables
                WHERE schemaname = 'openloop' AND seq_tup_read > 100
                """
            )
        assert read == []
