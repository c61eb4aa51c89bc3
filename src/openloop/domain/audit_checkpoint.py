"""Checkpoints: signed statements of how far the record went, kept where its database is not.

They are numbered without gaps and each names the one before, so none can be left out. One that
carries a public key makes it the signing key from then on; it is signed by the key before, and the
first of all by itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from openloop.domain.audit_chain import Finding
from openloop.domain.audit_record import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DOMAIN = b"openloop audit checkpoint 1\0"
"""Signed with every statement, so that no signature can be passed off as one of something else."""

MOST_SKEW = timedelta(seconds=300)
"""How far the signer's own clock may be from the database's."""

LONGEST_DOCUMENT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The record of a workspace up to link `seq`, whose hash is `head` (hexadecimal).

    `at` is the database's clock, `signed_at` the signer's own. `previous` is the digest of the
    checkpoint before. `public_key` is empty, or the key that signs from the next one on.
    """

    workspace: str
    number: int
    previous: str
    seq: int
    head: str
    at: str
    signed_at: str
    key: str
    public_key: str = ""

    @property
    def next_key(self) -> str:
        """The id of the key that signs the next checkpoint."""
        return key_id(bytes.fromhex(self.public_key)) if self.public_key else self.key

    def statement(self) -> bytes:
        """The bytes that are signed."""
        return canonical(asdict(self))

    def digest(self) -> str:
        """What the next one names as `previous`."""
        return hashlib.sha256(self.statement()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A checkpoint and its signature."""

    checkpoint: Checkpoint
    signature: bytes

    def document(self) -> str:
        """One line of canonical JSON: what is kept everywhere."""
        text = {"checkpoint": asdict(self.checkpoint), "signature": self.signature.hex()}
        return canonical(text).decode()


class SigningKey:
    """An Ed25519 key of the installation."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.id = key_id(self.public_key)

    @staticmethod
    def new() -> SigningKey:
        """A key nobody has seen."""
        return SigningKey(Ed25519PrivateKey.generate())

    @staticmethod
    def read(text: str) -> SigningKey:
        """The key that `write` wrote.

        Raises:
            ValueError
        """
        return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text.strip())))

    def write(self) -> str:
        """The secret half, for a file that only its owner may read."""
        return self._private.private_bytes_raw().hex() + "\n"

    def sign(self, checkpoint: Checkpoint) -> Signed:
        """Vouch for a checkpoint."""
        signature = self._private.sign(DOMAIN + checkpoint.statement())
        return Signed(checkpoint=checkpoint, signature=signature)


def key_id(public_key: bytes) -> str:
    """The name of a public key: what a person compares."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def parse(document: str) -> Signed:
    """The checkpoint that `document` wrote.

    Raises:
        ValueError: it is none, or not in the one form it can have
    """
    if len(document) > LONGEST_DOCUMENT:
        message = "This is too long for a checkpoint"
        raise ValueError(message)
    read = cast("dict[str, Any]", orjson.loads(document))
    try:
        found = Signed(
            checkpoint=Checkpoint(**read["checkpoint"]), signature=bytes.fromhex(read["signature"])
        )
        is_exact = found.document() == document.strip() and _is_well_formed(found.checkpoint)
    except (TypeError, KeyError, AttributeError) as error:
        message = "This is no checkpoint"
        raise ValueError(message) from error
    if not is_exact:
        message = "This is no checkpoint in its canonical form"
        raise ValueError(message)
    return found


def _is_well_formed(checkpoint: Checkpoint) -> bool:
    UUID(checkpoint.workspace)
    datetime.fromisoformat(checkpoint.at)
    datetime.fromisoformat(checkpoint.signed_at)
    return (
        type(checkpoint.number) is int
        and checkpoint.number >= 1
        and type(checkpoint.seq) is int
        and checkpoint.seq >= 0
        and len(bytes.fromhex(checkpoint.head)) == 32
        and len(bytes.fromhex(checkpoint.public_key)) in (0, 32)
    )


def is_signed_by(signed: Signed, public_key: bytes) -> bool:
    """Whether the holder of this key vouches for it."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signed.signature, DOMAIN + signed.checkpoint.statement()
        )
    except InvalidSignature:
        return False
    return True


class Checkpoints:
    """Verifies the checkpoints of one workspace, in order.

    `pins` are the ids of keys that somebody has compared: where there are any, every key that no
    other key introduced has to be one of them.
    """

    def __init__(self, workspace: UUID, *, source: str, pins: Collection[str] = ()) -> None:
        self.findings: list[Finding] = []
        self.heads: dict[int, bytes] = {}
        self.digests: dict[int, str] = {}
        self.last: Checkpoint | None = None
        self.keys: dict[str, bytes] = {}
        self.roots: list[str] = []
        self._workspace = str(workspace)
        self._source = source
        self._pins = pins

    def feed(self, document: str) -> None:
        """Take the next checkpoint; one that is not genuine confirms nothing."""
        try:
            signed = parse(document)
        except ValueError as error:
            after = self.last.number if self.last else 0
            self._find("checkpoint_malformed", after + 1, str(error))
            return
        checkpoint, last = signed.checkpoint, self.last
        if checkpoint.workspace != self._workspace:
            self._find("checkpoint_malformed", checkpoint.number, "It is another workspace's")
            return
        if not self._is_genuine(signed):
            return
        self._follow(checkpoint, last)
        self.last = checkpoint
        self.digests[checkpoint.number] = checkpoint.digest()
        self.heads[checkpoint.seq] = bytes.fromhex(checkpoint.head)

    def _is_genuine(self, signed: Signed) -> bool:
        checkpoint, last = signed.checkpoint, self.last
        introduced = bytes.fromhex(checkpoint.public_key)
        is_own = bool(introduced) and key_id(introduced) == checkpoint.key
        is_root = is_own and checkpoint.key not in self.keys
        public_key = introduced if is_root else self.keys.get(checkpoint.key)
        if public_key is None or not is_signed_by(signed, public_key):
            self._find(
                "checkpoint_forged",
                checkpoint.number,
                f"Its signature is not that of key {checkpoint.key}",
            )
            return False
        if is_root and not self._may_begin(checkpoint, last):
            return False
        if not is_root and last is not None and checkpoint.key != last.next_key:
            self._find(
                "checkpoint_forged",
                checkpoint.number,
                f"It is signed by key {checkpoint.key}, which was followed by {last.next_key}",
            )
            return False
        if is_root:
            self.roots.append(checkpoint.key)
        if introduced:
            self.keys[key_id(introduced)] = introduced
        return True

    def _may_begin(self, checkpoint: Checkpoint, last: Checkpoint | None) -> bool:
        """A key that no other introduced: the first of all, or one that somebody has compared."""
        if checkpoint.key in self._pins or (last is None and not self._pins):
            return True
        why = (
            "which is not the one you trust"
            if last is None
            else "which the key before did not introduce"
        )
        self._find("key_replaced", checkpoint.number, f"It brings key {checkpoint.key}, {why}")
        return False

    def _follow(self, checkpoint: Checkpoint, last: Checkpoint | None) -> None:
        number = checkpoint.number
        expected = last.number + 1 if last else 1
        if number != expected:
            self._find("checkpoint_missing", number, f"It comes where {expected} is expected")
        elif last is not None and checkpoint.previous != last.digest():
            self._find("checkpoint_fork", number, "It follows another one than the one before it")
        if last is not None and checkpoint.seq < last.seq:
            self._find(
                "checkpoint_fork",
                number,
                f"It goes up to {checkpoint.seq}, {last.seq} was confirmed",
            )
        at, signed_at = map(datetime.fromisoformat, (checkpoint.at, checkpoint.signed_at))
        if abs(at - signed_at) > MOST_SKEW:
            self._find(
                "clock_set_back",
                number,
                f"The database said {checkpoint.at} when the signer's clock said {checkpoint.signed_at}",
            )
        if last is not None and at < datetime.fromisoformat(last.at):
            self._find("clock_set_back", number, f"It says {checkpoint.at}, after one of {last.at}")

    def _find(self, kind: str, number: int, message: str) -> None:
        where = f"checkpoint {number} of {self._source}"
        self.findings.append(Finding(kind=kind, where=where, message=message))


def lacking(elsewhere: Mapping[str, Checkpoints], ours: Checkpoints) -> list[Finding]:
    """The first checkpoint of each other place that the database does not have."""
    findings: list[Finding] = []
    for source, theirs in elsewhere.items():
        missing = [number for number in theirs.digests if number not in ours.digests]
        if missing:
            findings.append(
                Finding(
                    kind="rolled_back",
                    where=f"checkpoint {min(missing)} of {source}",
                    message="The database does not have it: an older copy of the database was put "
                    "in its place, or it was removed",
                )
            )
    return findings


def differing(places: Mapping[str, Checkpoints]) -> list[Finding]:
    """The first checkpoint of which two places have different ones: there are two histories."""
    findings: list[Finding] = []
    sources = sorted(places)
    for index, one in enumerate(sources):
        for other in sources[index + 1 :]:
            mine, theirs = places[one].digests, places[other].digests
            found = [number for number in mine if theirs.get(number, mine[number]) != mine[number]]
            if found:
                findings.append(
                    Finding(
                        kind="checkpoint_fork",
                        where=f"checkpoint {min(found)}",
                        message=f"{one} and {other} have different ones",
                    )
                )
    return findings
