"""The chain of an audit: each link seals a record and everything before it. Verifying it needs no database.

What is verified are entries: a seal beside the event it is about. A chain alone shows edits,
deletions and insertions; whoever rewrites all of it is found by checkpoints kept elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, cast

import orjson

from openloop.domain.audit_record import Columns, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

LONGEST_WRITE = timedelta(seconds=60)
"""How far an event may be older than one sealed before it: no transaction takes nearly as long."""

_ERASED = "audit.erased"


class Entry(TypedDict):
    """A seal and its event, as an export has them: one line of NDJSON.

    `event` is None where its row is gone; `seq`, `hash` and `record` are None for an event that was
    never sealed although later ones were.
    """

    seq: int | None
    hash: str | None
    record: str | None
    salt: str | None
    erased_by: int | None
    event: Columns | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a stable kind, where, and a sentence."""

    kind: str
    where: str
    message: str


def genesis(workspace: UUID) -> bytes:
    """What the first link of a workspace follows."""
    return hashlib.sha256(b"openloop audit 1\0" + workspace.bytes).digest()


def link(previous: bytes, seq: int, record_digest: bytes) -> bytes:
    """The hash of a link. Of a record only its digest counts, so a proof can leave others' out."""
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + record_digest).digest()


def digest(sealed: bytes) -> bytes:
    """The digest of a record."""
    return hashlib.sha256(sealed).digest()


def position(sealed: str) -> tuple[int, int]:
    """Where the event of a record stands in the order of commits: `(xid, id)`.

    Raises:
        ValueError: this is no record
    """
    found = orjson.loads(sealed)
    return int(found["xid"]), int(found["id"])


@dataclass(slots=True)
class _Erasure:
    """Erased events that one `audit.erased` has to answer for, in the order of the chain."""

    count: int = 0
    hasher: Any = field(default_factory=hashlib.sha256)

    def add(self, event_id: int) -> None:
        self.count += 1
        self.hasher.update(b"%d," % event_id)


def erasure_digest(event_ids: list[int]) -> str:
    """What `audit.erased` says of the events that it erased, in the order of the chain."""
    erasure = _Erasure()
    for event_id in event_ids:
        erasure.add(event_id)
    return erasure.hasher.hexdigest()


def is_erased(entry: Entry) -> bool:
    """Whether its personal text was erased, as it says itself."""
    return (
        entry["erased_by"] is not None
        and not entry["salt"]
        and '"personal":' in (entry["record"] or "")
    )


def difference(entry: Entry, workspace: str) -> Finding | None:
    """How an event differs from what was sealed of it; None where it does not.

    Of an erased event everything but its personal text is compared.
    """
    event, sealed, seq = entry["event"], entry["record"] or "", entry["seq"]
    if event is None:
        return Finding(kind="deleted", where=f"{seq}", message="The event is gone")
    name = f"event {event['id']}"
    try:
        kept = _as_json(sealed)
    except orjson.JSONDecodeError:
        message = f"What was sealed of {name} is no record"
        return Finding(kind="malformed", where=f"{seq}", message=message)
    if is_erased(entry):
        del kept["personal"]
    elif entry["erased_by"] is not None:
        message = f"{name} says that it was erased, and was not"
        return Finding(kind="text_changed", where=f"{seq}", message=message)
    raw = _made(event, workspace, entry["salt"])
    made = _as_json(raw)
    changed = sorted(key for key in {*kept, *made} if kept.get(key) != made.get(key))
    if changed == ["personal"]:
        message = f"The personal text of {name} is not what was sealed, or is gone without a word about it"
        return Finding(kind="text_changed", where=f"{seq}", message=message)
    if changed:
        message = f"{name} is not what was sealed: {', '.join(changed)}"
        return Finding(kind="changed", where=f"{seq}", message=message)
    if raw.decode() != sealed and not is_erased(entry):
        message = f"What was sealed of {name} is not in its canonical form"
        return Finding(kind="malformed", where=f"{seq}", message=message)
    return None


def _made(event: Columns, workspace: str, salt: str | None) -> bytes:
    return record(event, workspace=workspace, salt=bytes.fromhex(salt) if salt else None)


class Chain:
    """Verifies the entries of one workspace in order, in bounded memory.

    `heads` are what trusted checkpoints say: the hash of the link `seq`. `after` is where the
    entries begin: 0, or the number of a link in `heads`.
    """

    MOST_FINDINGS = 1000

    def __init__(self, workspace: UUID, heads: Mapping[int, bytes], *, after: int = 0) -> None:
        self.seq, self.hash = after, genesis(workspace)
        self.findings: list[Finding] = []
        self.dropped = 0
        self._workspace = str(workspace)
        self._heads = heads
        self._after = after
        self._covered = after
        self._position = (0, 0)
        self._latest = ""
        self._erasures: dict[int, _Erasure] = {}
        if after:
            self._begin_after(after)

    @property
    def covered(self) -> int:
        """The last link that a trusted checkpoint has confirmed."""
        return self._covered

    def feed(self, entry: Entry) -> None:
        """Take the next entry."""
        seq, said, sealed = entry["seq"], entry["hash"], entry["record"]
        if seq is None or said is None or sealed is None:
            self._inserted(entry["event"])
            return
        if seq != self.seq + 1:
            self._out_of_order(seq)
        self.seq = seq
        raw = sealed.encode()
        self.hash = self._linked(seq, raw, said)
        confirmed = self._heads.get(seq)
        if confirmed is not None:
            self._confirm(seq, confirmed)
        event = entry["event"]
        if event is None:
            self._gone(seq, sealed)
            return
        if entry["erased_by"] is not None or _made(event, self._workspace, entry["salt"]) != raw:
            self._differs(seq, sealed, entry, event)
        self._follow(seq, event)

    def end(self) -> None:
        """Say what is only known at the end: a tail that is gone, erasures nobody answers for."""
        missing = [seq for seq in self._heads if seq > self.seq]
        if missing:
            self._find(
                "truncated",
                f"{self.seq + 1}..{max(missing)}",
                f"The record ends at {self.seq}, and a checkpoint confirms {max(missing)}: "
                "its end was cut off, or an older copy was put in its place",
            )
        for event_id, erasure in self._erasures.items():
            self._find(
                "text_missing",
                f"event {event_id}",
                f"The texts of {erasure.count} events are gone, and event {event_id}, which should "
                "say so, does not exist",
            )

    # --- the chain -------------------------------------------------------------------------------

    def _begin_after(self, after: int) -> None:
        head = self._heads.get(after)
        if head is None:
            self._find(
                "not_anchored",
                f"{after + 1}",
                f"This begins after {after}, and no checkpoint says what was there",
            )
        else:
            self.hash = head

    def _linked(self, seq: int, raw: bytes, said: str) -> bytes:
        """Compute the link; one that is wrong is found once, then what it says is gone on with."""
        found = link(self.hash, seq, digest(raw))
        if found.hex() == said:
            return found
        self._find(
            "broken", f"{seq}", f"The hash of link {seq} does not follow from the one before"
        )
        try:
            return bytes.fromhex(said)
        except ValueError:
            return found

    def _confirm(self, seq: int, head: bytes) -> None:
        if head == self.hash:
            self._covered = max(self._covered, seq)
            return
        self._find(
            "rewritten",
            f"{seq}",
            f"A checkpoint confirms another history up to {seq}: the record was written anew, or "
            "is a fork",
        )

    def _out_of_order(self, seq: int) -> None:
        if seq > self.seq + 1:
            self._find("deleted", f"{self.seq + 1}..{seq - 1}", f"Links before {seq} are missing")
        else:
            self._find("reordered", f"{seq}", f"Link {seq} comes after link {self.seq}")

    # --- the events ------------------------------------------------------------------------------

    def _follow(self, seq: int, event: Columns) -> None:
        """Events stand in the order of their transactions, and time does not go back."""
        stands = (int(event["xid"]) if event["xid"].isdigit() else 0, event["id"])
        if stands <= self._position:
            self._find(
                "reordered", f"{seq}", f"Event {event['id']} was sealed after one that came later"
            )
        self._position = stands
        at = event["at"]
        if at >= self._latest:
            self._latest = at
        elif _moment(at) < _moment(self._latest) - LONGEST_WRITE:
            self._find(
                "clock_set_back",
                f"{seq}",
                f"Event {event['id']} says {at}, after one of {self._latest}",
            )
        if event["kind"] == _ERASED:
            self._answer(event)

    def _gone(self, seq: int, sealed: str) -> None:
        self._find("deleted", f"{seq}", f"The event of link {seq} is gone; its record was {sealed}")

    def _inserted(self, event: Columns | None) -> None:
        where = f"event {event['id']}" if event else "event"
        self._find(
            "inserted", where, "An event was put in behind the seals: it stands before sealed ones"
        )

    def _differs(self, seq: int, sealed: str, entry: Entry, event: Columns) -> None:
        """The columns are not what was sealed: erased with a word about it, or tampered with."""
        if is_erased(entry):
            erased_by = cast("int", entry["erased_by"])
            self._erasures.setdefault(erased_by, _Erasure()).add(event["id"])
        found = difference(entry, self._workspace)
        if found is not None:
            self._find(found.kind, f"{seq}", found.message)

    def _answer(self, event: Columns) -> None:
        """An `audit.erased` names how many events it erased, and which."""
        erasure = self._erasures.pop(event["id"], None) or _Erasure()
        detail = event["detail"]
        said = (detail.get("count"), detail.get("digest"))
        if said != (erasure.count, erasure.hasher.hexdigest()):
            self._find(
                "text_missing",
                f"event {event['id']}",
                f"It says that the texts of {said[0]} events were erased; those that are gone are "
                f"{erasure.count}, and not the same ones",
            )

    def _find(self, kind: str, where: str, message: str) -> None:
        if len(self.findings) < self.MOST_FINDINGS:
            self.findings.append(Finding(kind=kind, where=where, message=message))
        else:
            self.dropped += 1


def _moment(at: str) -> datetime:
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return datetime.fromisoformat("0001-01-02T00:00:00Z")


def _as_json(raw: bytes | str) -> dict[str, Any]:
    return cast("dict[str, Any]", orjson.loads(raw))
