"""Applying manifests: a set of files is taken as a whole or refused with every problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Len
from fastapi import APIRouter
from pydantic import StringConstraints

from openloop.actions import manifests
from openloop.actions.apply import Applied
from openloop.actions.manifests import ManifestFile
from openloop.api.authentication import Configuring, who
from openloop.api.kit import Kit
from openloop.api.paging import STRICT_BODY, Name

router = APIRouter(prefix="/api/v1/manifests", tags=["manifests"])

MAX_FILES = 50
MAX_CHARACTERS = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenManifest:
    """A manifest as it was written; problems are told by `name`, line and column."""

    __pydantic_config__ = STRICT_BODY

    name: Name
    # One more than a manifest may have: what is too long is refused by the reader of manifests.
    text: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """A Workspace, Agents, or both."""

    __pydantic_config__ = STRICT_BODY

    files: Annotated[tuple[WrittenManifest, ...], Len(1, MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestResults:
    """What became of each manifest, the Workspace first."""

    results: tuple[Applied, ...]


@router.post("/apply", operation_id="apply_manifests")
async def apply_manifests(kit: Kit, caller: Configuring, body: Manifests) -> ManifestResults:
    """Make these manifests the live ones; all of them, or none."""
    applied = await manifests.apply_files(
        kit.database,
        caller.workspace,
        _files(body),
        world=kit.world,
        by=caller.principal,
        who=who(caller),
    )
    return ManifestResults(results=tuple(applied))


@router.post("/validate", operation_id="validate_manifests")
async def validate_manifests(kit: Kit, caller: Configuring, body: Manifests) -> ManifestResults:
    """What applying would come to; nothing is written."""
    planned = await manifests.validate(
        kit.database, caller.workspace, _files(body), world=kit.world
    )
    return ManifestResults(results=tuple(planned))


def _files(body: Manifests) -> list[ManifestFile]:
    return [ManifestFile(name=file.name, text=file.text) for file in body.files]
