"""Checkpoints outside of the database: kept once and whole, retried for ever, and never overwritten."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from openloop.actions import supervised
from openloop.domain.audit_checkpoint import SigningKey
from openloop.domain.errors import Misconfigured
from openloop.runtime import sealer as sealer_module
from openloop.runtime.destinations.destination import Diverged, NotDelivered
from openloop.runtime.destinations.folder import Folder, read
from openloop.runtime.destinations.git import Git
from openloop.runtime.destinations.places import read_places
from openloop.runtime.destinations.webhook import Webhook
from openloop.runtime.sealer import Sealer
from openloop.runtime.signing import KeyFile
from openloop.storage import checkpoints
from openloop.storage.checkpoints import CheckpointRow
from tests.audit.record import Record
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, MutableMapping, Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.runtime.destinations.destination import Destination
    from tests.make import Stage


@pytest.fixture
async def record(stage: Stage, superuser: str) -> Record:
    made = Record(stage, superuser)
    await made.sealed()
    for root in ("root-1", "root-2"):
        await stage.say(root=root)
        await made.sealed()
    return made


async def rows(record: Record) -> list[CheckpointRow]:
    async with record.stage.tx() as tx:
        return await checkpoints.list_after(tx, 0, limit=100)


def in_git(repository: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", f"--git-dir={repository}", *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    repository = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--bare", "--quiet", str(repository)], check=True)
    return repository


@asynccontextmanager
async def webhook(answers: Sequence[int]) -> AsyncGenerator[tuple[str, list[tuple[str, str]]]]:
    """A receiver that answers so, the last one for ever; what it was sent, with its keys."""
    got: list[tuple[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((request.headers["Idempotency-Key"], await request.text()))
        return web.Response(status=answers[min(len(got), len(answers)) - 1])

    app = web.Application()
    app.router.add_post("/secret-path", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/secret-path", got
    finally:
        await runner.cleanup()


# --- each kind -----------------------------------------------------------------------------------


async def test_a_folder_keeps_each_once_and_whole(record: Record, tmp_path: Path) -> None:
    folder, workspace, all_rows = (
        Folder(tmp_path / "kept"),
        record.stage.workspace,
        await rows(record),
    )

    await folder.put(workspace, all_rows[:2])
    await folder.put(workspace, all_rows[1:])
    await folder.put(workspace, all_rows[1:])

    assert list(read(tmp_path / "kept", workspace)) == record.outside
    assert not [p for p in (tmp_path / "kept").rglob(".*") if p.is_file()], "nothing half-written"
    assert await record.kinds(elsewhere={"kept": list(read(tmp_path / "kept", workspace))}) == set()


async def test_git_gets_a_commit_for_what_is_new(
    record: Record, remote: Path, tmp_path: Path
) -> None:
    workspace, all_rows = record.stage.workspace, await rows(record)
    git = Git(str(remote), "checkpoints", tmp_path / "git")

    await git.put(workspace, all_rows[:2])
    await git.put(workspace, all_rows)
    await git.put(workspace, all_rows)

    log = in_git(remote, "log", "--format=%s", "checkpoints").splitlines()
    assert log == [f"Checkpoint 3 of {workspace}", f"Checkpoint 1-2 of {workspace}"]
    clone = tmp_path / "clone"
    in_git(remote, "clone", "--quiet", "-b", "checkpoints", str(remote), str(clone))
    assert list(read(clone, workspace)) == record.outside


async def test_two_machines_push_to_one_repository(
    record: Record, remote: Path, tmp_path: Path
) -> None:
    workspace, all_rows = record.stage.workspace, await rows(record)
    one, other = (Git(str(remote), "checkpoints", tmp_path / name) for name in ("one", "other"))

    await one.put(workspace, all_rows[:1])
    await other.put(workspace, all_rows[:2])
    await one.put(workspace, all_rows)

    assert len(in_git(remote, "ls-tree", "-r", "--name-only", "checkpoints").splitlines()) == 3


async def test_a_hostile_configuration_runs_nothing(
    record: Record, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks, a file-system monitor and helpers of the home folder and of our repository."""
    fired = tmp_path / "fired"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {fired}\n")
    script.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    evil = (
        f"[core]\n hooksPath = {tmp_path / 'hooks'}\n fsmonitor = {script}\n sshCommand = {script}\n"
        f"[credential]\n helper = {script}\n[gpg]\n program = {script}\n[commit]\n gpgSign = true\n"
    )
    (home / ".gitconfig").write_text(evil)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("pre-push", "post-commit", "reference-transaction", "post-index-change"):
        (hooks / hook).symlink_to(script)
    monkeypatch.setenv("HOME", str(home))
    git = Git(str(remote), "checkpoints", tmp_path / "git")
    all_rows = await rows(record)
    await git.put(record.stage.workspace, all_rows[:1])
    repository = next((tmp_path / "git").glob("*.git"))
    with (repository / "config").open("a") as config:
        config.write(evil)
    for hook in hooks.iterdir():
        (repository / "hooks" / hook.name).unlink(missing_ok=True)
        (repository / "hooks" / hook.name).symlink_to(script)

    await git.put(record.stage.workspace, all_rows)

    assert not fired.exists()
    assert len(in_git(remote, "ls-tree", "-r", "--name-only", "checkpoints").splitlines()) == 3


async def test_the_control_git_does_run_such_hooks(tmp_path: Path, remote: Path) -> None:
    """Without our overrides it would have."""
    fired, hook = tmp_path / "fired", remote / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {fired}\n")
    hook.chmod(0o755)
    blob = in_git(remote, "hash-object", "-w", str(hook)).strip()
    in_git(remote, "update-ref", "refs/tags/x", blob)

    assert fired.exists()


async def test_a_webhook_is_posted_each_document(record: Record) -> None:
    async with webhook([200]) as (url, got):
        hook = Webhook(url)
        await hook.put(record.stage.workspace, await rows(record))
        await hook.aclose()

    assert [text for _, text in got] == record.outside
    assert [key for key, _ in got] == [f"{record.stage.workspace}:{n}" for n in (1, 2, 3)]
    assert "secret-path" not in hook.name


@pytest.mark.parametrize(
    ("status", "error"), [(500, NotDelivered), (302, NotDelivered), (409, Diverged)]
)
async def test_a_webhook_that_does_not_take_it(
    record: Record, status: int, error: type[Exception]
) -> None:
    async with webhook([status]) as (url, _):
        hook = Webhook(url)
        with pytest.raises(error) as raised:
            await hook.put(record.stage.workspace, await rows(record))
        await hook.aclose()

    assert "secret-path" not in str(raised.value)


async def test_another_checkpoint_of_the_same_number_is_an_alarm(
    record: Record, tmp_path: Path, remote: Path
) -> None:
    """The database was rolled back and went on: what is outside is not overwritten."""
    workspace, all_rows = record.stage.workspace, await rows(record)
    places: list[Destination] = [
        Folder(tmp_path / "kept"),
        Git(str(remote), "checkpoints", tmp_path / "git"),
    ]
    other = CheckpointRow(number=3, seq=1, at=all_rows[2].at, document=all_rows[1].document)
    for place in places:
        await place.put(workspace, all_rows)

        with pytest.raises(Diverged):
            await place.put(workspace, [other])
        with pytest.raises(Diverged):  # it counts anew from an older number
            await place.put(workspace, all_rows[:2])

    assert list(read(tmp_path / "kept", workspace)) == record.outside


async def test_places_that_cannot_be_reached(record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places: list[Destination] = [
        Folder(tmp_path / "file"),
        Git(str(tmp_path / "nowhere.git"), "checkpoints", tmp_path / "git"),
        Webhook("http://127.0.0.1:1/x"),
    ]
    for place in places:
        with pytest.raises(NotDelivered):
            await place.put(record.stage.workspace, await rows(record))
        await place.aclose()


def test_the_setting_is_read_and_every_problem_is_told(tmp_path: Path) -> None:
    texts = ["file:/x", "git:ssh://git@host/repo.git#main", "https://token@host/secret"]
    names = [place.name for place in read_places(texts, home=tmp_path)]

    assert names[:2] == ["file:/x", "git:ssh://host/repo.git#main"]
    assert names[2].startswith("https://host/(")
    assert "token" not in str(names)
    assert read_places([], home=tmp_path)[0].name == f"file:{tmp_path}/audit/checkpoints"
    bad = ["ftp://x", "file:relative", "http://host/x", "git:-x", "git:/x#../y"]
    with pytest.raises(Misconfigured) as raised:
        read_places(bad, home=tmp_path)
    assert len(raised.value.problems) == len(bad)


# --- the sealer ----------------------------------------------------------------------------------


class Broken:
    """A place that fails until it is mended."""

    name = "broken"

    def __init__(self) -> None:
        self.is_broken = True
        self.got: list[str] = []

    async def put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        if self.is_broken:
            raise NotDelivered("it is away")
        self.got += [each.document for each in documents]

    async def aclose(self) -> None:
        """Nothing is open."""


async def test_the_sealer_seals_signs_and_delivers_by_itself(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer_module, "SEAL_SECONDS", 0.01)
    monkeypatch.setattr(sealer_module, "DELIVER_SECONDS", 0.01)
    folder = Folder(tmp_path / "kept")
    sealer = Sealer(stage.database, KeyFile(tmp_path / "key"), [folder])
    working = asyncio.create_task(sealer.run())

    async def is_done() -> bool:
        seals, events = await stage.count("audit_seals"), await stage.count("audit_events")
        return seals == events and bool(list(read(tmp_path / "kept", stage.workspace)))

    await until(is_done)

    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_what_is_not_delivered_is_tried_again_told_and_never_lost(
    record: Record, tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    place = Broken()
    sealer = Sealer(record.stage.database, KeyFile(tmp_path / "key"), [place])

    async def due_now() -> None:
        async with record.stage.tx() as tx:
            await tx.run("UPDATE audit_destinations SET next_try_at = '-infinity'")

    for _ in range(3):
        await sealer.deliver_all()
        await due_now()
    async with record.stage.tx() as tx:
        (state,) = await checkpoints.list_destinations(tx)
    assert (state.failures, state.delivered, state.error) == (3, 0, "it is away")
    assert await record.stage.kinds("checkpoint.") == ["checkpoint.undelivered"]
    assert [line["event"] for line in logged] == ["checkpoint not delivered"] * 3

    place.is_broken = False
    await sealer.deliver_all()
    await sealer.deliver_all()

    assert place.got == record.outside
    assert await record.stage.kinds("checkpoint.") == [
        "checkpoint.undelivered",
        "checkpoint.delivered",
    ]
    async with record.stage.tx() as tx:
        (state,) = await checkpoints.list_destinations(tx)
    assert (state.failures, state.delivered, state.failing_since) == (0, 3, None)


async def test_a_place_that_fails_is_not_asked_all_the_time(record: Record, tmp_path: Path) -> None:
    place = Broken()
    sealer = Sealer(record.stage.database, KeyFile(tmp_path / "key"), [place])
    for _ in range(3):
        await sealer.deliver_all()

    async with record.stage.tx() as tx:
        (state,) = await checkpoints.list_destinations(tx)
    assert state.failures == 1


async def test_a_sealer_that_breaks_is_started_again(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[MutableMapping[str, Any]],
) -> None:
    monkeypatch.setattr(sealer_module, "SEAL_SECONDS", 0.01)
    monkeypatch.setattr(supervised, "RESTART_SECONDS", 0.01)
    broken = KeyFile(tmp_path / "key")
    keys = iter([ZeroDivisionError()])

    def key() -> SigningKey:
        for error in keys:
            raise error
        return SigningKey.new()

    monkeypatch.setattr(broken, "key", key)
    monkeypatch.setattr(sealer_module, "LOOK_SECONDS", 0)
    sealer = Sealer(stage.database, broken, [])
    working = asyncio.create_task(sealer.run())

    async def is_signed() -> bool:
        return await stage.count("audit_checkpoints") > 0

    await until(is_signed)

    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert ("begun again", "sealing") in [(line["event"], line.get("loop")) for line in logged]


async def test_a_tampered_record_is_told_and_the_other_workspaces_go_on(
    record: Record, tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    record.tamper(
        "UPDATE audit_seals SET record = 'nonsense' WHERE seq = (SELECT max(seq) FROM audit_seals)"
    )
    await Sealer(record.stage.database, KeyFile(tmp_path / "key"), []).seal_all()

    assert [line["code"] for line in logged if line["event"] == "audit alarm"] == ["audit_tampered"]
