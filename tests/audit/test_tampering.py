"""What a superuser with every trigger off does to the record, and what of it is found: all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from openloop.domain.audit_checkpoint import SigningKey, parse
from openloop.domain.audit_effects import check
from openloop.storage import evidence
from tests.audit.record import Record, seal_all

if TYPE_CHECKING:
    from tests.make import Clock, Stage


@pytest.fixture
async def record(stage: Stage, superuser: str) -> Record:
    """Three runs, each sealed and vouched for."""
    made = Record(stage, superuser)
    for root in ("root-1", "root-2", "root-3"):
        await made.held(root)
    return made


async def test_an_untouched_record_is_well(record: Record) -> None:
    verified = await record.verify()

    assert verified.findings == ()
    assert verified.covered == verified.seq == verified.events > 20
    assert verified.elsewhere == 3


# --- the columns ---------------------------------------------------------------------------------

DECISION = "WHERE id = (SELECT min(id) FROM audit_events WHERE kind = 'approval.approved')"
EDITS: dict[str, str] = {
    "id": f"""
        WITH gone AS (DELETE FROM audit_events {DECISION} RETURNING *)
        INSERT INTO audit_events OVERRIDING SYSTEM VALUE
        SELECT workspace_id, id + 100000, xid, at, kind, actor, subject, run_id, detail FROM gone
    """,  # noqa: S608
    "xid": "xid = (xid::text::bigint + 1)::text::xid8",
    "at": "at = at - interval '1 microsecond'",
    "kind": "kind = 'run.done'",
    "actor": "actor = jsonb_set(actor, '{kind}', '\"system\"')",
    "actor's principal": "actor = jsonb_set(actor, '{principal_id}', to_jsonb(gen_random_uuid()))",
    "actor's name": "actor = jsonb_set(actor, '{name}', '\"mallory\"')",
    "subject": "subject = gen_random_uuid()",
    "run_id": "run_id = NULL",
    "detail": "detail = detail || '{\"own_request\": true}'",
    "detail's text": 'detail = detail || \'{"reason": "it is fine"}\'',
    "workspace_id": "workspace_id = gen_random_uuid()",
    "erased_by": "erased_by = 1",
    "erased_by, where there is no text": (
        "UPDATE audit_events SET erased_by = 1 WHERE kind = 'run.done'"
    ),
    "a seal's number": "UPDATE audit_seals SET seq = 1000 WHERE seq = 5",
    "a seal's event": "UPDATE audit_seals SET event_id = event_id + 100000 WHERE seq = 5",
    "a seal's record": "UPDATE audit_seals SET record = replace(record, 'approval.', 'run.')",
    "a seal that is no record": "UPDATE audit_seals SET record = 'nonsense' WHERE seq = 5",
    "a seal's hash": "UPDATE audit_seals SET hash = sha256(hash) WHERE seq = 5",
    "a seal's salt": "UPDATE audit_seals SET salt = sha256(salt)",
    "a seal's salt, gone": "UPDATE audit_seals SET salt = NULL",
}


async def test_an_edit_of_any_column_is_found(record: Record) -> None:
    assert not await record.kinds()
    for what, edit in EDITS.items():
        whole = " ".join(edit.split()[:1]) in ("WITH", "UPDATE")
        with record.restored():
            record.tamper(edit if whole else f"UPDATE audit_events SET {edit} {DECISION}")  # noqa: S608  # pyright: ignore
            assert await record.kinds(), what
    assert not await record.kinds()


# --- twelve kinds of tampering ---------------------------------------------------------------------


async def edit_with_its_record(record: Record) -> None:
    """1. An event is edited, and its link with it."""
    record.tamper(
        "UPDATE audit_events SET kind = 'approval.denied' WHERE kind = 'approval.approved'"
    )
    record.tamper("UPDATE audit_seals SET record = replace(record, 'l.approved', 'l.denied')")


async def delete_in_the_middle(record: Record) -> None:
    """2. An event and its link are gone, and the others are numbered anew."""
    record.tamper(
        "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_seals WHERE seq = 9)"
    )
    record.tamper("DELETE FROM audit_seals WHERE seq = 9")
    record.tamper("UPDATE audit_seals SET seq = seq + 1000 WHERE seq > 9")
    record.tamper("UPDATE audit_seals SET seq = seq - 1001 WHERE seq > 1000")


async def reorder(record: Record) -> None:
    """3. Two events change places: first the call, then the approval."""
    record.tamper("UPDATE audit_seals SET seq = seq + 1000 WHERE seq IN (8, 9)")
    record.tamper(
        "UPDATE audit_seals SET seq = CASE seq WHEN 1008 THEN 9 ELSE 8 END WHERE seq > 1000"
    )


async def insert(record: Record) -> None:
    """4. An event is put in where none was."""
    record.tamper(
        """
        INSERT INTO audit_events (workspace_id, xid, at, kind, actor, subject, run_id, detail)
        SELECT workspace_id, xid, at, 'approval.approved', actor, subject, run_id, detail
        FROM audit_events WHERE kind = 'approval.asked' LIMIT 1
        """
    )


async def truncate(record: Record) -> None:
    """5. The end is cut off, and the checkpoints that know of it."""
    record.tamper("DELETE FROM audit_checkpoints WHERE number = 3")
    cut = len(await record.entries()) - 4
    record.tamper(
        "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_seals WHERE seq > %s)",
        cut,
    )
    record.tamper("DELETE FROM audit_seals WHERE seq > %s", cut)


async def rewrite(record: Record) -> None:
    """6. Everything is sealed anew after an edit, and nobody vouches for it yet."""
    record.tamper("DELETE FROM audit_checkpoints")
    record.tamper("UPDATE audit_events SET actor = jsonb_set(actor, '{name}', '\"anna\"')")
    await record.rewrite()


async def roll_back(record: Record) -> None:
    """7. An older copy of the database is put in its place, and life goes on there."""
    record.tamper("DELETE FROM audit_checkpoints WHERE number > 1")
    end = parse(record.outside[0]).checkpoint.seq
    record.tamper(
        "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_seals WHERE seq > %s)",
        end,
    )
    record.tamper("DELETE FROM audit_seals WHERE seq > %s", end)
    await record.stage.say(root="root-8")
    await seal_all(record.stage.database, record.stage.workspace)
    assert await record.checkpoint()  # signed by the product itself, which knows of nothing


async def fork(record: Record) -> None:
    """8. Two copies go on side by side; one is shown here, the other one there."""
    kept = list(record.outside)
    await roll_back(record)
    record.outside = [kept[0], (await record.documents())[1], *kept[2:]]


async def swap_bodies(record: Record) -> None:
    """9. Two events exchange what they say."""
    record.tamper(
        """
        UPDATE audit_events e SET detail = o.detail, actor = o.actor
        FROM audit_events o WHERE e.kind = 'effect.intended' AND o.kind = 'effect.done'
          AND o.run_id = e.run_id
        """
    )


async def drop_receipt(record: Record) -> None:
    """10. What came of an effect is gone, and everything is sealed anew without it."""
    record.tamper(
        "DELETE FROM audit_events WHERE id = (SELECT min(id) FROM audit_events WHERE kind = 'effect.done')"
    )
    await record.rewrite()


async def forge_a_checkpoint(record: Record) -> None:
    """11. A rewritten history with a checkpoint by a key of their own."""
    record.tamper("DELETE FROM audit_checkpoints WHERE number = 3")
    record.tamper("UPDATE audit_events SET detail = '{}' WHERE kind = 'effect.done'")
    await record.rewrite()
    before, last = (parse(document).checkpoint for document in record.outside[1:])
    own = SigningKey.new()
    head = (await record.entries())[last.seq - 1]["hash"]
    forged = own.sign(replace(last, head=str(head), previous=before.digest()))
    record.tamper(
        "INSERT INTO audit_checkpoints SELECT workspace_id, 3, %s, at, %s FROM audit_checkpoints LIMIT 1",
        last.seq,
        forged.document(),
    )


async def remove_a_checkpoint(record: Record) -> None:
    """12. A checkpoint in the middle is gone."""
    record.tamper("DELETE FROM audit_checkpoints WHERE number = 2")


async def swap_the_key(record: Record) -> None:
    """13. Every checkpoint is made anew with another key, and the chain with them."""
    record.tamper("DELETE FROM audit_checkpoints")
    record.tamper("UPDATE audit_events SET detail = '{}' WHERE kind = 'effect.done'")
    await record.rewrite()
    assert await record.checkpoint(SigningKey.new())


async def drop_texts(record: Record) -> None:
    """14. Who decided is gone, and no erasure says so."""
    record.tamper("UPDATE audit_events SET actor = actor - 'name' - 'external_id', erased_by = 5")
    record.tamper("UPDATE audit_seals SET salt = NULL")


TAMPERINGS: dict[Callable[[Record], Awaitable[None]], set[str]] = {
    edit_with_its_record: {"broken"},
    delete_in_the_middle: {"broken", "rewritten", "truncated"},
    reorder: {"broken", "reordered"},
    insert: {"inserted"},
    truncate: {"truncated", "rolled_back"},
    rewrite: {"rewritten", "rolled_back"},
    roll_back: {"checkpoint_fork", "rolled_back", "truncated"},
    fork: {"checkpoint_fork"},
    swap_bodies: {"changed"},
    drop_receipt: {"rewritten", "truncated"},
    forge_a_checkpoint: {"checkpoint_forged"},
    remove_a_checkpoint: {"checkpoint_missing"},
    swap_the_key: {"checkpoint_fork"},
    drop_texts: {"text_missing", "changed"},
}


async def test_every_kind_of_tampering_is_found(record: Record) -> None:
    for tamper, codes in TAMPERINGS.items():
        with record.restored():
            await tamper(record)
            found = await record.kinds()
            assert codes <= found, (tamper.__doc__, found)
        assert not await record.kinds(), "the control"


async def test_a_clock_that_was_set_back_is_found(record: Record, clock: Clock) -> None:
    """15. The server's clock goes back while something is done: the event looks older than it is."""
    await clock.advance(seconds=-400)
    await record.held("root-9")

    assert "clock_set_back" in await record.kinds()
    assert "clock_set_back" in await record.kinds(ours=None, elsewhere={}), "by the events alone"


async def test_a_clock_that_was_wrong_from_the_beginning_is_found(
    stage: Stage, superuser: str, clock: Clock
) -> None:
    """The signer's own clock is a second witness."""
    await clock.advance(hours=-2)
    record = Record(stage, superuser)
    await record.held("root-1")

    assert await record.kinds() == {"clock_set_back"}


async def test_without_a_place_outside_a_full_rewrite_with_another_key_is_not_found(
    record: Record,
) -> None:
    """The control: this is why checkpoints are kept elsewhere, and why keys are compared."""
    await swap_the_key(record)

    assert await record.kinds(elsewhere={}) == set()
    assert "key_replaced" in await record.kinds(elsewhere={}, pins=[record.key.id])


# --- the effects ---------------------------------------------------------------------------------

EFFECTS: dict[str, tuple[str, str]] = {
    "a step": ("DELETE FROM steps WHERE effect = 'write'", "effect_missing"),
    "an approval": ("DELETE FROM approvals", "effect_missing"),
    "the answer": ("DELETE FROM outbox WHERE op->>'op' = 'Say'", "effect_missing"),
    "the card": ("DELETE FROM outbox WHERE op->>'op' = 'Ask'", "effect_missing"),
    "the intent": ("DELETE FROM audit_events WHERE kind = 'effect.intended'", "effect_unrecorded"),
    "the outcome": ("DELETE FROM audit_events WHERE kind = 'effect.done'", "effect_unrecorded"),
    "the decision": (
        "DELETE FROM audit_events WHERE kind = 'approval.approved'",
        "effect_unrecorded",
    ),
    "the end": ("DELETE FROM audit_events WHERE kind = 'run.done'", "effect_unrecorded"),
    "the request": ("DELETE FROM audit_events WHERE kind = 'run.queued'", "effect_unrecorded"),
    "the bytes": ("UPDATE approvals SET hash = 'other'", "effect_unrecorded"),
    "the state": ("UPDATE approvals SET state = 'denied'", "effect_unrecorded"),
    "the state, as if nobody had decided": (
        "UPDATE approvals SET state = 'pending'",
        "effect_missing",
    ),
    "the step, as if it had not ended": (
        "UPDATE steps SET state = 'started' WHERE effect = 'write'",
        "effect_missing",
    ),
    "the result of the step": (
        """UPDATE steps SET output = output || '{"outcome": "failed"}' WHERE effect = 'write'""",
        "effect_missing",
    ),
    "the run's state": ("UPDATE runs SET state = 'failed'", "effect_unrecorded"),
    "a message nobody accounts for": (
        "UPDATE outbox SET xid = '1' WHERE op->>'op' = 'Say'",
        "effect_unrecorded",
    ),
}


async def test_an_effect_without_its_events_is_found_and_the_other_way_round(
    record: Record,
) -> None:
    async def codes() -> set[str]:
        async with record.stage.tx() as tx:
            facts = await evidence.list_facts(tx, after=None, limit=100)
        assert len(facts) == 3
        return {finding.kind for run in facts for finding in check(run)}

    assert await codes() == set()
    for what, (sql, code) in EFFECTS.items():
        with record.restored():
            record.tamper(sql)  # pyright: ignore[reportArgumentType]
            assert code in await codes(), what
