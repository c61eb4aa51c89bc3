"""`openloop audit export` and `verify`: from a server and from files, with what is kept elsewhere."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli import audit_checkup, auditing, explaining, exporting
from openloop.cli.client import Client, Server
from openloop.runtime.destinations.folder import Folder
from openloop.settings import load
from openloop.storage import checkpoints
from tests.api.conftest import open_api
from tests.api.server import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.audit.record import Record
    from tests.make import Clock


@pytest.fixture
async def client(record: Record) -> AsyncIterator[Client]:
    """A server with this record, and somebody who may read it."""
    async with (
        open_api(record.stage.database, record.stage.workspace) as api,
        served(api) as http,
    ):
        await record.sealed()  # the tokens of the API
        yield Client(Server(url=str(http.base_url), token=api.tokens["admin"]))


@pytest.fixture
async def outside(record: Record, client: Client, tmp_path: Path) -> Path:
    """The checkpoints, in a folder elsewhere."""
    async with record.stage.tx() as tx:
        found = await checkpoints.list_after(tx, 0, limit=100)
    await Folder(tmp_path / "outside").put(record.stage.workspace, found)
    assert client.server.token
    return tmp_path / "outside"


async def verified(client: Client, *places: Path, pins: tuple[str, ...] = ()) -> int:
    return await asyncio.to_thread(auditing.verify_server, client, places, pins, output="json")


async def test_a_server_is_verified_with_its_effects(
    client: Client, record: Record, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await verified(client, outside) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["elsewhere"], told["keys"]) == (True, 2, [record.key.id])
    assert told["seq"] == told["covered"] == told["events"]

    record.tamper("DELETE FROM steps WHERE effect = 'write'")

    assert await verified(client, outside) == 1
    told = json.loads(capsys.readouterr().out)
    assert {finding["kind"] for finding in told["findings"]} == {"effect_missing"}


async def test_a_server_that_was_rolled_back_is_found_by_what_is_kept_elsewhere(
    client: Client, record: Record, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record.tamper("DELETE FROM audit_checkpoints WHERE number = 2")
    assert await verified(client) == 0, "the control: without it nothing is found"
    capsys.readouterr()

    assert await verified(client, outside) == 1

    told = json.loads(capsys.readouterr().out)
    assert [finding["kind"] for finding in told["findings"]] == ["rolled_back"]


async def test_an_export_is_gone_on_with_and_verified_without_a_server(
    client: Client,
    record: Record,
    outside: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 5)
    file = tmp_path / "audit.ndjson"
    reached = await asyncio.to_thread(exporting.export, client, "ndjson", file, 0)
    whole = file.read_bytes()
    # It broke off in the middle of a line, and something happened since.
    file.write_bytes(whole[: len(whole) // 2])
    await record.held("root-2")

    further = await asyncio.to_thread(exporting.export, client, "ndjson", file, 0)

    assert file.read_bytes().startswith(whole)
    assert further > reached
    numbers = [json.loads(line)["seq"] for line in file.read_text().splitlines()]
    assert numbers == list(range(1, further + 1))
    assert auditing.verify_file(file, [outside], [], output="json") == 0
    assert auditing.verify_file(file, [outside], ["ab" * 16], output="json") == 1
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:9]))
    capsys.readouterr()
    assert auditing.verify_file(file, [outside], [], output="json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [finding["kind"] for finding in told["findings"]] == ["truncated"]


async def test_a_table_is_gone_on_with_too(client: Client, record: Record, tmp_path: Path) -> None:
    file = tmp_path / "audit.csv"
    await asyncio.to_thread(exporting.export, client, "csv", file, 0)
    await record.held("root-2")
    reached = await asyncio.to_thread(exporting.export, client, "csv", file, 0)

    head, *lines = file.read_text().splitlines()
    assert head.startswith("seq,id,at,kind")
    assert [int(line.split(",")[0]) for line in lines] == list(range(1, reached + 1))


async def test_a_run_is_explained_in_words_and_verified_from_its_file(
    client: Client, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = (await record.stage.runs())[0]
    bundle: dict[str, Any] = await asyncio.to_thread(client.get, f"/api/v1/runs/{run.id}/explain")
    file = tmp_path / "run.json"

    explaining.show(bundle, file, "table")

    told = capsys.readouterr().out
    for word in (
        "please open an issue",
        "revision 1, sha256:",
        "held by",
        "approve by anna",
        "effect.done by dev-platform (link",
        "checkpoint 1",
        "Cost:",
    ):
        assert word in told, told
    assert auditing.verify_bundle_file(file, [record.key.id], output="json") == 0
    file.write_text(file.read_text().replace("Postgres 16", "Postgres 15"))
    assert auditing.verify_bundle_file(file, [], output="json") == 1


async def test_doctor_tells_of_what_waits_and_of_places_that_fail(
    record: Record, clock: Clock, tmp_path: Path
) -> None:
    settings = load({"OPENLOOP_HOME": str(tmp_path), "OPENLOOP_AUDIT_CHECKPOINTS": "file:/x"})

    async def found() -> dict[str, tuple[bool, str]]:
        async with record.stage.tx() as tx:
            looked = await audit_checkup.look(tx, settings)
        return {finding.subject: (finding.ok, finding.detail) for finding in looked}

    assert all(ok for ok, _ in (await found()).values())
    async with record.stage.tx() as tx:
        await checkpoints.claim(tx, record.stage.workspace, "file:/x")
        await checkpoints.mark_failed(tx, "file:/x", error="away", again_seconds=1)
    await record.stage.say(root="root-5")
    await clock.advance(seconds=61)

    told = await found()

    assert [ok for ok, _ in told.values()] == [False, False]
    assert "away" in told["file:/x"][1]
    settings = load({"OPENLOOP_HOME": str(tmp_path)})
    assert (await found())["checkpoints"] == (True, "are kept on this machine only")
    settings = load({"OPENLOOP_HOME": str(tmp_path), "OPENLOOP_AUDIT_CHECKPOINTS": "x:"})
    assert [ok for ok, _ in (await found()).values()] == [False]
