"""The crash matrix: a worker that dies anywhere is succeeded, and the story ends the same.

Every commit of a turn is a crash point twice: right before it (nothing was written) and right
after it (the worker does not know). Every call of a model, a tool or a platform is one, too.
"""

from __future__ import annotations

import contextlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from openloop.domain.run import RunState
from openloop.domain.surface import Ask, Say
from openloop.storage import memories
from tests import make
from tests.runtime.fakes import Killed, reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.domain.conversation import ConversationRef
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.model import ModelMessage
    from openloop.domain.redaction import Redactor
    from openloop.storage.database import Database, Transaction
    from tests.make import Stage

When = Literal["before", "after"]
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class CrashingDatabase:
    """A database whose process dies around its n-th commit; counts them where it does not."""

    inner: Database
    at: int | None = None
    when: When = "before"
    commits: int = field(default=0)

    @property
    def conninfo(self) -> str:
        return self.inner.conninfo

    @property
    def redactor(self) -> Redactor:
        return self.inner.redactor

    @asynccontextmanager
    async def transaction(self, workspace: WorkspaceId) -> AsyncGenerator[Transaction]:
        async with self.inner.transaction(workspace) as tx:
            yield tx
            self._die("before")
        self._die("after")

    def _die(self, when: When) -> None:
        if when == "before":
            self.commits += 1
        if self.commits == self.at and when == self.when:
            raise Killed


SPEC: dict[str, Any] = {
    "tools": [
        {
            "name": "github",
            "type": "native",
            "permissions": ["issues:write", "pulls:read"],
        }
    ],
}
PULL = ("github__get_pull", '{"repo": "acme/platform", "number": 7}')


async def story(stage: Stage) -> ConversationRef:
    """Read, note, hold, decide, write, answer: everything that a run can do."""
    stage.models.turns = [
        reply("Reading.", PULL, make.READ),
        reply("Noting and proposing.", make.NOTE, make.CREATE),
        reply("All done."),
    ]
    return await stage.mention("please look, note and open an issue")


async def play(stage: Stage, ref: ConversationRef, database: Any) -> None:
    """Let workers die as they do, and others follow, until the run has ended."""
    for _ in range(12):
        kit = stage.kit(database)
        with contextlib.suppress(Killed):
            await stage.work(ref, kit)
        run = await stage.run_of(ref)
        if run.state.is_over:
            break
        states = await _approvals(stage)
        if "unknown" in states and stage.surface.cards[-1].buttons[-1].action == "retry":
            # It was intended and nobody knows of it: people are asked, and look.
            assert stage.tracker.issues == {}
            await stage.press("retry", by="priya")
        elif "pending" in states and stage.surface.cards:
            await stage.press("approve", by="anna")
        await stage.lapse(ref)
    while any(row.state in ("queued", "sending") for row in await stage.outbox(ref)):
        await stage.lapse(ref)
        await stage.work(ref)


async def _approvals(stage: Stage) -> list[str]:
    async with stage.tx() as tx:
        return [row[0] for row in await tx.tuples("SELECT state FROM approvals")]


def last_conversation(stage: Stage) -> list[ModelMessage]:
    """What the model saw at the end, apart from the ids of what was made."""
    return [
        replace(message, content=ID.sub("(id)", message.content))
        for message in stage.models.requests[-1].messages
    ]


async def assert_it_ended_well(stage: Stage, ref: ConversationRef) -> None:
    """The run is done, its one effect happened once, and nothing was said twice."""
    run = await stage.run_of(ref)
    assert run.state is RunState.DONE
    assert len(stage.tracker.issues) == 1
    assert len(stage.tracker.writes) == 1
    said = [op for op in stage.surface.posted.values() if isinstance(op, Say)]
    assert len(said) == 1
    assert said[0].markdown.startswith("All done.")
    kinds = [event.kind for event in await stage.audit() if event.run_id == run.id]
    unknown = kinds.count("effect.unknown")
    assert len([op for op in stage.surface.posted.values() if isinstance(op, Ask)]) == 1 + unknown
    async with stage.tx() as tx:
        assert len(await memories.list_newest(tx, limit=5)) == 1
        assert (
            await tx.value("SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')") == 0
        )
        assert await tx.value("SELECT sum(reserved_usd) FROM budgets") == 0
        assert await tx.value("SELECT count(*) FROM reservations WHERE state = 'held'") == 0
    assert unknown <= 1
    assert kinds.count("effect.intended") == kinds.count("approval.approved") == 1 + unknown
    for once in (
        "run.queued",
        "run.started",
        "run.done",
        "approval.asked",
        "effect.done",
        "memory.saved",
    ):
        assert kinds.count(once) == 1, once


@pytest.mark.parametrize("when", ["before", "after"])
async def test_every_commit_of_a_turn_may_be_the_last(database: Database, when: When) -> None:
    """A run per commit; the model sees the same last conversation in each of them."""
    stage = await make.stage(database, agent=SPEC)
    counting = CrashingDatabase(database)
    ref = await story(stage)
    await play(stage, ref, counting)
    await assert_it_ended_well(stage, ref)
    expected = last_conversation(stage)
    commits = counting.commits
    assert commits >= 15, "the story has become too short to prove anything"

    for at in range(1, commits + 1):
        await make.emptied(stage)
        crashing = CrashingDatabase(database, at=at, when=when)
        ref = await story(stage)

        await play(stage, ref, crashing)

        try:
            await assert_it_ended_well(stage, ref)
            assert last_conversation(stage) == expected
        except AssertionError as error:
            error.add_note(f"when the worker died {when} commit {at} of {commits}")
            raise


POINTS = [
    "model before",
    "model after",
    "tool before",
    "tool after",
    "read",
    "post before",
    "post after",
    "history",
    "person",
]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
async def test_every_call_to_the_outside_may_be_the_last(
    database: Database, monkeypatch: pytest.MonkeyPatch, point: str, nth: int
) -> None:
    stage = await make.stage(database, agent=SPEC)
    ref = await story(stage)
    calls = 0

    async def die(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Killed

    _place(stage, point, die, monkeypatch)
    stage.registry = make.registry_of(*stage.tracker.toolset().tools)

    await play(stage, ref, database)

    run = await stage.run_of(ref)
    assert run.state is RunState.DONE
    assert len(stage.tracker.issues) == 1
    said = [op for op in stage.surface.posted.values() if isinstance(op, Say)]
    assert [op.markdown.split("\n")[0] for op in said] == ["All done."]


def _place(stage: Stage, point: str, die: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die at this point."""
    where, _, when = point.partition(" ")
    match where:
        case "model":
            setattr(stage.models, when, die)
        case "read":
            stage.tracker.before = die
        case "tool" if when == "after":
            stage.tracker.after = die
        case _:
            name = {"tool": "create", "post": "perform"}.get(where, where)
            port = stage.tracker if where == "tool" else stage.surface
            wrap = _then if when == "after" else _first
            monkeypatch.setattr(port, name, wrap(die, getattr(port, name)))


def _first(die: Any, call: Any) -> Any:
    async def wrapped(*parts: Any, **named: Any) -> Any:
        await die()
        return await call(*parts, **named)

    return wrapped


def _then(die: Any, call: Any) -> Any:
    async def wrapped(*parts: Any, **named: Any) -> Any:
        found = await call(*parts, **named)
        await die()
        return found

    return wrapped


async def test_a_write_that_a_standing_rule_allows_is_not_repeated_either(
    database: Database,
) -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    stage = await make.stage(
        database, agent={"approvals": {"allow": [rule], "approvers": ["@maintainers"]}}
    )
    stage.models.turns = [reply("Opening.", make.CREATE), reply("All done.")]
    ref = await stage.mention()

    async def die(key: str) -> None:
        stage.tracker.after = None
        raise Killed

    stage.tracker.after = die
    await play(stage, ref, database)

    assert len(stage.tracker.writes) == 1
    assert stage.surface.said == ["All done."]
    assert (await stage.kinds("effect")) == ["effect.intended", "effect.done"]


async def test_and_where_nothing_is_certain_the_model_is_told_not_to_repeat_it(
    database: Database,
) -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    stage = await make.stage(
        database, agent={"approvals": {"allow": [rule], "approvers": ["@maintainers"]}}
    )
    stage.models.turns = [reply("Opening.", make.CREATE), reply("I do not know.")]
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    ref = await stage.mention()

    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    told = stage.models.requests[-1].messages[-1].content
    assert '"outcome":"unknown"' in told
    assert "Do not repeat this" in told


async def test_a_toolset_with_a_bug_ends_the_run_after_a_few_tries(stage: Stage) -> None:
    """The write may have been sent before the bug struck, so it is looked up, not repeated."""
    ref, _ = await stage.hold()
    await stage.press("approve", by="anna")
    stage.tracker.next = ["broken"]

    await stage.work(ref)
    await stage.sweep_and_work(ref)

    assert len(stage.tracker.writes) == 1
    assert await _approvals(stage) == ["unknown"]


async def test_a_read_with_a_bug_ends_the_run_and_says_so(stage: Stage) -> None:
    stage.models.turns = [reply("Reading.", make.READ), reply("never said")]

    async def fail(key: str) -> None:
        raise KeyError(key)

    stage.tracker.before = fail
    ref = await stage.mention()
    for _ in range(8):
        await stage.work(ref)
        await stage.lapse(ref)

    run = await stage.run_of(ref)
    assert (run.state, run.error_code) == (RunState.FAILED, "internal")
    assert stage.surface.said[-1].startswith("**I could not finish this.**")
