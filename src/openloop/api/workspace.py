"""The workspace's own manifest: its revisions, going back to one, and what is in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge
from fastapi import APIRouter
from pydantic import Strict

from openloop.actions import rollback
from openloop.actions.manifests import Proposal
from openloop.api.authentication import Configuring, Seeing, who
from openloop.api.kit import Kit
from openloop.api.manifests import ManifestResults, is_owner
from openloop.api.paging import STRICT_BODY, Limit, Page, position
from openloop.domain.effective import EffectiveValue, effective
from openloop.domain.errors import NotFound
from openloop.domain.ids import ChangeId, PrincipalId, RevisionId
from openloop.domain.manifest import load
from openloop.storage import agents, principals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openloop.domain.principal import Caller
    from openloop.storage.database import Transaction

router = APIRouter(prefix="/api/v1/workspace", tags=["workspace"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceRevisionAnswer:
    """One applied Workspace manifest. With a `change_id` it widened rights and was approved."""

    id: RevisionId
    number: int
    source: str
    digest: str
    applied_at: datetime
    applied_by: str
    origin: str
    change_id: ChangeId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """Which revision; without a number the one before the live one."""

    __pydantic_config__ = STRICT_BODY

    number: Annotated[int, Strict(), Ge(1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """Every value in force, and where it comes from."""

    revision: int
    values: tuple[EffectiveValue, ...]


@router.get("/revisions", operation_id="list_workspace_revisions")
async def list_workspace_revisions(
    kit: Kit, caller: Seeing, *, limit: Limit = 50
) -> Page[WorkspaceRevisionAnswer]:
    """The newest revisions first."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await agents.list_workspace_revisions(tx, limit=limit)
        names = await names_of(tx, (revision.applied_by for revision in found))
    items = [
        WorkspaceRevisionAnswer(
            id=revision.id,
            number=revision.number,
            source=revision.source,
            digest=revision.digest,
            applied_at=revision.applied_at,
            applied_by=names[revision.applied_by],
            origin=revision.origin,
            change_id=revision.change_id,
        )
        for revision in found
    ]
    return Page(items=tuple(items), next_cursor=None, as_of=as_of)


@router.get("/effective", operation_id="get_effective_workspace")
async def get_effective_workspace(kit: Kit, caller: Seeing) -> Effective:
    """What is in force for everybody, and where each value comes from."""
    async with kit.database.transaction(caller.workspace) as tx:
        live = await agents.find_workspace_revision(tx)
    if live is None:
        raise NotFound("No Workspace manifest was ever applied")
    return Effective(
        revision=live.number, values=effective(load(live.source, name="the live workspace"))
    )


@router.post("/rollback", operation_id="roll_back_workspace")
async def roll_back_workspace(kit: Kit, caller: Configuring, body: RollBack) -> ManifestResults:
    """Apply an earlier Workspace manifest again; one that widens rights waits for an approval."""
    applied = await rollback.roll_back_workspace(
        kit.database,
        caller.workspace,
        body.number,
        world=kit.world,
        proposal=proposal_of(caller),
    )
    return ManifestResults(results=tuple(applied))


def proposal_of(caller: Caller) -> Proposal:
    """A proposal of whoever calls."""
    return Proposal(by=caller.principal, who=who(caller), may_begin=is_owner(caller))


async def names_of(tx: Transaction, ids: Iterable[PrincipalId]) -> Mapping[PrincipalId, str]:
    """The names of principals."""
    return {each: (await principals.get(tx, each)).name for each in set(ids)}
