"""Lines: only so many runs of an agent and of a workspace at a time, in order, and nobody is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import claims
from openloop.domain.ids import new_id
from openloop.domain.run import RunState
from openloop.domain.surface import Place, Thread
from openloop.runtime.sweep import Sweep
from openloop.runtime.worker import Worker
from openloop.storage import conversations, lines
from tests import make
from tests.actions.deciding import decide
from tests.runtime.fakes import reply
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.conversation import ConversationRef
    from openloop.domain.priority import PriorityName
    from tests.make import Clock, Stage

pytestmark = pytest.mark.usefixtures("clock")


async def mentions(
    stage: Stage, many: int, *, priority: PriorityName = "interactive"
) -> list[ConversationRef]:
    """Runs of as many conversations, queued one after the other."""
    found: list[ConversationRef] = []
    for _ in range(many):
        event = make.inbound(root=f"root-{new_id()}")
        received = await stage.take(replace(event, priority=priority))
        assert received.conversation is not None
        found.append(received.conversation)
    return found


async def take(stage: Stage, ref: ConversationRef) -> Work | None:
    return await claims.take(stage.database, stage.configuration, ref, worker=new_id())


async def let_go(stage: Stage, work: Work) -> list[ConversationRef]:
    """The run ends; who is next then."""
    async with stage.tx() as tx:
        await tx.run(
            "UPDATE runs SET state = 'done' WHERE id = %(id)s", {"id": work.run and work.run.id}
        )
        assert await conversations.release(tx, work.claim)
    return await claims.next_in_line(stage.database, work)


async def is_done(stage: Stage, ref: ConversationRef) -> bool:
    return (await stage.run_of(ref)).state is RunState.DONE


async def limited(stage: Stage, *, agent: int | None = None, workspace: int | None = None) -> None:
    if agent is not None:
        await stage.revise({"limits": {"concurrency": agent}})
    if workspace is not None:
        await stage.revise_workspace({"limits": {"concurrency": workspace}})


@pytest.mark.parametrize("where", ["agent", "workspace"])
async def test_of_many_at_once_as_many_get_in_as_may(stage: Stage, where: str) -> None:
    await limited(stage, **{where: 3})
    refs = await mentions(stage, 10)

    async with stage.tx() as tx:  # all of them come while somebody is being let in
        subject = (
            stage.workspace if where == "workspace" else (await stage.run_of(refs[0])).agent_id
        )
        await tx.send(
            "SELECT pg_advisory_xact_lock(hashtextextended(%(id)s::text, 5))", {"id": subject}
        )
        await tx.settle()
        tried = [asyncio.create_task(take(stage, ref)) for ref in refs]
        await until_someone_waits_for(tx, waiters=3)
    works = [work for work in await asyncio.gather(*tried) if work is not None]

    assert len(works) == 3


async def test_a_run_that_waits_for_its_place_says_so_once_and_keeps_its_turn(stage: Stage) -> None:
    await limited(stage, agent=1)
    first, second, third = await mentions(stage, 3)
    at_work = await take(stage, first)
    assert at_work is not None

    for ref in (second, third, second, third):
        assert await take(stage, ref) is None
        async with stage.tx() as tx:
            await conversations.bump(tx, ref.id)

    statuses = [row.op["text"] for row in await stage.outbox(second)]
    assert statuses == ["waits for another run of this agent to end"]
    assert (await stage.run_of(second)).state is RunState.QUEUED
    assert await let_go(stage, at_work) == [second]
    assert await take(stage, third) is None, "nobody overtakes"
    assert await take(stage, second) is not None


async def test_where_everybody_can_speak_a_line_says_nothing(stage: Stage) -> None:
    """Who asked is looked up by whoever lets the run in: until then nobody is answered."""
    await limited(stage, agent=1)
    first, second = await mentions(stage, 2)
    assert await take(stage, first) is not None
    asked = claims.take(
        stage.database,
        stage.configuration,
        second,
        worker=new_id(),
        silent_on=frozenset({"slack"}),
    )
    assert await asked is None
    assert await stage.outbox(second) == []


async def test_a_stop_of_somebody_who_may_not_lets_nobody_in(stage: Stage) -> None:
    await limited(stage, agent=1)
    first, second = await mentions(stage, 2)
    at_work = await take(stage, first)
    assert at_work is not None
    stage.surface.kinds["U0GUEST"] = "guest"
    async with stage.tx() as tx:
        root = (await conversations.get(tx, second.id)).root
    await stage.take(make.inbound("stop", root=root, by="guest", addressed="followup"))

    await stage.work(second)

    assert stage.models.requests == []
    assert (await stage.run_of(second)).state is RunState.QUEUED
    assert await stage.unread(second) != []
    assert await claims.next_in_line(stage.database, at_work) == [second]
    await let_go(stage, at_work)
    await stage.work(second)  # or the worker from before was faster
    await until(lambda: is_done(stage, second))


async def test_nor_lets_it_a_run_go_on_that_waits_for_people(stage: Stage) -> None:
    """What was decided meanwhile is done once there is room, and not because a stranger has spoken."""
    await limited(stage, agent=1)
    held, _ = await stage.hold()
    await decide(stage, held, "approve", by="anna")
    [busy] = await mentions(stage, 1)
    at_work = await take(stage, busy)
    assert at_work is not None
    stage.surface.kinds["U0GUEST"] = "guest"
    await stage.take(make.inbound("stop", by="guest", addressed="followup"))

    await stage.work(held)

    assert (stage.tracker.writes, await stage.unread(held)) == ([], [])
    assert (await stage.approval(held)).state == "approved"
    await let_go(stage, at_work)
    await stage.work(held)  # or the worker from before was faster
    await until(lambda: len(stage.tracker.writes) == 1)


async def test_a_run_that_follows_another_one_overtakes_nobody(stage: Stage) -> None:
    await limited(stage, agent=1)
    [first] = await mentions(stage, 1)
    async with stage.tx() as tx:
        root = (await conversations.get(tx, first.id)).root
    others: list[ConversationRef] = []

    async def say_more(request: object) -> None:
        stage.models.before = None
        others.extend(await mentions(stage, 1))
        assert await take(stage, others[0]) is None
        await stage.take(make.inbound("second", root=root))

    stage.models.before = say_more
    await stage.work(first)
    await until(lambda: len(stage.surface.said) == 3)

    asked = [request.messages[-1].content for request in stage.models.requests]
    assert ["second" in text for text in asked] == [False, False, True]


async def test_what_people_wait_for_goes_before_work_in_bulk(stage: Stage) -> None:
    await limited(stage, agent=1)
    [first] = await mentions(stage, 1)
    at_work = await take(stage, first)
    assert at_work is not None
    [bulk, *_] = await mentions(stage, 3, priority="batch")
    [timed] = await mentions(stage, 1, priority="scheduled")
    [asked] = await mentions(stage, 1)
    for ref in (bulk, timed, asked):
        assert await take(stage, ref) is None

    order: list[ConversationRef] = []
    while following := await let_go(stage, at_work):
        order += following
        at_work = await take(stage, following[0])
        assert at_work is not None

    assert order == [asked, timed, bulk]


async def test_a_conversation_keeps_the_priority_that_it_was_opened_with(stage: Stage) -> None:
    event = replace(make.inbound(), priority="batch")
    await stage.take(event)
    received = await stage.take(make.inbound("and one more thing", addressed="followup"))

    assert received.conversation is not None
    async with stage.tx() as tx:
        conversation = await conversations.get(tx, received.conversation.id)
    assert conversation.priority.name == "BATCH"


async def test_a_long_line_of_one_agent_keeps_no_other_from_starting(stage: Stage) -> None:
    await limited(stage, agent=1, workspace=3)
    elsewhere = {"surfaces": [{"type": "slack", "channel": "#OPS"}]}
    await make.applied_agent(stage.database, stage.workspace, elsewhere, name="ops")
    for ref in await mentions(stage, 6):
        await take(stage, ref)

    received = await stage.take(make.inbound(root="elsewhere", channel="OPS"))

    assert received.conversation is not None
    assert await take(stage, received.conversation) is not None


async def test_other_workspaces_do_not_count(stage: Stage) -> None:
    other = await make.stage_of(stage.database, stage, "other", workspace={"integrations": None})
    spec: dict[str, Any] = {
        "surfaces": [],
        "tools": [],
        "approvals": None,
        "limits": {"concurrency": 1},
    }
    await make.applied_agent(other.database, other.workspace, spec)
    await limited(stage, agent=1, workspace=1)
    [mine] = await mentions(stage, 1)
    place = Place(surface="console", tenant="other", container="dev-platform")
    event = replace(make.inbound(), thread=Thread(place=place, root="theirs"))
    theirs = (await other.take_in(event)).conversation
    assert theirs is not None

    assert await take(stage, mine) is not None
    assert await take(other, theirs) is not None


async def test_stop_is_heard_in_line(stage: Stage) -> None:
    await limited(stage, agent=1)
    first, second = await mentions(stage, 2)
    assert await take(stage, first) is not None
    assert await take(stage, second) is None
    async with stage.tx() as tx:
        thread = (await conversations.get(tx, second.id)).thread

    await stage.take(make.inbound("stop", root=thread.root))
    await stage.work(second)

    assert (await stage.run_of(second)).state is RunState.CANCELLED
    async with stage.tx() as tx:
        assert (await conversations.get(tx, second.id)).line_since is None


async def test_a_run_that_waits_for_people_takes_no_place(stage: Stage) -> None:
    await limited(stage, agent=1)
    await stage.hold()
    [second] = await mentions(stage, 1)

    assert await take(stage, second) is not None


async def test_the_place_of_a_worker_that_died_is_free_once_its_lease_is_over(
    stage: Stage, clock: Clock
) -> None:
    await limited(stage, agent=1)
    first, second = await mentions(stage, 2)
    assert await take(stage, first) is not None
    assert await take(stage, second) is None

    await clock.advance(seconds=conversations.LEASE_SECONDS + 1)

    assert second in await _swept(stage)
    assert await take(stage, second) is not None


async def test_a_limit_that_grows_is_noticed(stage: Stage) -> None:
    await limited(stage, agent=1)
    refs = await mentions(stage, 8)
    for ref in refs:
        await take(stage, ref)

    await limited(stage, agent=4)

    found = [await take(stage, ref) for ref in refs if ref in await _swept(stage)]
    assert [work is not None for work in found] == [True, True, True, False, False, False, False]


async def test_a_sweep_finds_who_is_in_front_though_nobody_has_woken_them(stage: Stage) -> None:
    await limited(stage, agent=1)
    refs = await mentions(stage, 8)
    for ref in refs:
        await take(stage, ref)

    async with stage.tx() as tx:
        found = await lines.list_heads(tx, stage.workspace, limit=50)
    assert sorted(found, key=refs.index) == refs[1 : 1 + lines.HEADS]


async def _swept(stage: Stage) -> list[ConversationRef]:
    woken: list[ConversationRef] = []
    await Sweep(stage.database, stage.configuration, woken.append).once()
    return woken


async def test_a_worker_goes_on_with_whoever_is_next_until_all_are_answered(stage: Stage) -> None:
    await limited(stage, agent=2)
    refs = await mentions(stage, 9)
    inside, most = 0, 0
    both = asyncio.Event()

    async def at_work(_: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            both.set()
        await both.wait()

    async def done(_: object) -> None:
        nonlocal inside
        inside -= 1

    stage.models.turns = [reply("All done.")]
    stage.models.before, stage.models.after = at_work, done
    worker = Worker(stage.kit())
    for ref in refs:
        worker.wake(ref)
    await until(lambda: stage.surface.said == ["All done."] * 9)

    assert most == 2


async def test_whoever_is_let_in_looks_for_room_for_the_next(stage: Stage) -> None:
    """The limit has grown by three, and one wake-up came."""
    await limited(stage, agent=1)
    first, *others = await mentions(stage, 4)
    assert await take(stage, first) is not None
    for ref in others:
        await take(stage, ref)
    await limited(stage, agent=4)
    all_in = asyncio.Event()
    inside = 0

    async def at_work(_: object) -> None:
        nonlocal inside
        inside += 1
        if inside == len(others):
            all_in.set()
        await all_in.wait()

    stage.models.before = at_work
    Worker(stage.kit()).wake(others[0])

    await until(lambda: stage.surface.said == ["All done."] * len(others))
