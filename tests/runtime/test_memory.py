"""Memory: saved once, recalled in its scope only, taken back by those who may."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import apply, notes
from openloop.domain.audience import PlaceClass
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Invalid, LostClaim, NotFound
from openloop.domain.ids import AgentId, MemoryId, new_id
from openloop.domain.memory import MemoryKind, MemoryScope
from openloop.domain.surface import Say, Whisper
from openloop.runtime.context import memory_scope
from openloop.storage import agents, memories
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database
    from tests.make import Stage


async def noted(stage: Stage) -> tuple[Any, str]:
    """A note that Ben asked for; its conversation and the token of its Undo button."""
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    ref = await stage.mention("please note that we move to Postgres 16")
    await stage.work(ref)
    [said] = [op for op in stage.surface.posted.values() if isinstance(op, Say)]
    assert "_Noted (decision): We move to Postgres 16._" in said.markdown
    [button] = said.buttons
    assert (button.action, button.label) == ("undo", "Undo: We move to Postgres 16.")
    return ref, button.token


async def live(stage: Stage) -> list[str]:
    async with stage.tx() as tx:
        return [memory.text for memory in await memories.list_newest(tx, limit=50)]


async def save(
    stage: Stage, work: Work, text: str, *, seq: int = 2, undo: str = "undo"
) -> MemoryId:
    assert work.run is not None
    return await notes.save(
        stage.database,
        work,
        work.run,
        step_seq=seq,
        scope=memory_scope(work, work.run),
        kind=MemoryKind.DECISION,
        text=text,
        undo_token=undo,
        retention_days=30,
        visible_in=PlaceClass.PUBLIC,
    )


# --- saving --------------------------------------------------------------------------------------


async def test_the_same_step_saves_once(stage: Stage) -> None:
    work = await stage.claim(await stage.mention())

    ids = [await save(stage, work, "We move.", undo=f"undo-{n}") for n in range(3)]

    assert len(set(ids)) == 1
    assert await live(stage) == ["We move."]
    assert await stage.kinds("memory") == ["memory.saved"]


async def test_another_step_saves_another(stage: Stage) -> None:
    work = await stage.claim(await stage.mention())
    await save(stage, work, "One.", seq=2, undo="a")
    await save(stage, work, "Two.", seq=3, undo="b")
    assert await live(stage) == ["Two.", "One."]


async def test_a_worker_that_was_declared_dead_saves_nothing(stage: Stage) -> None:
    ref = await stage.mention()
    work = await stage.claim(ref)
    await stage.lapse(ref)
    await stage.claim(ref)
    with pytest.raises(LostClaim):
        await save(stage, work, "Too late.")
    assert await live(stage) == []


async def test_a_memory_says_who_asked_for_it_and_where_it_comes_from(stage: Stage) -> None:
    await noted(stage)
    async with stage.tx() as tx:
        [memory] = await memories.list_newest(tx, limit=5)
    assert (memory.author.name, memory.author.external_id) == ("ben", "U0BEN")
    assert memory.source_link.startswith("https://slack.example/")
    assert memory.confidence == "unconfirmed"


SECRETS = [
    "xoxb-1111-2222-abcdefabcdef",
    "the token is xoxp-123456789012-abc",
    "xapp-1-A0OPENLOOP-1-abcdef",
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "github_pat_11AAAAAAA0abcdefghijkl",
    "sk-proj-abcdefghij0123456789",
    "sk-ant-api03-abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "lin_api_abcdef",
    "glpat-abcdefghijklmnop",
]


@pytest.mark.parametrize("text", SECRETS)
async def test_what_looks_like_a_secret_is_not_remembered(stage: Stage, text: str) -> None:
    work = await stage.claim(await stage.mention())
    with pytest.raises(Invalid, match="secret"):
        await save(stage, work, f"We use {text} from now on")
    assert await live(stage) == []


@pytest.mark.parametrize(
    "text",
    [
        "We take a task-based approach.",
        "Risk-averse customers stay on the old plan.",
        "desk-top and disk-space are ask-me-anything topics",
        "The sk-learn-based-ranking-model stays.",
        "Tokens that begin with ghp are revoked on Fridays.",
    ],
)
async def test_words_that_only_look_a_little_like_one_are(stage: Stage, text: str) -> None:
    work = await stage.claim(await stage.mention())
    await save(stage, work, text)
    assert await live(stage) == [text]


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 2001])
async def test_a_memory_has_a_length(stage: Stage, text: str) -> None:
    work = await stage.claim(await stage.mention())
    with pytest.raises(Invalid):
        await save(stage, work, text)


async def test_the_model_is_told_what_was_refused(stage: Stage) -> None:
    secret = ("memory__note", '{"kind": "fact", "text": "key sk-proj-abcdefghij0123456789"}')
    stage.models.turns = [reply("Noted.", secret), reply("I could not note it.")]
    ref = await stage.mention()
    await stage.work(ref)
    assert "secrets are not remembered" in stage.models.requests[-1].messages[-1].content
    assert stage.surface.said == ["I could not note it."]
    assert await live(stage) == []


# --- scope ---------------------------------------------------------------------------------------


async def canary(database: Database, workspace: WorkspaceId, scope: MemoryScope, text: str) -> None:
    async with database.transaction(workspace) as tx:
        await memories.add(
            tx,
            workspace,
            id=MemoryId(new_id()),
            scope=scope,
            kind=MemoryKind.FACT,
            text=text,
            author=SYSTEM,
            source_link="",
            source_message="",
            effective_at=make.NOON,
            retention_days=None,
        )


async def test_a_memory_is_recalled_in_its_own_scope_and_nowhere_else(database: Database) -> None:
    """Two workspaces, two agents, two channels, three kinds of scope: no canary leaves its cage."""
    queries = ["canary", "canary vacuum", "canary | !canary", "the canary's", "CANARY"]
    cages: list[tuple[WorkspaceId, MemoryScope]] = []
    for name in ("acme", "other"):
        workspace = await apply.ensure_workspace(database, name)
        async with database.transaction(workspace) as tx:
            found = [await agents.put_agent(tx, workspace, f"agent-{n}") for n in range(2)]
        for agent, kind, channel in itertools.product(
            found, ("channel", "agent", "workspace"), ("slack:T0ACME:DEV", "slack:T0ACME:QA")
        ):
            scope = MemoryScope(agent_id=AgentId(agent), scope=kind, scope_id=channel)  # pyright: ignore[reportArgumentType]
            cages.append((workspace, scope))
    for number, (workspace, scope) in enumerate(cages):
        await canary(database, workspace, scope, f"canary number {number}")

    for number, (workspace, scope) in enumerate(cages):
        for query in queries:
            async with database.transaction(workspace) as tx:
                found = await memories.recall(tx, scope, query, limit=50)
            assert [memory.text for memory in found] == [f"canary number {number}"], (scope, query)


async def test_what_is_noted_in_one_channel_is_not_known_in_another(database: Database) -> None:
    surfaces = [{"type": "slack", "channel": f"#{name}"} for name in (make.CHANNEL, "QA")]
    stage = await make.stage(database, agent={"surfaces": surfaces})
    await noted(stage)
    search = ("memory__search", '{"query": "Postgres"}')
    stage.models.turns = [reply("Looking.", search), reply("Done.")]

    for channel, known in (("QA", False), (make.CHANNEL, True)):
        ref = await stage.mention("what about Postgres?", root="r2", channel=channel)
        await stage.work(ref)
        seen = "\n".join(message.content for message in stage.models.requests[-1].messages)
        assert ("We move to Postgres 16" in seen) is known


# --- recall --------------------------------------------------------------------------------------

SCOPE_ID = "slack:T0ACME:DEV"


async def recall(stage: Stage, query: str, *texts: str) -> list[str]:
    async with stage.tx() as tx:
        agent = await agents.get_agent(tx, "dev-platform")
    scope = MemoryScope(agent_id=agent.id, scope="channel", scope_id=SCOPE_ID)
    for text in texts:
        await canary(stage.database, stage.workspace, scope, text)
    async with stage.tx() as tx:
        return [memory.text for memory in await memories.recall(tx, scope, query, limit=5)]


async def test_any_word_recalls_and_most_words_come_first(stage: Stage) -> None:
    found = await recall(
        stage,
        "When do we deploy the platform database?",
        "The coffee machine is broken.",
        "We deploy on Fridays.",
        "The platform database is deployed on Mondays.",
    )
    assert found == [
        "The platform database is deployed on Mondays.",
        "We deploy on Fridays.",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "the a of",
        "'",
        "\\",
        "a & b | !c <-> (d:*",
        "%(limit)s",
        "well-known foo-bar.baz@example.com https://example.com/a?b=c",
        "☃ 日本語",
        "'; DROP TABLE memories; --",
        "x" * 5000,
        "word " * 1000,
    ],
)
async def test_whatever_is_asked_recall_answers(stage: Stage, query: str) -> None:
    assert isinstance(await recall(stage, query, "The platform database."), list)


async def test_compound_words_are_found_by_their_parts(stage: Stage) -> None:
    assert await recall(stage, "what is well-known?", "The well-known port is 5432.")
    assert await recall(stage, "port", "x") == ["The well-known port is 5432."]


# --- taking back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ben", "anna"])
async def test_whoever_asked_and_listed_people_may_undo(stage: Stage, who: str) -> None:
    ref, token = await noted(stage)
    await stage.press("undo", by=who, token=token)
    await stage.work(ref)

    assert await live(stage) == []
    assert (await stage.audit("memory.retracted"))[0].actor.name == who
    assert told(stage) == ["Undone: that note is not recalled any more."]


async def test_an_unlisted_person_may_undo_their_own(stage: Stage) -> None:
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    ref = await stage.mention("note it", by="carl")
    await stage.work(ref)
    [said] = [op for op in stage.surface.posted.values() if isinstance(op, Say)]

    await stage.press("undo", by="carl", token=said.buttons[0].token)

    assert await live(stage) == []


async def test_a_stranger_may_not(stage: Stage) -> None:
    ref, token = await noted(stage)
    await stage.press("undo", by="stranger", token=token)
    await stage.work(ref)

    assert len(await live(stage)) == 1
    assert "may undo it" in told(stage)[0]
    assert (await stage.audit("click"))[0].detail == {"code": "not_an_approver"}


async def test_undoing_twice_is_undone_once(stage: Stage) -> None:
    _, token = await noted(stage)
    await stage.press("undo", by="ben", token=token)
    await stage.press("undo", by="ben", token=token)
    assert await stage.kinds("memory") == ["memory.saved", "memory.retracted"]


async def test_the_token_of_a_note_decides_nothing_else(stage: Stage) -> None:
    _, token = await noted(stage)
    await stage.press("approve", by="anna", token=token)
    assert (await stage.audit("click"))[0].detail == {"code": "not_found"}
    assert len(await live(stage)) == 1


async def test_a_person_with_the_right_may_forget(stage: Stage) -> None:
    await noted(stage)
    async with stage.tx() as tx:
        [memory] = await memories.list_newest(tx, limit=5)
    await notes.forget(stage.database, stage.workspace, memory.id, by=SYSTEM)
    with pytest.raises(NotFound):
        await notes.forget(stage.database, stage.workspace, memory.id, by=SYSTEM)
    assert await live(stage) == []


def told(stage: Stage) -> list[str]:
    return [op.markdown for op in stage.surface.posted.values() if isinstance(op, Whisper)]
