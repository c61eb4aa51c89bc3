"""Three-way comparison: what is wanted, what is in force, and what the same origin applied last."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from openloop.domain.differences import leaves
from openloop.domain.errors import Invalid
from openloop.domain.manifest import InvalidManifest, load, parse
from openloop.domain.manifest_agent import AgentManifest
from openloop.storage import agents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.change import ManifestFile
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest import Manifest
    from openloop.storage.database import Database, Transaction

Side: TypeAlias = Literal["wanted", "elsewhere", "both", "conflict"]
"""Who moved a value since the origin applied last: these files, somebody else, both to the same,
or both to something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedValue:
    """One value that is not the same on all three sides; None where it is absent."""

    path: str
    last: Any
    live: Any
    wanted: Any
    changed: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDocument:
    """One manifest. `last_revision` is the origin's last one, None where it applied none."""

    file: str
    kind: Literal["Agent", "Workspace"]
    name: str
    live_revision: int | None
    last_revision: int | None
    same: bool
    values: tuple[ComparedValue, ...]


async def compare_files(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], *, origin: str
) -> list[ComparedDocument]:
    """Each file beside what is in force and beside what was last applied from `origin`.

    Raises:
        Invalid: with every problem of every file
    """
    wanted = await asyncio.to_thread(_read, files)  # a long one takes a while
    async with database.transaction(workspace) as tx:
        return [await _compared(tx, file, manifest, origin) for file, manifest in wanted]


def _read(files: Sequence[ManifestFile]) -> list[tuple[ManifestFile, Manifest]]:
    problems: list[str] = []
    found: list[tuple[ManifestFile, Manifest]] = []
    for file in files:
        try:
            found.append((file, load(file.text, name=file.name).manifest))
        except InvalidManifest as invalid:
            problems += invalid.problems
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise Invalid(f"{problems[0]}{more}", problems=problems, code="manifest_invalid")
    return found


async def _compared(
    tx: Transaction, file: ManifestFile, wanted: Manifest, origin: str
) -> ComparedDocument:
    name = wanted.metadata.name
    if isinstance(wanted, AgentManifest):
        found = [agent for agent in await agents.list_agents(tx) if agent.name == name]
        live = await agents.get_revision(tx, found[0].live_revision_id) if found else None
        last = await agents.find_revision_of(tx, name, origin)
    else:
        live = await agents.find_workspace_revision(tx)
        last = await agents.find_workspace_revision_of(tx, origin)
    values = compare(
        last=leaves(parse(last.source, name="last applied")) if last is not None else None,
        live=leaves(parse(live.source, name="live")) if live is not None else {},
        wanted=leaves(wanted),
    )
    return ComparedDocument(
        file=file.name,
        kind="Agent" if isinstance(wanted, AgentManifest) else "Workspace",
        name=name,
        live_revision=live.number if live is not None else None,
        last_revision=last.number if last is not None else None,
        same=live is not None and all(value.live == value.wanted for value in values),
        values=values,
    )


def compare(
    *, last: Mapping[str, Any] | None, live: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[ComparedValue, ...]:
    """Every value that differs somewhere. Without a last one, what is in force stands for it."""
    base = live if last is None else last
    found: list[ComparedValue] = []
    for path in dict.fromkeys((*base, *live, *wanted)):
        was, now, then = base.get(path), live.get(path), wanted.get(path)
        if was == now == then:
            continue
        changed: Side
        if now == then:
            changed = "both"
        elif was == now:
            changed = "wanted"
        elif was == then:
            changed = "elsewhere"
        else:
            changed = "conflict"
        found.append(ComparedValue(path=path, last=was, live=now, wanted=then, changed=changed))
    return tuple(found)
