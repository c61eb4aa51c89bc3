"""Logins vouched for again while they last: kept as they are, regrouped, or ended with their person.

The secret for asking is sealed in the database (actions.secrets); it is opened by the process that
asks, and is on no record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions import offboarding
from openloop.actions.secrets import key_of
from openloop.domain.audit import SYSTEM
from openloop.domain.login import OIDC, NotVouchedFor, Renewal
from openloop.domain.sealed_secret import seal, unseal
from openloop.domain.secret import SecretRefused
from openloop.storage import audit, logins, principals, renewals, secrets

if TYPE_CHECKING:
    from openloop.actions.configuration import Configuration
    from openloop.actions.secrets import KeyRing
    from openloop.domain.ids import LoginId, WorkspaceId
    from openloop.domain.login import Vouched, VouchedAgain
    from openloop.storage.database import Database, Transaction
    from openloop.storage.renewals import Due


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A login to ask about, with what to ask with; None where that cannot be opened any more."""

    due: Due
    renewal: Renewal | None


async def keep(
    tx: Transaction,
    workspace: WorkspaceId,
    id: LoginId,
    renewal: Renewal,
    *,
    version: int,
    keys: KeyRing,
) -> None:
    """Seal what a provider gave along with a login; the transaction has to hold off rotations."""
    sealed = seal(
        renewal.secret,
        keys.newest(),
        workspace=workspace,
        name=renewals.name_of(id),
        version=version,
    )
    await renewals.put(tx, id, sealed, outlives=renewal.outlives)


async def take_due(database: Database, workspace: WorkspaceId, *, keys: KeyRing) -> list[Asked]:
    """The logins to ask about now; whoever takes one asks, and nobody else."""
    async with database.transaction(workspace) as tx:
        await renewals.forget_over(tx)
        due = await renewals.take_due(tx)
    if not due:
        return []
    known, taken = keys.by_id(), list[Asked]()
    for each in due:
        try:
            key = key_of(each.key_id, known, name=each.sealed.name)
            secret = unseal(each.sealed, key, workspace=workspace)
        except SecretRefused:
            taken.append(Asked(due=each, renewal=None))
        else:
            taken.append(Asked(due=each, renewal=Renewal(secret=secret, outlives=each.outlives)))
    return taken


async def vouched(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    due: Due,
    again: VouchedAgain,
    *,
    keys: KeyRing,
) -> None:
    """Go on with a login that the provider vouches for, by the groups of now.

    Raises:
        NotVouchedFor: it is somebody else's now, or they have no role here any more; the login is over
    """
    async with database.transaction(workspace) as tx:
        # First of all: a rotation holds rows that we want, and waits for whoever holds it off.
        await secrets.hold_off_rotation(tx)
        problem = await _problem(tx, configuration, due, again.said)
        if problem is None:
            await _go_on(tx, workspace, due, again, keys=keys)
            return
        await _end(tx, workspace, due, why=problem)
    raise NotVouchedFor(problem)


async def _problem(
    tx: Transaction, configuration: Configuration, due: Due, said: Vouched | None
) -> str | None:
    if said is None:
        return None
    known = await principals.find_any_by_identity(
        tx, surface=OIDC, tenant=said.issuer, external_id=said.subject
    )
    if known is None or known.id != due.principal_id:
        return "The identity provider vouches for somebody else by now"
    if not said.email_verified:
        return "Your identity provider does not say that your e-mail address is verified"
    manifest = await configuration.workspace(tx)
    if known.roles or (manifest and manifest.spec.access.login.granted(said.groups)):
        return None
    return "You have no role in this workspace any more"


async def _go_on(
    tx: Transaction, workspace: WorkspaceId, due: Due, again: VouchedAgain, *, keys: KeyRing
) -> None:
    groups = due.groups if again.said is None else tuple(sorted(again.said.groups))
    if not await renewals.vouched(tx, due.id, groups=groups):
        return
    await keep(tx, workspace, due.id, again.renewal, version=due.version + 1, keys=keys)
    if set(groups) != set(due.groups):
        await audit.append(
            tx,
            workspace,
            "login.regrouped",
            actor=SYSTEM,
            subject=due.id,
            before=list(due.groups),
            after=list(groups),
        )


async def refused(database: Database, workspace: WorkspaceId, due: Due, *, why: str) -> None:
    """The provider does not vouch for a login any more.

    Where that means its person they have left until they log in again. It may mean no more than the
    end of their stay there, or that what was asked with was used up by an attempt that broke off.
    """
    if due.outlives and not due.was_tried:
        await offboarding.refused_by_provider(database, workspace, due.principal_id, why=why)
        return
    async with database.transaction(workspace) as tx:
        await _end(tx, workspace, due, why=why)


async def _end(tx: Transaction, workspace: WorkspaceId, due: Due, *, why: str) -> None:
    ended = await logins.end_of(tx, due.principal_id)
    await audit.append(
        tx,
        workspace,
        "login.refused",
        actor=SYSTEM,
        subject=due.principal_id,
        reason=why,
        ended=ended,
    )
