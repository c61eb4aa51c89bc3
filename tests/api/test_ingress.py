"""Deliveries: answered after the commit, or with 503 in time to be delivered again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import psycopg
import pytest

from openloop.api import ingress
from openloop.api.kit import Pace
from openloop.integrations.console.surface import ConsoleSurface
from openloop.integrations.slack.signature import sign
from openloop.integrations.slack.surface import SlackSurface
from openloop.storage.database import Database
from tests.api.conftest import open_api
from tests.api.fakes import HelloSurface
from tests.integrations.slack import make as slack
from tests.waiting import until, until_someone_waits_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.api.conftest import Api
    from tests.make import Stage

HELLO = "/surfaces/hello/events"
SLACK = "/surfaces/slack/events"


async def deliver(api: Api, content: object, path: str = HELLO, **details: Any) -> httpx.Response:
    """Deliver as a platform does: from anywhere, under any name, without a token."""
    headers = {"Host": "hooks.example", "Origin": "https://x.example", **details.pop("headers", {})}
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return await api.call("POST", path, by=None, content=body, headers=headers, **details)


async def test_a_delivery_is_committed_before_it_is_answered(api: Api, stage: Stage) -> None:
    answer = await deliver(api, {"say": "please help", "key": "one"})

    assert (answer.status_code, answer.content) == (200, b"")
    assert [run.request for run in await stage.runs()] == ["please help"]


async def test_a_redelivery_is_answered_and_taken_once(api: Api, stage: Stage) -> None:
    for _ in range(3):
        assert (await deliver(api, {"say": "please help", "key": "one"})).status_code == 200

    assert len(await stage.runs()) == 1


async def test_a_surface_may_answer_in_its_own_words(api: Api) -> None:
    answer = await deliver(api, {"challenge": "xyz"})

    assert (answer.status_code, answer.json()) == (200, {"challenge": "xyz"})
    assert answer.headers["content-type"] == "application/json"


async def test_a_stranger_is_refused_with_the_surfaces_own_code(api: Api, stage: Stage) -> None:
    answer = await deliver(api, {"say": "hi", "key": "one"}, headers={"X-Hello": "stranger"})

    assert (answer.status_code, answer.json()["code"]) == (401, "signature_wrong")
    assert await stage.runs() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/surfaces/nobody/events", 404),
        ("POST", "/surfaces/hello/event", 404),
        ("POST", "/surfaces/hello/events/", 404),
        ("POST", "/surfaces//events", 404),
        ("POST", "/surfaces/../hello/events", 404),
        ("GET", HELLO, 405),
        ("PUT", HELLO, 405),
    ],
)
async def test_other_addresses(api: Api, method: str, path: str, status: int) -> None:
    scope: dict[str, object] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await api.app(scope, receive, send)  # pyright: ignore[reportArgumentType]

    assert sent[0]["status"] == status


async def test_nobody_speaks_for_the_console_over_http(api: Api, stage: Stage) -> None:
    headers = {
        "X-OpenLoop-Principal": "01999999-0000-7000-8000-000000000000",
        "X-OpenLoop-Name": "priya",
        "X-OpenLoop-Workspace": "acme",
    }
    said = {"agent": "dev-platform", "text": "hello"}

    answer = await deliver(api, said, "/surfaces/console/events", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert await stage.runs() == []


async def test_a_bug_in_a_surface_loses_nothing_else(api: Api, stage: Stage) -> None:
    broken = await deliver(api, {"break": True})

    assert (broken.status_code, broken.json()["code"]) == (500, "internal_error")
    assert "secret" not in broken.text
    assert (await deliver(api, {"say": "hi", "key": "one"})).status_code == 200
    assert len(await stage.runs()) == 1


async def test_a_large_body_is_refused_before_the_surface_sees_it(api: Api) -> None:
    answer = await deliver(api, b"x" * 10_000_000)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_body_that_trickles_in_is_refused_in_time(database: Database, stage: Stage) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with open_api(database, stage.workspace, pace=Pace(ack_seconds=0.05)) as api:
        answer = await api.call("POST", HELLO, by=None, content=stuck())

    assert (answer.status_code, answer.json()["code"]) == (408, "body_too_slow")


async def test_while_the_database_hangs_the_answer_is_503_and_nothing_is_lost_or_doubled(
    database: Database, stage: Stage
) -> None:
    said = {"say": "please help", "key": "one"}
    async with open_api(database, stage.workspace, pace=Pace(ack_seconds=0.2)) as api:
        # The installation is looked up once and then known: the lock is met in the commit.
        await deliver(api, {"say": "first", "key": "zero"})
        async with database.transaction(stage.workspace) as tx:
            await tx.run("LOCK TABLE taken_keys IN ACCESS EXCLUSIVE MODE")
            answer = await deliver(api, said)
            await until_someone_waits_for(tx)

        assert (answer.status_code, answer.json()["code"]) == (503, "delivery_not_committed")
        assert answer.headers["retry-after"] == "1"
        # What was under way ends by itself, and the redelivery is its twin.
        await until(lambda: _has_runs(stage, 2))
        assert (await deliver(api, said)).status_code == 200

    assert sorted(run.request for run in await stage.runs()) == ["first", "please help"]


async def test_two_seconds_are_enough_by_default(database: Database, stage: Stage) -> None:
    clock = asyncio.get_running_loop().time
    async with open_api(database, stage.workspace) as api:
        async with database.transaction(stage.workspace) as tx:
            await tx.run("LOCK TABLE installations, taken_keys IN ACCESS EXCLUSIVE MODE")
            begun = clock()
            answer = await deliver(api, {"say": "hi", "key": "one"})
            taken = clock() - begun

        assert (answer.status_code, taken < 2) == (503, True)


async def test_a_connection_that_waited_too_long_is_as_good_as_before(
    conninfo: str, stage: Stage
) -> None:
    """One connection: were it broken or still busy, the next delivery could not be taken."""
    single = Database(conninfo, size=1)
    await single.open()
    async with open_api(single, stage.workspace, pace=Pace(ack_seconds=0.2)) as api:
        async with stage.tx() as tx:
            await tx.run("LOCK TABLE taken_keys IN ACCESS EXCLUSIVE MODE")
            assert (await deliver(api, {"say": "a", "key": "a"})).status_code == 503
        await until(lambda: _has_runs(stage, 1))
        for key in "bcd":
            assert (await deliver(api, {"say": key, "key": key})).status_code == 200
    await single.close()

    assert len(await stage.runs()) == 4


async def test_without_connections_the_answer_is_503(stage: Stage, conninfo: str) -> None:
    single = Database(conninfo, size=1)
    await single.open()
    async with open_api(single, stage.workspace, pace=Pace(ack_seconds=0.1)) as api:
        async with single.directory():
            answer = await deliver(api, {"say": "hi", "key": "one"})
        assert (answer.status_code, answer.json()["code"]) == (503, "delivery_not_committed")
        await until(lambda: _has_runs(stage, 1))
    await single.close()


async def test_while_the_database_is_away_the_answer_is_503(
    stage: Stage, database: Database, superuser: str
) -> None:
    async with open_api(database, stage.workspace) as api:
        with psycopg.connect(superuser, autocommit=True) as boss:
            name = boss.info.dbname
            boss.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'.encode())
            try:
                boss.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
                async with asyncio.timeout(30):
                    answer = await deliver(api, {"say": "hi", "key": "one"})
            finally:
                boss.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'.encode())

        assert answer.status_code == 503
        await until(lambda: _is_taken(api), seconds=30)

    assert len(await stage.runs()) == 1


async def test_more_than_can_wait_are_told_at_once(
    database: Database, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress, "MOST_UNDER_WAY", 1)
    async with open_api(database, stage.workspace, pace=Pace(ack_seconds=3)) as api:
        async with database.transaction(stage.workspace) as tx:
            await tx.run("LOCK TABLE taken_keys IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(deliver(api, {"say": "a", "key": "a"}))
            await until_someone_waits_for(tx)
            second = await deliver(api, {"say": "b", "key": "b"})
        assert second.status_code == 503
        assert (await first).status_code == 200


# --- Slack over HTTP -----------------------------------------------------------------------------

MENTION: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T0ACME",
    "api_app_id": "A0",
    "event_id": "Ev1",
    "event": {
        "type": "app_mention",
        "channel": "DEV",
        "user": "U0BEN",
        "ts": "1795435200.000100",
        "text": "<@U0BOT> please help",
    },
}


def signed(
    body: bytes, *, at: int | str | None = None, secret: str = slack.SECRET
) -> dict[str, str]:
    """The headers of a delivery that Slack signed just now, or at another time."""
    stamp = str(int(datetime.now(UTC).timestamp()) if at is None else at)
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": sign(secret, timestamp=stamp, body=body),
    }


def _around(seconds: int) -> int:
    return int(datetime.now(UTC).timestamp()) + seconds


GOOD = orjson.dumps(MENTION)
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

DELIVERIES: dict[str, tuple[bytes, dict[str, Any], int]] = {
    "a wrong secret": (GOOD, {"secret": "another"}, 401),
    "a stale signature": (GOOD, {"at": _around(-302)}, 401),
    "a signature of the future": (GOOD, {"at": _around(4000)}, 401),
    "a time in words": (GOOD, {"at": "noon"}, 401),
    "no time": (GOOD, {"at": ""}, 401),
    "malformed JSON": (b"{", {}, 400),
    "JSON that is a list": (b"[]", {}, 400),
    "100,000 deep": (DEEP, {}, 400),
    "duplicate keys": (b'{"type": "a", "type": "b"}', {}, 400),
    "NaN": (b'{"type": NaN}', {}, 400),
    "invalid UTF-8": (b'{"type": "\xff"}', {}, 400),
    "10 MB": (b" " * 10_000_000, {}, 413),
    "an event nobody knows": (b'{"type": "event_callback"}', {}, 200),
}


@pytest.fixture
async def slack_api(database: Database, stage: Stage) -> AsyncIterator[Api]:
    surface = SlackSurface(slack.settings())
    surfaces = {"slack": surface, "hello": HelloSurface(), "console": ConsoleSurface()}
    async with open_api(database, stage.workspace, surfaces=surfaces) as api:
        yield api
    await surface.aclose()


@pytest.mark.parametrize("what", DELIVERIES)
async def test_bad_deliveries_of_slack(slack_api: Api, stage: Stage, what: str) -> None:
    body, how, status = DELIVERIES[what]

    answer = await deliver(slack_api, body, SLACK, headers=signed(body, **how))
    assert answer.status_code == status, answer.text
    unsigned = await deliver(slack_api, body, SLACK)

    assert unsigned.status_code == (413 if status == 413 else 401)
    assert await stage.runs() == []


async def test_a_mention_on_slack_is_taken(slack_api: Api, stage: Stage) -> None:
    answer = await deliver(slack_api, GOOD, SLACK, headers=signed(GOOD))

    assert answer.status_code == 200
    assert [run.requested_by.id for run in await stage.runs()] == ["U0BEN"]


async def test_a_click_with_an_unknown_button_is_answered_and_changes_nothing(
    slack_api: Api, stage: Stage
) -> None:
    _, token = await stage.hold()
    for action, value in (("approve", "x" * 22), ("launch", token), ("", ""), ("approve", "")):
        payload = {
            "type": "block_actions",
            "team": {"id": "T0ACME"},
            "user": {"id": "U0ANNA", "team_id": "T0ACME"},
            "trigger_id": f"1.{action}.{value}",
            "container": {"channel_id": "DEV", "message_ts": "1.1", "thread_ts": "root-1"},
            "actions": [{"action_id": action, "value": value, "action_ts": "1.1"}],
        }
        body = urlencode({"payload": orjson.dumps(payload)}).encode()
        headers = {**signed(body), "Content-Type": "application/x-www-form-urlencoded"}
        answer = await deliver(slack_api, body, SLACK, headers=headers)
        assert answer.status_code in (200, 400), (action, answer.text)

    assert "approval.approved" not in await stage.kinds()


async def _has_runs(stage: Stage, count: int) -> bool:
    return len(await stage.runs()) == count


async def _is_taken(api: Api) -> bool:
    return (await deliver(api, {"say": "hi", "key": "one"})).status_code == 200
