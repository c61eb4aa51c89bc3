"""How a stored secret is sealed.

It has a data key of its own (AES-256-GCM), and that key is wrapped by the master key of the
installation, which the database never sees. Workspace, name and version are authenticated with both,
so that a row which is moved or renamed by hand does not open.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openloop.domain.secret import SecretRefused

if TYPE_CHECKING:
    from openloop.domain.ids import WorkspaceId

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_PURPOSE: Final = "openloop-secret-1"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """What wraps the data keys. Its id is a hash of it and is no secret."""

    secret: bytes = field(repr=False)

    @staticmethod
    def new() -> MasterKey:
        """A key of 256 random bits."""
        return MasterKey(secrets.token_bytes(_KEY_BYTES))

    @staticmethod
    def read(line: str) -> MasterKey:
        """The key that `write` wrote. Raises ValueError."""
        secret = urlsafe_b64decode(line.strip().encode("ascii"))
        if len(secret) != _KEY_BYTES:
            message = f"a master key has {_KEY_BYTES} bytes"
            raise ValueError(message)
        return MasterKey(secret)

    def write(self) -> str:
        """One line of text."""
        return urlsafe_b64encode(self.secret).decode("ascii")

    @property
    def id(self) -> str:
        """Which key a row was wrapped by."""
        return sha256(b"openloop-master-key-1" + self.secret).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A stored secret as its row says: nothing of it can be read without the master key."""

    name: str
    version: int
    key_id: str
    wrapped_key: bytes
    sealed_value: bytes


def seal(
    value: str, key: MasterKey, *, workspace: WorkspaceId, name: str, version: int
) -> SealedSecret:
    """Encrypt a value under a new data key."""
    data_key = AESGCM.generate_key(bit_length=8 * _KEY_BYTES)
    about = _about(workspace, name, version)
    return SealedSecret(
        name=name,
        version=version,
        key_id=key.id,
        wrapped_key=_encrypt(key.secret, data_key, about),
        sealed_value=_encrypt(data_key, value.encode(), about),
    )


def unseal(sealed: SealedSecret, key: MasterKey, *, workspace: WorkspaceId) -> str:
    """The value.

    Raises:
        SecretRefused: the row is not the one that was written here under this name
    """
    about = _about(workspace, sealed.name, sealed.version)
    try:
        data_key = _decrypt(key.secret, sealed.wrapped_key, about)
        return _decrypt(data_key, sealed.sealed_value, about).decode()
    except (InvalidTag, ValueError) as error:
        raise SecretRefused(_not_ours(sealed.name)) from error


def rewrap(
    sealed: SealedSecret, old: MasterKey, new: MasterKey, *, workspace: WorkspaceId
) -> SealedSecret:
    """The same secret with its data key wrapped by another master key; the value is not decrypted.

    Raises:
        SecretRefused: the row is not the one that was written here under this name
    """
    about = _about(workspace, sealed.name, sealed.version)
    try:
        data_key = _decrypt(old.secret, sealed.wrapped_key, about)
    except (InvalidTag, ValueError) as error:
        raise SecretRefused(_not_ours(sealed.name)) from error
    return SealedSecret(
        name=sealed.name,
        version=sealed.version,
        key_id=new.id,
        wrapped_key=_encrypt(new.secret, data_key, about),
        sealed_value=sealed.sealed_value,
    )


def _about(workspace: WorkspaceId, name: str, version: int) -> bytes:
    # A name has no bar, so no two triples are written alike.
    return f"{_PURPOSE}|{workspace}|{name}|{version}".encode()


def _encrypt(key: bytes, text: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, about)


def _decrypt(key: bytes, sealed: bytes, about: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)


def _not_ours(name: str) -> str:
    return (
        f"the stored secret {name!r} does not open: its row was changed, or belongs to another "
        "workspace or name; set it again with `openloop secrets set`"
    )
