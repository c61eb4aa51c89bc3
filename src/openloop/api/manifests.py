"""Manifests: what they would do, applying them, and syncing them from where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le, Len
from fastapi import APIRouter
from pydantic import Strict, StringConstraints

from openloop.actions import dry_run, manifests, plan, sync, three_way
from openloop.actions.apply import Applied
from openloop.actions.dry_run import DryRun
from openloop.actions.manifests import ManifestFile, Proposal
from openloop.actions.three_way import ComparedDocument
from openloop.api.authentication import Configuring, Seeing, Syncing, who
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Name, Page, position
from openloop.api.reading import reader_of
from openloop.domain.change import Plan
from openloop.domain.ids import RunId
from openloop.domain.principal import Right
from openloop.storage import changes
from openloop.storage.changes import Source

if TYPE_CHECKING:
    from openloop.domain.principal import Caller

router = APIRouter(prefix="/api/v1/manifests", tags=["manifests"])

MAX_FILES = 50
MAX_CHARACTERS = 256 * 1024
Origin = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenManifest:
    """A manifest as it was written; problems are told by `name`, line and column."""

    __pydantic_config__ = STRICT_BODY

    name: Name
    # One more than a manifest may have: what is too long is refused by the reader of manifests.
    text: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS + 1)]


Files = Annotated[tuple[WrittenManifest, ...], Len(1, MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """A Workspace, Agents, or both. `origin` says where they come from, for later comparisons."""

    __pydantic_config__ = STRICT_BODY

    files: Files
    origin: Origin = "cli"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedManifests:
    """All manifests of a folder or repository, as of a version of it."""

    __pydantic_config__ = STRICT_BODY

    files: Files
    origin: Origin
    version: Origin = "-"
    every_seconds: Annotated[int, Strict(), Ge(1), Le(86_400)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTime:
    """Manifests, and how far back the recorded calls go that are decided again under them."""

    __pydantic_config__ = STRICT_BODY

    files: Files
    hours: Annotated[int, Strict(), Ge(1), Le(24 * 366)]
    cursor: RunId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestResults:
    """What became of each manifest, the Workspace first."""

    results: tuple[Applied, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Each manifest beside what is in force and what its origin applied last."""

    documents: tuple[ComparedDocument, ...]


@router.post("/apply", operation_id="apply_manifests")
async def apply_manifests(kit: Kit, caller: Configuring, body: Manifests) -> ManifestResults:
    """Make these manifests the live ones. What widens rights waits for somebody else's approval."""
    applied = await manifests.apply_files(
        kit.database,
        caller.workspace,
        _files(body.files),
        world=kit.world,
        proposal=Proposal(
            by=caller.principal,
            who=who(caller),
            origin=body.origin,
            may_begin=is_owner(caller),
        ),
    )
    return ManifestResults(results=tuple(applied))


@router.post("/validate", operation_id="validate_manifests")
async def validate_manifests(kit: Kit, caller: Configuring, body: Manifests) -> ManifestResults:
    """What applying would come to; nothing is written."""
    planned = await manifests.validate(
        kit.database, caller.workspace, _files(body.files), world=kit.world
    )
    return ManifestResults(results=tuple(planned))


@router.post("/plan", operation_id="plan_manifests")
async def plan_manifests(kit: Kit, caller: Seeing, body: Manifests) -> Plan:
    """What applying would change, value by value, and how that widens rights; nothing is written."""
    return await plan.plan(kit.database, caller.workspace, _files(body.files), world=kit.world)


@router.post("/dry_run", operation_id="dry_run_manifests")
async def dry_run_manifests(kit: Kit, caller: Seeing, body: RecordedTime) -> DryRun:
    """Decide recorded calls again under these manifests, a page of runs at a time; no side effect.

    Those of runs that you may read.
    """
    async with kit.database.transaction(caller.workspace) as tx:
        reader = await reader_of(kit, tx, caller)
    return await dry_run.dry_run(
        kit.database,
        caller.workspace,
        _files(body.files),
        hours=body.hours,
        before=body.cursor,
        look_at=kit.look_at,
        reader=reader,
    )


@router.post("/diff", operation_id="diff_manifests")
async def diff_manifests(kit: Kit, caller: Seeing, body: Manifests) -> Comparison:
    """Manifests beside what is in force and beside what the same origin applied last."""
    compared = await three_way.compare_files(
        kit.database, caller.workspace, _files(body.files), origin=body.origin
    )
    return Comparison(documents=tuple(compared))


@router.post("/sync", operation_id="sync_manifests")
async def sync_manifests(kit: Kit, caller: Syncing, body: SyncedManifests) -> ManifestResults:
    """Apply what narrows and propose what widens; never more than that, whoever calls."""
    applied = await sync.sync(
        kit.database,
        caller.workspace,
        _files(body.files),
        world=kit.world,
        by=caller.principal,
        who=who(caller),
        origin=body.origin,
        version=body.version,
        every_seconds=body.every_seconds,
    )
    return ManifestResults(results=tuple(applied))


@router.get("/sources", operation_id="list_manifest_sources")
async def list_manifest_sources(kit: Kit, caller: Seeing) -> Page[Source]:
    """What is synced from where, and what the last sync came to."""
    async with kit.database.transaction(caller.workspace) as tx:
        as_of = await position(tx)
        found = await changes.list_sources(tx)
    return Page(items=tuple(found), next_cursor=None, as_of=as_of)


def is_owner(caller: Caller) -> bool:
    """Only an owner makes tokens, and only an owner begins an agent without asking anybody."""
    return Right.TOKENS in caller.rights


def _files(files: tuple[WrittenManifest, ...]) -> list[ManifestFile]:
    return [ManifestFile(name=file.name, text=file.text) for file in files]
