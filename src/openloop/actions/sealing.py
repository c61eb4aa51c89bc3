"""Sealing the audit and vouching for it: off every run's path, in the order of commits."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from openloop.domain.audit_chain import digest, genesis, link, position
from openloop.domain.audit_checkpoint import Checkpoint, is_signed_by, parse
from openloop.domain.audit_record import SALT_BYTES, has_personal_text, record
from openloop.domain.errors import Conflict
from openloop.storage import audit, checkpoints, seals
from openloop.storage.checkpoints import CheckpointRow
from openloop.storage.seals import Seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openloop.domain.audit import Who
    from openloop.domain.audit_checkpoint import Signed, SigningKey
    from openloop.domain.audit_record import Columns
    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database, Transaction

BATCH = 200
"""Events at a time: a few milliseconds of a process that does other things, too."""

EVERY = timedelta(seconds=60)
EVERY_EVENTS = 1000


class RecordTampered(Conflict):
    """What is in the database is not what was vouched for: nothing more is signed."""

    code = "audit_tampered"


class ForeignKey(Conflict):
    """The record is signed with another key than this process has."""

    code = "audit_key_differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """How many events were sealed; `more` where there may be others to go on with at once."""

    count: int
    more: bool


async def seal(database: Database, workspace: WorkspaceId, *, limit: int = BATCH) -> Sealed:
    """Seal the next events whose place in the order is certain; only one process does at a time."""
    async with database.transaction(workspace) as tx:
        if not await seals.lock(tx, workspace):
            return Sealed(count=0, more=False)
        last = await seals.find_last(tx)
        events = await seals.list_unsealed(tx, position_of(last), limit=limit)
        if events:
            await seals.add(tx, workspace, list(links(workspace, last, events)))
    return Sealed(count=len(events), more=len(events) >= limit)


def links(workspace: WorkspaceId, last: Seal | None, events: Iterable[Columns]) -> Iterator[Seal]:
    """The next links of a chain."""
    seq, previous = (last.seq, last.hash) if last else (0, genesis(workspace))
    name = str(workspace)
    for event in events:
        salt = os.urandom(SALT_BYTES) if has_personal_text(event) else None
        sealed = record(event, workspace=name, salt=salt)
        seq += 1
        previous = link(previous, seq, digest(sealed))
        yield Seal(seq=seq, event_id=event["id"], record=sealed.decode(), hash=previous, salt=salt)


def position_of(last: Seal | None) -> tuple[int, int]:
    """Up to where events are sealed.

    Raises:
        RecordTampered
    """
    if last is None:
        return (0, 0)
    try:
        return position(last.record)
    except (ValueError, KeyError, TypeError) as error:
        message = f"Link {last.seq} holds no record"
        raise RecordTampered(message) from error


async def make_checkpoint(
    database: Database, workspace: WorkspaceId, key: SigningKey, *, now: bool = False
) -> Signed | None:
    """Vouch for the chain as it is, where that is due (or `now`); None where it is not.

    Raises:
        RecordTampered: the database does not have what was vouched for last
        ForeignKey
    """
    async with database.transaction(workspace) as tx:
        if not await seals.lock(tx, workspace):
            return None
        end, last = await seals.find_last(tx), await checkpoints.find_last(tx)
        at = await tx.now()
        if end is None or not (now or _is_due(end, last, at)):
            return None
        before = None if last is None else await _trusted(tx, last, key)
        if before is not None and before.seq >= end.seq:
            return None
        return await _add(tx, workspace, _next(workspace, end, before, at), key)


def _is_due(end: Seal, last: CheckpointRow | None, at: datetime) -> bool:
    if last is None:
        return True
    return end.seq > last.seq and (
        at - last.at >= EVERY or at < last.at or end.seq - last.seq >= EVERY_EVENTS
    )


async def rotate_key(
    database: Database, workspace: WorkspaceId, old: SigningKey, new: SigningKey, *, by: Who
) -> Signed | None:
    """Let the old key introduce the new one; None where nothing is signed yet, or it has happened.

    Raises:
        RecordTampered, ForeignKey
    """
    async with database.transaction(workspace) as tx:
        await seals.wait_for_lock(tx, workspace)
        end, last = await seals.find_last(tx), await checkpoints.find_last(tx)
        if last is None or end is None:
            return None
        if parse(last.document).checkpoint.next_key == new.id:
            return None
        before = await _trusted(tx, last, old)
        made = _next(workspace, end, before, await tx.now())
        await audit.append(tx, workspace, "audit.key_rotated", actor=by, key=new.id)
        return await _add(tx, workspace, replace(made, public_key=new.public_key.hex()), old)


async def _trusted(tx: Transaction, last: CheckpointRow, key: SigningKey) -> Checkpoint:
    """The last checkpoint, if our key vouches for it and for what the database has now."""
    signed = parse(last.document)
    checkpoint = signed.checkpoint
    if checkpoint.next_key != key.id:
        message = (
            f"The record is signed with key {checkpoint.next_key}, and this process has {key.id}"
        )
        raise ForeignKey(message)
    own = key.public_key if checkpoint.key == key.id else None
    if own is not None and not is_signed_by(signed, own):
        message = f"Checkpoint {checkpoint.number} is not what we signed"
        raise RecordTampered(message)
    found = await seals.find_hash(tx, checkpoint.seq)
    if found is None or found.hex() != checkpoint.head:
        message = (
            f"The record up to {checkpoint.seq} is not what checkpoint {checkpoint.number} says"
        )
        raise RecordTampered(message)
    return checkpoint


def _next(workspace: WorkspaceId, end: Seal, before: Checkpoint | None, at: datetime) -> Checkpoint:
    return Checkpoint(
        workspace=str(workspace),
        number=before.number + 1 if before else 1,
        previous=before.digest() if before else "",
        seq=end.seq,
        head=end.hash.hex(),
        at=seals.moment(at),
        # The second witness is the signer's own clock, on purpose not the database's.
        signed_at=seals.moment(datetime.now(UTC)),
        key="",
    )


async def _add(
    tx: Transaction, workspace: WorkspaceId, checkpoint: Checkpoint, key: SigningKey
) -> Signed:
    introduces = checkpoint.public_key or (key.public_key.hex() if checkpoint.number == 1 else "")
    signed = key.sign(replace(checkpoint, key=key.id, public_key=introduces))
    await checkpoints.add(
        tx,
        workspace,
        CheckpointRow(
            number=checkpoint.number,
            seq=checkpoint.seq,
            at=datetime.fromisoformat(checkpoint.at),
            document=signed.document(),
        ),
    )
    return signed
