"""The explanation of a run as one bundle that can be verified without the database it came from.

Events are proved: their records hash, over the digests of everybody else's, to the head of a signed
checkpoint. The manifest and the approved bytes are proved by what events say of them. Everything else
is what the database said when the bundle was made, held against the events.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from openloop.domain import manifest
from openloop.domain.audit_agreement import disagreements
from openloop.domain.audit_chain import Entry, Finding, difference, digest, genesis, link
from openloop.domain.audit_checkpoint import is_signed_by, key_id, parse
from openloop.domain.audit_effects import ApprovalFact, EventFact, OpFact, RunFacts, StepFact, check
from openloop.domain.audit_record import canonical
from openloop.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from openloop.domain.audit_checkpoint import Checkpoint

FORMAT = "openloop-run/1"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A piece of the chain up to a checkpoint: `digests` of the records from link `first` on."""

    first: int
    previous: str
    digests: tuple[str, ...]
    checkpoint: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """What a bundle is worth. `unproved` are events that no checkpoint in it covers yet."""

    run_id: str
    proved: int
    unproved: int
    root_keys: tuple[str, ...]
    checkpoints: tuple[int, ...]
    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """True where nothing was found."""
        return not self.findings


def verify_bundle(bundle: Json, *, pins: Collection[str] = ()) -> Proved:
    """Hold a bundle against itself, its checkpoints and (`pins`) keys that somebody has compared.

    Raises:
        Invalid: it is no bundle
    """
    if bundle.get("format") != FORMAT:
        message = f"This is no explanation of a run: its format is not {FORMAT!r}"
        raise Invalid(message, code="bundle_malformed")
    try:
        return _verify(bundle, pins)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        message = f"The bundle is damaged: {type(error).__name__} {error}"
        raise Invalid(message, code="bundle_malformed") from error


def _verify(bundle: Json, pins: Collection[str]) -> Proved:
    workspace = UUID(bundle["workspace"])
    checkpoints, findings, roots = _genuine(workspace, bundle["checkpoints"], pins)
    digests: dict[int, str] = {}
    for each in bundle["proofs"]:
        proof = Proof(**each)
        found = _fold(workspace, proof, checkpoints)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            digests |= found
    proved = unproved = 0
    attesting = (bundle["applied"], *(each["applied"] for each in bundle["governing"]))
    entries: list[Entry] = [*bundle["events"], *filter(None, attesting)]
    for entry in entries:
        if entry["seq"] is None or entry["seq"] not in digests:
            unproved += 1
        elif digest((entry["record"] or "").encode()).hex() != digests[entry["seq"]]:
            findings.append(_found("broken", entry, "Its record is not the one in the chain"))
        else:
            proved += 1
        if entry["seq"] is not None and (wrong := difference(entry, bundle["workspace"])):
            findings.append(wrong)
    findings += [*_revisions(bundle), *_approvals(bundle)]
    findings += [*disagreements(bundle), *check(_facts(bundle))]
    return Proved(
        run_id=bundle["run"]["id"],
        proved=proved,
        unproved=unproved,
        root_keys=tuple(roots),
        checkpoints=tuple(sorted(checkpoints)),
        findings=tuple(findings),
    )


def _found(kind: str, entry: Entry, message: str) -> Finding:
    event = entry["event"]
    return Finding(
        kind=kind, where=f"event {event['id'] if event else entry['seq']}", message=message
    )


# --- checkpoints and chain -------------------------------------------------------------------------


def _genuine(
    workspace: UUID, documents: Sequence[str], pins: Collection[str]
) -> tuple[dict[int, Checkpoint], list[Finding], list[str]]:
    """The checkpoints whose signatures hold. Between those that bring keys, others are left out."""
    keys: dict[str, bytes] = {}
    roots: list[str] = []
    found: dict[int, Checkpoint] = {}
    findings: list[Finding] = []
    for document in documents:
        signed = parse(document)
        checkpoint = signed.checkpoint
        where = f"checkpoint {checkpoint.number}"
        introduced = bytes.fromhex(checkpoint.public_key)
        is_root = (
            bool(introduced)
            and key_id(introduced) == checkpoint.key
            and not keys.get(checkpoint.key)
        )
        public_key = introduced if is_root else keys.get(checkpoint.key)
        genuine = public_key is not None and is_signed_by(signed, public_key)
        if not genuine or checkpoint.workspace != str(workspace):
            message = f"Its signature is not that of key {checkpoint.key}"
            findings.append(Finding(kind="checkpoint_forged", where=where, message=message))
            continue
        if is_root:
            roots.append(checkpoint.key)
            if (keys or pins) and checkpoint.key not in pins:
                message = f"Key {checkpoint.key} is not one that you trust"
                findings.append(Finding(kind="key_replaced", where=where, message=message))
        if introduced:
            keys[key_id(introduced)] = introduced
        found[checkpoint.number] = checkpoint
    return found, findings, roots


def _fold(
    workspace: UUID, proof: Proof, checkpoints: dict[int, Checkpoint]
) -> dict[int, str] | Finding:
    """The digests of a piece of the chain by their numbers, if it ends in what was signed."""
    where = f"links from {proof.first}"
    checkpoint = checkpoints.get(proof.checkpoint)
    if checkpoint is None:
        return Finding(kind="broken", where=where, message="Its checkpoint is not in the bundle")
    previous = genesis(workspace) if proof.first == 1 else bytes.fromhex(proof.previous)
    for number, each in enumerate(proof.digests, proof.first):
        previous = link(previous, number, bytes.fromhex(each))
    last = proof.first + len(proof.digests) - 1
    if last != checkpoint.seq or previous.hex() != checkpoint.head:
        message = f"It does not end in what checkpoint {checkpoint.number} confirms"
        return Finding(kind="broken", where=where, message=message)
    return dict(enumerate(proof.digests, proof.first))


# --- what the events attest ------------------------------------------------------------------------


def _manifest(revision: Json, applied: Entry | None, where: str) -> Iterator[Finding]:
    """A manifest is what its digest is of, and an event says that it was applied."""
    try:
        made = manifest.digest(manifest.load(revision["source"], name="manifest").manifest)
    except Invalid:
        message = "This release cannot read the manifest, so its digest was not compared"
        yield Finding(kind="manifest_unread", where=where, message=message)
    else:
        if made != revision["digest"]:
            yield Finding(
                kind="changed", where=where, message="The manifest is not what was applied"
            )
    event = applied["event"] if applied is not None else None
    if event is None or event["detail"].get("digest") != revision["digest"]:
        message = "The audit does not say that this manifest was applied"
        yield Finding(kind="effect_unrecorded", where=where, message=message)


def _revisions(bundle: Json) -> Iterator[Finding]:
    for each in bundle["governing"]:
        made = each["manifest"]
        yield from _manifest(made, each["applied"], f"{made['kind']} revision {made['number']}")
    revision = bundle["revision"]
    where = f"revision {revision['number']}"
    yield from _manifest(revision, bundle["applied"], where)
    begun = [
        entry["event"]["detail"].get("revision")
        for entry in bundle["events"]
        if entry["event"] and entry["event"]["kind"] == "run.started"
    ]
    if begun != [revision["id"]] and (begun or bundle["run"]["started_at"]):
        message = "The audit does not say that the run began under this revision"
        yield Finding(kind="changed", where=where, message=message)


def _approvals(bundle: Json) -> Iterator[Finding]:
    for approval in bundle["approvals"]:
        bound = {key: approval[key] for key in ("tool", "arguments", "preconditions")}
        if hashlib.sha256(canonical(bound)).hexdigest() != approval["hash"]:
            yield Finding(
                kind="changed",
                where=f"approval {approval['id']}",
                message="The bytes are not those that its hash is of",
            )


def _facts(bundle: Json) -> RunFacts:
    return RunFacts(
        id=bundle["run"]["id"],
        state=bundle["run"]["state"],
        steps=[
            StepFact(
                seq=step["seq"],
                name=step["name"],
                effect=step["effect"] or "",
                state=step["state"],
                outcome=_outcome(step),
            )
            for step in bundle["steps"]
            if step["effect"] in ("write", "destroy")
        ],
        approvals=[
            ApprovalFact(
                id=approval["id"],
                step_seq=approval["step_seq"],
                hash=approval["hash"],
                state=approval["state"],
                is_parked=bool(approval["parked"]),
                card=approval["card_id"],
            )
            for approval in bundle["approvals"]
        ],
        ops=[
            OpFact(id=sent["id"], op=sent["op"]["op"], approval_id=sent["approval_id"], xid=None)
            for sent in bundle["messages"]
        ],
        events=[
            _event(cast("Json", entry["event"])) for entry in bundle["events"] if entry["event"]
        ],
    )


def _outcome(step: Json) -> str:
    output = cast("Json", step["output"] or {})
    return str(output.get("outcome") or "")


def _event(event: Json) -> EventFact:
    detail = event["detail"]
    step = detail.get("step")
    return EventFact(
        id=event["id"],
        xid=event["xid"],
        kind=event["kind"],
        subject=event["subject"],
        step=step if isinstance(step, int) else None,
        hash=str(detail.get("hash") or ""),
        outcome=str(detail.get("outcome") or ""),
    )
