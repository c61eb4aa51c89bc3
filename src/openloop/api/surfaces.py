"""Surfaces: whether each configured one works."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter

from openloop.api.authentication import Seeing
from openloop.api.kit import Kit
from openloop.domain.errors import OpenLoopError
from openloop.domain.surface import Finding
from openloop.plugin import Surface

router = APIRouter(prefix="/api/v1/surfaces", tags=["surfaces"])

CHECK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceHealth:
    """What was looked at on a surface; `ok` where all of it is well."""

    name: str
    ok: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surfaces:
    """The configured surfaces, by name."""

    items: tuple[SurfaceHealth, ...]


@router.get("", operation_id="list_surfaces")
async def list_surfaces(kit: Kit, caller: Seeing) -> Surfaces:
    """Look at every configured surface now: token, scopes, reachability."""
    found = await asyncio.gather(*(_check(each) for each in kit.surfaces.values()))
    return Surfaces(items=tuple(sorted(found, key=lambda health: health.name)))


async def _check(surface: Surface) -> SurfaceHealth:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            findings = tuple(await surface.check())
    except (OpenLoopError, TimeoutError):
        detail = f"{surface.name} could not be looked at"
        remedy = "Try again; `openloop doctor` says more"
        findings = (Finding(subject=surface.name, ok=False, detail=detail, remedy=remedy),)
    return SurfaceHealth(
        name=surface.name, ok=all(finding.ok for finding in findings), findings=findings
    )
