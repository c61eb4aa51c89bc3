"""Checking a set of manifests against what is in force: every problem of every file, nothing written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openloop.actions import apply
from openloop.domain.errors import Conflict, Invalid
from openloop.domain.manifest import (
    InvalidManifest,
    check_references,
    load,
    parse_agent,
    parse_workspace,
)
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.storage import agents, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.apply import Resolved, World
    from openloop.domain.agent import Revision
    from openloop.domain.change import ManifestFile
    from openloop.domain.ids import AgentId, WorkspaceId
    from openloop.domain.manifest import Loaded
    from openloop.domain.surface import Place
    from openloop.storage.agents import WorkspaceRevision
    from openloop.storage.database import Database, Transaction

FIRST = "There is no Workspace manifest yet: apply one first, or together with this one"


class ConfigurationMoved(Conflict):
    """Somebody else applied a manifest in between."""

    code = "configuration_moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A file that could be read."""

    file: ManifestFile
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What is in force, as read before the check."""

    name: str
    revision: WorkspaceRevision | None
    manifest: WorkspaceManifest | None
    agents: dict[str, AgentManifest]
    revisions: dict[str, Revision]
    owners: dict[Place, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A set in which nothing was found that refuses it."""

    live: Live
    governed_by: WorkspaceManifest
    workspace: Read | None
    agents: list[tuple[Read, Resolved]]


@dataclass(slots=True)
class _Problems:
    """Problems in the order they were found; one code stands for all."""

    found: list[str] = field(default_factory=list[str])
    code: str = ""

    def add(self, code: str, *sentences: str) -> None:
        self.code = self.code or code
        self.found += sentences

    def refuse(self) -> None:
        if self.found:
            more = f" (and {len(self.found) - 1} more)" if self.found[1:] else ""
            raise Invalid(f"{self.found[0]}{more}", problems=self.found, code=self.code)


async def check(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], world: World
) -> Checked:
    """Read these files and resolve every name in them.

    Agents are checked against the Workspace manifest among the files, else against the live one.

    Raises:
        Invalid: with every problem of every file
    """
    problems = _Problems()
    read = await asyncio.to_thread(_read, files, problems)  # a long one takes a while
    problems.refuse()
    live = await _read_live(database, workspace)
    given = [each for each in read if isinstance(each.loaded.manifest, WorkspaceManifest)]
    governed_by = live.manifest
    if given:
        manifest = given[0].loaded.manifest
        assert isinstance(manifest, WorkspaceManifest)  # noqa: S101  # just selected
        governed_by = manifest
        await _check_name(database, workspace, live, manifest, problems)
    if governed_by is None:
        problems.add("workspace_missing", FIRST)
        problems.refuse()
    assert governed_by is not None  # noqa: S101  # refused above
    own = [each for each in read if isinstance(each.loaded.manifest, AgentManifest)]
    resolved: list[tuple[Read, Resolved]] = []
    for each in own:
        try:
            resolved.append((each, await apply.resolve_agent(each.loaded, governed_by, world)))
        except Invalid as invalid:
            problems.add(invalid.code, *(invalid.problems or (str(invalid),)))
    names = {agent_of(each).metadata.name for each in own}
    _check_places(live, names, resolved, problems)
    await _check_installations(database, workspace, governed_by, resolved, problems)
    if given:
        _check_others(live, names, governed_by, problems)
    problems.refuse()
    return Checked(
        live=live,
        governed_by=governed_by,
        workspace=given[0] if given else None,
        agents=resolved,
    )


def _read(files: Sequence[ManifestFile], problems: _Problems) -> list[Read]:
    found: list[Read] = []
    seen: dict[tuple[str, str], str] = {}
    for file in files:
        try:
            loaded = load(file.text, name=file.name)
        except InvalidManifest as invalid:
            problems.add(invalid.code, *invalid.problems)
            continue
        manifest = loaded.manifest
        key = (
            ("Agent", manifest.metadata.name)
            if isinstance(manifest, AgentManifest)
            else ("Workspace", "")
        )
        first = seen.get(key)
        seen.setdefault(key, file.name)
        if first is not None:
            what = f"the agent {key[1]!r}" if key[1] else "a Workspace manifest"
            problems.add("manifest_duplicate", f"{file.name}: {what} is in {first} already")
        found.append(Read(file=file, loaded=loaded))
    return found


async def _read_live(database: Database, workspace: WorkspaceId) -> Live:
    async with database.directory() as tx:
        name = (await agents.get_workspace(tx, workspace)).name
    async with database.transaction(workspace) as tx:
        revision = await agents.find_workspace_revision(tx)
        names: dict[AgentId, str] = {}
        manifests: dict[str, AgentManifest] = {}
        revisions: dict[str, Revision] = {}
        for agent in await agents.list_agents(tx):
            live = await agents.get_revision(tx, agent.live_revision_id)
            names[agent.id] = agent.name
            manifests[agent.name] = parse_agent(live.source, name=f"agent {agent.name}")
            revisions[agent.name] = live
        owners = {
            binding.place: names[binding.agent_id]
            for binding in await agents.list_bindings(tx)
            if binding.agent_id in names
        }
    return Live(
        name=name,
        revision=revision,
        manifest=None
        if revision is None
        else parse_workspace(revision.source, name=f"revision {revision.number}"),
        agents=manifests,
        revisions=revisions,
        owners=owners,
    )


async def _check_name(
    database: Database,
    workspace: WorkspaceId,
    live: Live,
    manifest: WorkspaceManifest,
    problems: _Problems,
) -> None:
    name = manifest.metadata.name
    if name == live.name:
        return
    if live.revision is not None:
        message = f"This is the workspace {live.name!r}, and the manifest is of {name!r}"
        problems.add("workspace_mismatch", message)
        return
    async with database.directory() as tx:
        others = await agents.list_workspaces(tx)
    if any(row.name == name and row.id != workspace for row in others):
        problems.add("workspace_name_taken", f"Another workspace is called {name!r} already")


def _check_places(
    live: Live,
    names: set[str],
    resolved: list[tuple[Read, Resolved]],
    problems: _Problems,
) -> None:
    """A place has one agent: neither one that stays as it is, nor another one of the files."""
    taken = {place: owner for place, owner in live.owners.items() if owner not in names}
    for read, wanted in resolved:
        agent = agent_of(read).metadata.name
        for place, called in wanted.places:
            owner = taken.setdefault(place, agent)
            if owner != agent:
                sentence = (
                    f"{read.file.name}: {owner!r} answers in {place.surface} {called} already"
                )
                problems.add("place_taken", sentence)


async def _check_installations(
    database: Database,
    workspace: WorkspaceId,
    governed_by: WorkspaceManifest,
    resolved: list[tuple[Read, Resolved]],
    problems: _Problems,
) -> None:
    """An installation of a platform (a Slack team) belongs to one workspace."""
    slack = governed_by.spec.integrations.slack
    wanted = {("slack", slack.team)} if slack is not None else set[tuple[str, str]]()
    for _, agent in resolved:
        wanted |= {(p.surface, p.tenant) for p, _ in agent.places if p.surface != apply.CONSOLE}
    async with database.directory() as tx:
        for surface, tenant in sorted(wanted):
            if await deliveries.find_workspace(tx, surface, tenant) not in (None, workspace):
                message = f"The {surface} installation {tenant} belongs to another workspace"
                problems.add("installation_taken", message)


def _check_others(
    live: Live, names: set[str], governed_by: WorkspaceManifest, problems: _Problems
) -> None:
    """A new Workspace manifest must still have everybody whom the other agents name."""
    for name, manifest in live.agents.items():
        if name not in names:
            found = [str(problem) for problem in check_references(manifest, governed_by)]
            if found:
                problems.add("manifest_refused", *(f"the live agent {each}" for each in found))


async def refuse_moved(tx: Transaction, checked: Checked) -> None:
    """In a transaction that holds the workspace's lock: what was looked at is still in force.

    Raises:
        ConfigurationMoved
    """
    live, now = checked.live, await agents.find_workspace_revision(tx)
    if (now and now.id) != (live.revision and live.revision.id):
        raise ConfigurationMoved("Somebody applied another Workspace manifest meanwhile; try again")
    there = {agent.name: agent.live_revision_id for agent in await agents.list_agents(tx)}
    looked_at = {agent_of(read).metadata.name for read, _ in checked.agents}
    if checked.workspace is not None:
        looked_at |= {*there, *live.revisions}
    for name in sorted(looked_at):
        known = live.revisions.get(name)
        if there.get(name) != (known and known.id):
            raise ConfigurationMoved(f"Somebody applied the agent {name!r} meanwhile; try again")


def agent_of(read: Read) -> AgentManifest:
    """The manifest of a file that holds an agent."""
    manifest = read.loaded.manifest
    assert isinstance(manifest, AgentManifest)  # noqa: S101  # sorted by kind
    return manifest
