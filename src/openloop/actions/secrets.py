"""Stored secrets: set, deleted, and wrapped by a new master key; a value is never on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from openloop.domain.errors import Conflict, NotFound
from openloop.domain.sealed_secret import rewrap, seal, unseal
from openloop.domain.secret import SecretRefused, check_name, check_value
from openloop.storage import agents, audit, renewals, secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.audit import Who
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.sealed_secret import MasterKey
    from openloop.storage.database import Database, Transaction


class KeyRing(Protocol):
    """The master keys of the installation, newest last, in a file of their own."""

    def newest(self) -> MasterKey:
        """The key to seal with, made where there is none."""
        ...

    def by_id(self) -> Mapping[str, MasterKey]:
        """Every key that rows may be wrapped by."""
        ...


class TooManySecrets(Conflict):
    """A workspace has as many stored secrets as it may have."""

    code = "too_many_secrets"


async def set_secret(
    database: Database, workspace: WorkspaceId, name: str, value: str, *, keys: KeyRing, by: Who
) -> int:
    """Keep a value under a name, in the place of the one before; its version.

    Raises:
        SecretRefused, TooManySecrets
    """
    check_name(name)
    check_value(value)
    async with database.transaction(workspace) as tx:
        await secrets.hold_off_rotation(tx)
        version = await secrets.lock_version(tx, workspace, name) + 1
        if version == 1 and await secrets.count(tx) >= secrets.MOST:
            raise TooManySecrets(f"There are {secrets.MOST} secrets, and no more can be kept")
        # Read only now: an older key may be thrown away by a rotation that we do not hold off yet.
        key = keys.newest()
        sealed = seal(value, key, workspace=workspace, name=name, version=version)
        await secrets.put(tx, workspace, sealed, by=by)
        await audit.append(
            tx, workspace, "secret.set", actor=by, name=name, version=version, key=key.id
        )
    return version


async def delete_secret(database: Database, workspace: WorkspaceId, name: str, *, by: Who) -> None:
    """Forget a secret.

    Raises:
        NotFound
    """
    async with database.transaction(workspace) as tx:
        if not await secrets.delete(tx, name):
            raise NotFound(f"No stored secret {name!r}")
        await audit.append(tx, workspace, "secret.deleted", actor=by, name=name)


async def rewrap_all(database: Database, *, keys: KeyRing, by: Who) -> int:
    """Wrap every secret of every workspace by the newest master key; how many were not yet.

    A rotation that broke off goes on where it stopped. The values are not decrypted.

    Raises:
        SecretRefused: a key is missing, or a row was changed; nothing of its workspace is rewrapped
    """
    newest, known = keys.newest(), keys.by_id()
    async with database.directory() as tx:
        workspaces = await agents.list_workspaces(tx)
    rewrapped = 0
    for workspace in workspaces:
        async with database.transaction(workspace.id) as tx:
            await secrets.await_sealing(tx)
            found = await secrets.list_wrapped_otherwise(tx, newest.id)
            for sealed in found:
                old = key_of(sealed.key_id, known, name=sealed.name)
                await secrets.rewrap(tx, rewrap(sealed, old, newest, workspace=workspace.id))
            await _rewrap_logins(tx, workspace.id, newest, known)
            if found:
                names = [sealed.name for sealed in found]
                await audit.append(
                    tx, workspace.id, "secret.rewrapped", actor=by, names=names, key=newest.id
                )
        rewrapped += len(found)
    return rewrapped


async def _rewrap_logins(
    tx: Transaction, workspace: WorkspaceId, newest: MasterKey, known: Mapping[str, MasterKey]
) -> None:
    """The same for what logins are vouched for again with; one that does not open is let go."""
    await renewals.forget_over(tx)
    while found := await renewals.list_wrapped_otherwise(tx, newest.id, limit=secrets.MOST):
        for sealed in found:
            try:
                old = key_of(sealed.key_id, known, name=sealed.name)
                await renewals.rewrap(tx, rewrap(sealed, old, newest, workspace=workspace))
            except SecretRefused:
                await renewals.forget(tx, sealed)


async def read_secrets(
    database: Database, workspace: WorkspaceId, names: Sequence[str], *, keys: KeyRing
) -> tuple[dict[str, str], dict[str, str]]:
    """The values of stored secrets, and what is wrong with those that cannot be read, by name."""
    values: dict[str, str] = {}
    problems: dict[str, str] = {}
    known = keys.by_id()
    async with database.transaction(workspace) as tx:
        for name in names:
            sealed = await secrets.find(tx, name)
            try:
                if sealed is None:
                    problems[name] = (
                        f"there is no stored secret {name!r}: openloop secrets set {name}"
                    )
                else:
                    key = key_of(sealed.key_id, known, name=name)
                    values[name] = unseal(sealed, key, workspace=workspace)
            except SecretRefused as refused:
                problems[name] = str(refused)
    return values, problems


def key_of(key_id: str, known: Mapping[str, MasterKey], *, name: str) -> MasterKey:
    """The master key that wraps a secret.

    Raises:
        SecretRefused: this installation does not have it
    """
    if key_id not in known:
        message = (
            f"the stored secret {name!r} is wrapped by the master key {key_id}, which this "
            "installation does not have: look at OPENLOOP_SECRETS_KEY, or set the secret again"
        )
        raise SecretRefused(message)
    return known[key_id]
