"""Verifying a whole record: its entries, its checkpoints, and those that were kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.audit_chain import Chain, Finding
from openloop.domain.audit_checkpoint import Checkpoints, differing, lacking

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from uuid import UUID

    from openloop.domain.audit_chain import Entry

OURS = "the database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found. `covered` is the last link that a checkpoint confirms.

    `root_keys` are those that no other key introduced: what a person compares. `keys` signed last.
    `elsewhere` is how many checkpoints of other places were compared: with none of them, whoever
    could rewrite the whole database is not found.
    """

    events: int
    seq: int
    covered: int
    elsewhere: int
    root_keys: tuple[str, ...]
    keys: tuple[str, ...]
    findings: tuple[Finding, ...]
    more_findings: int = 0

    @property
    def is_well(self) -> bool:
        """True where nothing was found."""
        return not self.findings


def verify(
    workspace: UUID,
    entries: Iterable[Entry],
    *,
    ours: Iterable[str] | None = None,
    elsewhere: Mapping[str, Iterable[str]] | None = None,
    pins: Collection[str] = (),
    after: int = 0,
) -> Verified:
    """Hold a record against itself and against every checkpoint.

    `ours` are the checkpoints that come with the record, and None where there are none to compare;
    `elsewhere` those of other places, which are believed rather than ours. `pins` are ids of keys
    that somebody has compared.
    """
    mine = _read(workspace, OURS, ours or (), pins)
    theirs = {
        source: _read(workspace, source, documents, pins)
        for source, documents in (elsewhere or {}).items()
    }
    heads: dict[int, bytes] = dict(mine.heads)
    for each in theirs.values():
        heads.update(each.heads)
    chain = Chain(workspace, heads, after=after)
    events = 0
    for entry in entries:
        events += entry["seq"] is not None
        chain.feed(entry)
    chain.end()
    findings = [*mine.findings, *(f for each in theirs.values() for f in each.findings)]
    if ours is not None:
        findings += lacking(theirs, mine)
    findings += differing({OURS: mine, **theirs})
    keys = {checkpoint.key for each in (mine, *theirs.values()) if (checkpoint := each.last)}
    return Verified(
        events=events,
        seq=chain.seq,
        covered=chain.covered,
        elsewhere=sum(len(each.digests) for each in theirs.values()),
        root_keys=tuple(sorted({root for each in (mine, *theirs.values()) for root in each.roots})),
        keys=tuple(sorted(keys)),
        findings=(*findings, *chain.findings),
        more_findings=chain.dropped,
    )


def _read(
    workspace: UUID, source: str, documents: Iterable[str], pins: Collection[str]
) -> Checkpoints:
    checkpoints = Checkpoints(workspace, source=source, pins=pins)
    for document in documents:
        checkpoints.feed(document)
    return checkpoints
