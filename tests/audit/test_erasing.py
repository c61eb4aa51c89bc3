"""Erasure: names and texts go for ever, what happened stays, and the chain still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.actions import erasing
from openloop.domain.audit import SYSTEM
from openloop.domain.audit_bundle import verify_bundle
from openloop.domain.errors import Invalid, NotFound
from openloop.domain.ids import PrincipalId, new_id
from openloop.storage import audit, seals
from tests.api.conftest import open_api

if TYPE_CHECKING:
    from tests.audit.record import Record


async def everything(record: Record) -> str:
    """All that the audit's tables say, as text."""
    async with record.stage.tx() as tx:
        found = await tx.tuples(
            """
            SELECT e::text FROM audit_events e UNION ALL SELECT s::text FROM audit_seals s
            UNION ALL SELECT c::text FROM audit_checkpoints c
            """
        )
    return "\n".join(row[0] for row in found)


async def test_a_persons_name_and_ids_go_and_the_record_is_still_well(record: Record) -> None:
    anna = await record.stage.principal("anna")
    before = await everything(record)
    assert "U0ANNA" in before
    events = await record.stage.audit()

    erased = await erasing.erase(
        record.stage.database, record.stage.workspace, principal_id=anna.id, by=SYSTEM
    )
    await record.sealed()

    assert erased.events == 2, "what she approved, and the effect that names her"
    after = await everything(record)
    assert "U0ANNA" not in after
    assert "anna" not in after
    assert str(anna.id) in after, "that somebody did it stays"
    assert (await record.verify()).findings == ()
    kept = (await record.stage.audit())[: len(events)]
    assert [(e.id, e.kind, e.subject, e.at) for e in kept] == [
        (e.id, e.kind, e.subject, e.at) for e in events
    ]


async def test_somebody_without_a_principal_is_erased_by_their_id(record: Record) -> None:
    assert "U0BEN" in await everything(record)

    await erasing.erase(
        record.stage.database, record.stage.workspace, external_ids=["U0BEN"], by=SYSTEM
    )
    await record.sealed()

    assert "U0BEN" not in await everything(record)
    assert (await record.verify()).findings == ()


async def test_the_text_of_single_events_goes(record: Record) -> None:
    canary = "no hexadecimal digits: xyzzy"  # and so in no hash, key or id
    async with record.stage.tx() as tx:
        id = await audit.append_and_tell(
            tx,
            record.stage.workspace,
            "click.refused",
            actor=SYSTEM,
            reason=f"call mallory on {canary}",
            code="forbidden",
        )
    await record.sealed()
    assert canary in await everything(record)

    await erasing.erase(record.stage.database, record.stage.workspace, events=[id], by=SYSTEM)
    again = await erasing.erase(
        record.stage.database, record.stage.workspace, events=[id], by=SYSTEM
    )
    await record.sealed()

    assert again.events == 0
    assert canary not in await everything(record)
    (event,) = await record.stage.audit("click.refused")
    assert event.detail == {"code": "forbidden"}
    assert (await record.verify()).findings == ()


async def test_what_is_not_sealed_yet_is_left_for_later(record: Record) -> None:
    await record.stage.say(root="root-7", by="priya")

    erased = await erasing.erase(
        record.stage.database, record.stage.workspace, external_ids=["U0PRIYA"], by=SYSTEM
    )

    assert erased.events == 0


async def test_an_erasure_that_says_too_little_is_found(record: Record) -> None:
    """Somebody erases one more than the event says: the digest tells."""
    await erasing.erase(
        record.stage.database, record.stage.workspace, external_ids=["U0BEN"], by=SYSTEM
    )
    await record.sealed()
    assert (await record.verify()).findings == ()
    record.tamper(
        """
        UPDATE audit_events SET actor = actor - 'name' - 'external_id',
            detail = detail - 'reason' - 'link', erased_by = (
                SELECT max(id) FROM audit_events WHERE kind = 'audit.erased')
        WHERE kind = 'approval.approved'
        """
    )
    record.tamper(
        """
        UPDATE audit_seals SET salt = NULL
        WHERE event_id IN (SELECT id FROM audit_events WHERE kind = 'approval.approved')
        """
    )

    assert "text_missing" in await record.kinds()


async def test_the_application_erases_only_in_a_transaction_that_says_so(record: Record) -> None:
    async with record.stage.tx() as tx:
        entries = await seals.list_entries(tx, after=0, limit=100)
    victim = next(e["event"] for e in entries if e["event"] and e["salt"])
    await erasing.erase(
        record.stage.database, record.stage.workspace, external_ids=["U0BEN"], by=SYSTEM
    )
    said = [*await record.stage.audit("run."), *await record.stage.audit("audit.erased")]

    async def erase(event_id: int) -> None:
        async with record.stage.tx() as tx:
            await seals.erase(tx, [(victim["id"], "{}", "{}")], erased_by=event_id)

    for event_id in (said[0].id, said[-1].id, 10**9):
        with pytest.raises(Exception, match="written down first"):
            await erase(event_id)


async def test_who_is_meant_has_to_be_said(record: Record) -> None:
    database, workspace = record.stage.database, record.stage.workspace
    with pytest.raises(Invalid):
        await erasing.erase(database, workspace, by=SYSTEM)
    with pytest.raises(Invalid):
        await erasing.erase(database, workspace, events=range(1001), by=SYSTEM)
    with pytest.raises(NotFound):
        await erasing.erase(database, workspace, principal_id=PrincipalId(new_id()), by=SYSTEM)


async def test_an_owner_erases_over_the_api_and_a_bundle_is_still_proved(record: Record) -> None:
    run = (await record.stage.runs())[0]
    async with open_api(record.stage.database, record.stage.workspace) as api:
        answer = await api.post("/api/v1/audit/erase", {"principal": "anna"})
        unknown = await api.post("/api/v1/audit/erase", {"principal": "nobody"})
        await record.sealed()
        bundle = (await api.get(f"/api/v1/runs/{run.id}/explain")).json()

    assert (answer.status_code, answer.json()) == (200, {"events": 2})
    assert unknown.status_code == 404
    assert verify_bundle(bundle).findings == ()
    assert "U0ANNA" not in str(bundle["events"])
    assert (await record.verify()).findings == ()
