"""Sealing: in the order of commits, no slow transaction passed by, one sealer at a time."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from openloop.actions import apply, rotating, sealing
from openloop.actions.sealing import ForeignKey, RecordTampered
from openloop.domain.audit import SYSTEM
from openloop.domain.audit_checkpoint import SigningKey, parse
from openloop.domain.audit_record import LARGEST_INTEGER, canonical
from openloop.domain.errors import Misconfigured
from openloop.runtime.signing import KeyFile
from openloop.storage import audit, seals
from tests.audit.record import Record, seal_all

if TYPE_CHECKING:
    from pathlib import Path

    from openloop.storage.database import Database, Transaction
    from tests.make import Clock, Stage


async def say(tx: Transaction, stage: Stage, kind: str) -> None:
    """Write an event."""
    await audit.append(tx, stage.workspace, kind, actor=SYSTEM)


async def sealed_kinds(stage: Stage) -> list[str]:
    async with stage.tx() as tx:
        entries = await seals.list_entries(tx, after=0, limit=1000)
    return [entry["event"]["kind"] for entry in entries if entry["event"]]


@pytest.fixture
async def record(stage: Stage, superuser: str) -> Record:
    made = Record(stage, superuser)
    await made.sealed()
    return made


# --- the order -----------------------------------------------------------------------------------


async def test_a_slow_transaction_is_never_passed_by(stage: Stage, database: Database) -> None:
    """It began first and wrote first; a later one has committed, and must wait for its seal."""
    await seal_all(database, stage.workspace)
    before = await sealed_kinds(stage)

    async with stage.tx() as slow:
        await say(slow, stage, "test.slow")
        await slow.settle()
        async with stage.tx() as fast:
            await say(fast, stage, "test.fast")
        assert (await sealing.seal(database, stage.workspace)).count == 0
        assert await sealed_kinds(stage) == before
    await seal_all(database, stage.workspace)

    assert await sealed_kinds(stage) == [*before, "test.slow", "test.fast"]


async def test_a_transaction_that_fails_holds_nothing_up(stage: Stage, database: Database) -> None:
    async def fail() -> None:
        async with stage.tx() as tx:
            await say(tx, stage, "test.lost")
            await tx.value("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fail()
    async with stage.tx() as tx:
        await say(tx, stage, "test.kept")

    await seal_all(database, stage.workspace)

    assert (await sealed_kinds(stage))[-1] == "test.kept"
    assert "test.lost" not in await sealed_kinds(stage)


async def test_many_sealers_and_writers_make_one_chain(stage: Stage, superuser: str) -> None:
    """Whoever comes second finds the lock taken, and no event is sealed twice or left out."""
    record = Record(stage, superuser)
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(20):
            async with stage.tx() as tx:
                await say(tx, stage, "test.one")
                await tx.settle()
                await asyncio.sleep(0)
                await say(tx, stage, "test.two")

    async def seal() -> None:
        while not done.is_set():
            await sealing.seal(stage.database, stage.workspace, limit=3)
            await asyncio.sleep(0)

    sealers = [asyncio.create_task(seal()) for _ in range(3)]
    await asyncio.gather(*(write() for _ in range(3)))
    done.set()
    await asyncio.gather(*sealers)
    await record.sealed()

    verified = await record.verify()
    assert verified.findings == ()
    assert verified.events == await stage.count("audit_events")


async def test_workspaces_have_chains_of_their_own(
    stage: Stage, database: Database, superuser: str
) -> None:
    other = await apply.ensure_workspace(database, "other")
    async with database.transaction(other) as tx:
        await audit.append(tx, other, "test.other", actor=SYSTEM)
    mine, key = Record(stage, superuser), SigningKey.new()
    await mine.sealed()
    await seal_all(database, other)

    signed = await sealing.make_checkpoint(database, other, key)

    assert signed is not None
    assert signed.checkpoint.seq == 1
    assert (await mine.verify()).findings == ()


async def test_the_application_can_neither_change_nor_delete_what_is_sealed(
    record: Record,
) -> None:
    for statement in (
        "UPDATE audit_seals SET salt = NULL",
        "DELETE FROM audit_seals",
        "UPDATE audit_checkpoints SET seq = 1",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_events SET erased_by = 1",
        "SELECT openloop.erase_audit_texts('{1}', '{}', '{}', 1)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with record.stage.tx() as tx:
                await tx.run(statement)  # pyright: ignore[reportArgumentType]


async def test_not_even_a_superuser_does_so_by_accident(record: Record) -> None:
    with psycopg.connect(record.superuser, autocommit=True) as connection:
        connection.execute("SET search_path = openloop")
        for statement in (
            "UPDATE audit_seals SET record = ''",
            "DELETE FROM audit_seals",
            "TRUNCATE audit_seals",
            "DELETE FROM audit_checkpoints",
            "UPDATE audit_checkpoints SET document = ''",
            "UPDATE audit_events SET kind = 'x'",
            "UPDATE audit_events SET erased_by = 1, detail = detail || '{\"a\": 1}'",
            "DELETE FROM audit_events",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # pyright: ignore[reportArgumentType]


# --- checkpoints ---------------------------------------------------------------------------------


async def test_a_checkpoint_is_due_after_a_minute_or_a_thousand_events(
    stage: Stage, database: Database, clock: Clock, superuser: str
) -> None:
    key, record = SigningKey.new(), Record(stage, superuser)

    async def made() -> bool:
        await seal_all(database, stage.workspace)
        return await sealing.make_checkpoint(database, stage.workspace, key) is not None

    assert await made()
    assert not await made()
    async with stage.tx() as tx:
        await say(tx, stage, "test.one")
    assert not await made()
    await clock.advance(seconds=61)
    assert await made()
    await clock.advance(seconds=61)
    assert not await made(), "nothing has happened"
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO audit_events (workspace_id, kind, actor)
            SELECT %(workspace)s, 'test.many', '{"kind": "system"}' FROM generate_series(1, 1000)
            """,
            {"workspace": stage.workspace},
        )
    clock.restore()
    assert await made()
    numbers = [parse(document).checkpoint.number for document in await record.documents()]
    assert numbers == [1, 2, 3]


async def test_nothing_is_signed_over_what_was_tampered_with(record: Record) -> None:
    record.tamper("UPDATE audit_seals SET hash = sha256(hash)")
    async with record.stage.tx() as tx:
        await say(tx, record.stage, "test.one")
    await seal_all(record.stage.database, record.stage.workspace)

    with pytest.raises(RecordTampered):
        await record.checkpoint()


async def test_a_process_with_another_key_signs_nothing(record: Record) -> None:
    async with record.stage.tx() as tx:
        await say(tx, record.stage, "test.one")
    await seal_all(record.stage.database, record.stage.workspace)

    with pytest.raises(ForeignKey):
        await record.checkpoint(SigningKey.new())


async def test_a_new_key_is_introduced_by_the_old_one(record: Record) -> None:
    new, stage = SigningKey.new(), record.stage
    assert await rotating.rotate(stage.database, record.key, new, by=SYSTEM) == 1
    assert await rotating.rotate(stage.database, record.key, new, by=SYSTEM) == 0
    old, record.key = record.key, new
    await seal_all(stage.database, stage.workspace)
    assert await record.checkpoint()
    with pytest.raises(ForeignKey):
        await rotating.rotate(stage.database, old, SigningKey.new(), by=SYSTEM)
    record.outside = await record.documents()

    verified = await record.verify(pins=[old.id])

    assert verified.findings == ()
    assert (verified.root_keys, verified.keys) == ((old.id,), (new.id,))
    assert "audit.key_rotated" in await sealed_kinds(stage)
    keys = [parse(document).checkpoint.key for document in record.outside]
    assert keys == [old.id, old.id, new.id]
    del record.outside[1]
    assert "checkpoint_forged" in await record.kinds()


def test_a_key_file_is_made_once_and_is_only_for_its_owner(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "audit" / "signing-key")
    assert file.find() is None
    key = file.key()
    assert file.key().id == key.id
    assert file.path.stat().st_mode & 0o777 == 0o600

    coming = file.next_key()
    assert file.next_key().id == coming.id != key.id
    file.finish_rotation()
    assert file.key().id == coming.id

    file.path.chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod"):
        file.key()
    file.path.chmod(0o600)
    file.path.write_text("nonsense")
    with pytest.raises(Misconfigured):
        file.key()


# --- records -------------------------------------------------------------------------------------

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=6))
def test_records_are_canonical_by_rfc_8785(value: dict[str, object]) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # pyright: ignore[reportArgumentType]


@given(st.integers(min_value=LARGEST_INTEGER + 1))
def test_a_number_that_json_cannot_hold_is_kept_as_text(number: int) -> None:
    assert orjson.loads(canonical({"a": [number, -number]})) == {"a": [str(number), str(-number)]}


async def test_every_value_that_a_detail_can_hold_is_sealed_and_verified(
    record: Record,
) -> None:
    """Through the database and back: fractions, large numbers, strange keys and empty things."""
    strange: dict[str, Any] = {
        "fraction": 1e-7,
        "large": 1e300,
        "huge": 2**63,
        "ключ": {"é": ["ü", 1.5, None, True], "\U0001f600": 1, "\ufb33": 2},
        "empty": {"a": {}, "b": [], "c": ""},
        "text": 'line\nbreak \u2028 \x7f \\ " <>&',
        "noise": os.urandom(8).hex(),
    }
    async with record.stage.tx() as tx:
        await audit.append(tx, record.stage.workspace, "test.strange", actor=SYSTEM, **strange)
    await record.sealed()

    assert (await record.verify()).findings == ()
    record.tamper(
        "UPDATE audit_events SET detail = jsonb_set(detail, '{large}', '1e299') WHERE kind = 'test.strange'"
    )
    assert await record.kinds() == {"changed"}


async def test_a_run_has_as_many_audit_rows_as_it_had(stage: Stage) -> None:
    """Sealing adds nothing to what a run writes."""
    before = await stage.count("audit_events")
    await stage.work(await stage.mention())

    assert await stage.count("audit_events") - before == 3
    assert await stage.count("audit_seals") == 0
