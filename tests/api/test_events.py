"""The event stream, over a real connection: resumed without a gap, bounded, and ended in time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from openloop.actions import apply
from openloop.api.application import end_streams
from openloop.api.kit import Pace
from openloop.domain.audit import SYSTEM
from openloop.domain.ids import PrincipalId, new_id
from openloop.domain.principal import Role
from openloop.storage import audit
from tests.api.browsing import Browser
from tests.api.conftest import open_api, person_token
from tests.api.server import served
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.storage.database import Database, Transaction
    from tests.api.conftest import Api
    from tests.make import Clock, Stage

PACE = Pace(poll_seconds=0.02, ping_seconds=0.05, recheck_seconds=0.05)


@dataclass
class Stream:
    """What one client received so far."""

    status: int
    blocks: list[str] = field(default_factory=list[str])
    is_over: bool = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            orjson.loads(b.split("data: ")[1])
            for b in self.blocks
            if b.startswith("id: ") and "data: " in b
        ]

    @property
    def notes(self) -> list[str]:
        """The notes of the test's own events, in order."""
        return [
            str(event["detail"]["note"]) for event in self.events if event["kind"] == "agent.note"
        ]

    @property
    def ids(self) -> list[str]:
        return [line[4:] for b in self.blocks for line in b.splitlines() if line.startswith("id: ")]

    @property
    def errors(self) -> list[str]:
        return [
            orjson.loads(b.split("data: ")[1])["code"]
            for b in self.blocks
            if b.startswith("event: error")
        ]

    @property
    def pings(self) -> int:
        return self.blocks.count(": ping")

    async def until_noted(self, *notes: str) -> None:
        await until(lambda: self.notes == list(notes))


@asynccontextmanager
async def stream(
    api: Api,
    http: httpx.AsyncClient,
    *,
    by: str = "owner",
    login: Browser | None = None,
    last: str | None = None,
    path: str = "/api/v1/events",
) -> AsyncGenerator[Stream]:
    """Open a stream and read it in the background."""
    headers = {"Authorization": f"Bearer {api.tokens[by]}"} if login is None else login.headers
    if last is not None:
        headers["Last-Event-ID"] = last
    async with http.stream("GET", path, headers=headers) as answer:
        found = Stream(status=answer.status_code)
        reading = asyncio.create_task(_read(answer, found))
        await until(lambda: bool(found.blocks) or found.is_over)
        try:
            yield found
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def _read(answer: httpx.Response, into: Stream) -> None:
    pending = ""
    async for text in answer.aiter_text():
        *blocks, pending = (pending + text).split("\n\n")
        into.blocks += blocks
    into.is_over = True


async def note(tx: Transaction, stage: Stage, text: str, **more: Any) -> None:
    await audit.append(tx, stage.workspace, "agent.note", actor=SYSTEM, note=text, **more)


@pytest.fixture
async def live(database: Database, stage: Stage) -> AsyncGenerator[tuple[Api, httpx.AsyncClient]]:
    async with (
        open_api(database, stage.workspace, pace=PACE) as api,
        served(api) as http,
    ):
        yield api, http


async def test_what_happens_is_streamed_with_its_position(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    async with stream(*live) as found:
        async with stage.tx() as tx:
            await note(tx, stage, "one")
        await found.until_noted("one")

    assert found.status == 200
    assert found.events[-1]["actor"]["name"] == "openloop"
    assert found.ids[0] != found.ids[-1]


async def test_a_client_that_comes_back_misses_nothing_and_reads_nothing_twice(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    async with stream(*live) as first:
        async with stage.tx() as tx:
            await note(tx, stage, "one")
        await first.until_noted("one")
    async with stage.tx() as tx:
        await note(tx, stage, "two")

    async with stream(*live, last=first.ids[-1]) as second:
        async with stage.tx() as tx:
            await note(tx, stage, "three")
        await second.until_noted("two", "three")


async def test_a_client_that_never_saw_an_event_comes_back_to_where_it_began(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    async with stream(*live) as first:
        pass
    async with stage.tx() as tx:
        await note(tx, stage, "one")

    async with stream(*live, last=first.ids[-1]) as second:
        await second.until_noted("one")


async def test_nothing_is_lost_between_a_list_and_the_stream(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    api, http = live
    as_of = (await api.get("/api/v1/runs")).json()["as_of"]
    async with stage.tx() as tx:
        await note(tx, stage, "one")

    async with stream(api, http, path=f"/api/v1/events?after={as_of}") as found:
        await found.until_noted("one")
        assert found.errors == []


@pytest.mark.parametrize("way", ["Last-Event-ID", "after"])
@pytest.mark.parametrize("ahead", [1000, 2**60])
async def test_a_position_that_has_not_come_is_told_and_the_stream_goes_on_from_now(
    live: tuple[Api, httpx.AsyncClient], stage: Stage, way: str, ahead: int
) -> None:
    """The client knows another database: one that this was restored from, or that this replaced."""
    api, http = live
    newest = int((await api.get("/api/v1/runs")).json()["as_of"].split("-")[0])
    unknown = f"{newest + ahead}-1"
    last = unknown if way == "Last-Event-ID" else None
    path = "/api/v1/events" + ("" if last else f"?after={unknown}")
    async with stream(api, http, path=path, last=last) as first:
        await until(lambda: first.errors == ["position_unknown"])
        async with stage.tx() as tx:
            await note(tx, stage, "one")
        await first.until_noted("one")
        assert not first.is_over
    async with stage.tx() as tx:
        await note(tx, stage, "two")

    async with stream(api, http, last=first.ids[0]) as second:
        await second.until_noted("one", "two")
        assert second.errors == []


async def test_a_slow_transaction_is_never_skipped(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    """Its id is older than what a later, faster transaction wrote: a reader of `id > last` would
    pass it by for ever."""
    api, http = live
    async with stream(api, http) as found, stream(api, http) as other:
        async with stage.tx() as slow:
            await note(slow, stage, "slow")
            await slow.settle()
            async with stage.tx() as fast:
                await note(fast, stage, "fast")
            await until(lambda: found.pings >= 3)
            assert found.notes == []
            resumed = (await api.get("/audit")).json()["as_of"]
        await found.until_noted("slow", "fast")
        await other.until_noted("slow", "fast")

    async with stream(api, http, last=resumed) as later:
        await later.until_noted("slow", "fast")


async def test_what_happened_while_a_late_client_catches_up_comes_once(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    async with stream(*live) as early:
        for number in range(450):
            async with stage.tx() as tx:
                await note(tx, stage, str(number))
        async with stream(*live, last=early.ids[0]) as late:
            async with stage.tx() as tx:
                await note(tx, stage, "last")
            wanted = [*map(str, range(450)), "last"]
            await late.until_noted(*wanted)
            await early.until_noted(*wanted)


async def test_a_quiet_stream_is_pinged(live: tuple[Api, httpx.AsyncClient]) -> None:
    async with stream(*live) as found:
        await until(lambda: found.pings >= 2)


async def test_the_events_of_one_run(live: tuple[Api, httpx.AsyncClient], stage: Stage) -> None:
    run = new_id()
    async with stream(*live, path=f"/api/v1/events?run={run}") as found:
        async with stage.tx() as tx:
            await note(tx, stage, "another")
            await note(tx, stage, "this", run_id=run)
        await found.until_noted("this")


async def test_without_the_right_to_audit_an_event_says_only_that_it_happened(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    async with stream(*live, by="viewer") as found:
        async with stage.tx() as tx:
            await note(tx, stage, "one")
        await until(lambda: bool(found.events))

    assert set(found.events[0]) == {"id", "at", "kind", "subject", "run_id"}


async def test_events_of_another_workspace_do_not_come(
    live: tuple[Api, httpx.AsyncClient], stage: Stage, database: Database
) -> None:
    other = await apply.ensure_workspace(database, "other")
    async with stream(*live) as found:
        async with database.transaction(other) as tx:
            await audit.append(tx, other, "agent.note", actor=SYSTEM, note="theirs")
        async with stage.tx() as tx:
            await note(tx, stage, "ours")
        await found.until_noted("ours")


async def test_a_stream_ends_when_its_token_is_revoked(
    live: tuple[Api, httpx.AsyncClient],
) -> None:
    api, http = live
    async with stream(api, http, by="viewer") as found:
        await api.delete(f"/api/v1/tokens/{api.tokens['viewer'].split('_')[2]}")
        await until(lambda: found.is_over)

    assert found.errors == ["not_authenticated"]


async def test_a_stream_that_is_left_open_keeps_no_login_alive(
    live: tuple[Api, httpx.AsyncClient], clock: Clock
) -> None:
    """Nobody has come by for eight hours: an open tab is not somebody."""
    api, _ = live
    browser = Browser(api)
    await browser.get((await api.post("/api/v1/login-links")).json()["path"])
    async with stream(*live, login=browser) as found:
        await clock.advance(hours=5)
        looked_at = found.pings + 4
        await until(lambda: found.pings >= looked_at)
        assert not found.is_over
        await clock.advance(hours=3, seconds=1)
        await until(lambda: found.is_over)

    assert found.errors == ["not_authenticated"]
    assert (await browser.get("/api/v1/me")).status_code == 401


async def test_nothing_is_sent_to_a_revoked_token_however_rarely_it_is_looked_at(
    database: Database, stage: Stage
) -> None:
    """What happens after a revocation is behind it in the stream."""
    pace = Pace(poll_seconds=0.02, ping_seconds=30, recheck_seconds=3600)
    async with open_api(database, stage.workspace, pace=pace) as api, served(api) as http:
        async with stream(api, http, by="approver") as listening:
            token_id = api.tokens["approver"].split("_")[2]
            await api.delete(f"/api/v1/tokens/{token_id}")
            async with stage.tx() as tx:
                await note(tx, stage, "after")
            await until(lambda: listening.is_over)
        assert listening.notes == []
        assert listening.errors == ["not_authenticated"]
        assert "token.revoked" not in [event["kind"] for event in listening.events]


async def test_whoever_loses_the_right_to_audit_sees_no_more_than_that_something_happened(
    database: Database, stage: Stage
) -> None:
    pace = Pace(poll_seconds=0.02, ping_seconds=30, recheck_seconds=3600)
    token = await person_token(database, stage.workspace, "priya", Role.OWNER)
    async with open_api(database, stage.workspace, pace=pace) as api, served(api) as http:
        api.tokens["priya"] = token
        async with stream(api, http, by="priya") as listening:
            async with stage.tx() as tx:
                await note(tx, stage, "before")
            await listening.until_noted("before")
            await stage.revise_workspace({"roles": {"owner": ["@anna"], "viewer": ["@priya"]}})
            async with stage.tx() as tx:
                await note(tx, stage, "after")
            await until(lambda: [e["kind"] for e in listening.events].count("agent.note") == 2)
        assert "detail" in listening.events[0]
        assert "detail" not in listening.events[-1]


async def test_one_caller_listens_so_often_and_no_more(
    live: tuple[Api, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openloop.api.feed.MOST_OF_ONE", 2)
    api, http = live
    async with stream(api, http, by="viewer"), stream(api, http, by="viewer"):
        answer = await api.get("/api/v1/events", by="viewer")
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
        async with stream(api, http, by="owner") as other:
            assert other.status == 200
    async with stream(api, http, by="viewer") as again:
        assert again.status == 200


async def test_the_streams_end_with_the_server(live: tuple[Api, httpx.AsyncClient]) -> None:
    api, http = live
    async with stream(api, http) as found:
        end_streams(api.app)
        await until(lambda: found.is_over)

    assert found.errors == ["stream_ended"]


async def test_nothing_is_read_while_nobody_listens(
    live: tuple[Api, httpx.AsyncClient], stage: Stage
) -> None:
    api, http = live
    feed = api.app.state.feeds.of(stage.workspace)
    async with stream(api, http), stream(api, http):
        reader = feed._reader
        assert reader is not None

    await until(reader.done)
    assert feed._reader is None


async def test_a_slow_client_is_dropped_and_the_others_go_on(
    database: Database, stage: Stage
) -> None:
    """Driven without a server: a client that takes one piece and then nothing for a while."""
    async with open_api(
        database, stage.workspace, pace=Pace(poll_seconds=0.02, queued_events=5)
    ) as api:
        feed = api.app.state.feeds.of(stage.workspace)
        async with (
            feed.listen(PrincipalId(new_id())) as slow,
            feed.listen(PrincipalId(new_id())) as quick,
        ):
            heard: list[str] = []
            for number in range(10):
                async with stage.tx() as tx:
                    await note(tx, stage, str(number))
                happened = await quick.next(within=4)
                # What others of this server have open decides when earlier events are shown.
                while "note" not in happened.event.detail:
                    happened = await quick.next(within=4)
                heard.append(happened.event.detail["note"])
            kept = [await slow.next(within=4) for _ in range(5)]
            after = await slow.next(within=4)

    assert heard == [str(number) for number in range(10)]
    notes = [k.event.detail["note"] for k in kept if "note" in k.event.detail]
    assert notes == [str(number) for number in range(len(notes))]
    assert notes
    assert (after, slow.has_ended, quick.has_ended) == (None, True, False)
