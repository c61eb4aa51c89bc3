"""Applying a set of manifests: everything is checked before anything is written, in one step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openloop.actions import apply
from openloop.actions.apply import Applied
from openloop.domain.errors import Conflict, Invalid
from openloop.domain.manifest import (
    InvalidManifest,
    check_references,
    digest,
    load,
    parse_agent,
    parse_workspace,
)
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.storage import agents, audit, conversations, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.apply import Resolved, World
    from openloop.domain.audit import Who
    from openloop.domain.ids import AgentId, PrincipalId, WorkspaceId
    from openloop.domain.manifest import Loaded
    from openloop.domain.surface import Place
    from openloop.storage.agents import WorkspaceRevision
    from openloop.storage.database import Database, Transaction

FIRST = "There is no Workspace manifest yet: apply one first, or together with this one"


class ConfigurationMoved(Conflict):
    """Somebody else applied a manifest in between."""

    code = "configuration_moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A manifest as it was written; `name` is what problems call it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file that could be read."""

    file: ManifestFile
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """What is in force, as read before the check."""

    name: str
    revision: WorkspaceRevision | None
    manifest: WorkspaceManifest | None
    agents: dict[str, AgentManifest]
    numbers: dict[str, int]
    owners: dict[Place, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A set in which nothing was found that refuses it."""

    live: _Live
    governed_by: WorkspaceManifest
    workspace: _Read | None
    agents: list[tuple[_Read, Resolved]]


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


async def validate(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], *, world: World
) -> list[Applied]:
    """What applying these files would come to; nothing is written.

    Raises:
        Invalid: with every problem of every file
    """
    checked = await _check(database, workspace, files, world)
    planned: list[Applied] = []
    if checked.workspace is not None:
        planned.append(_planned_workspace(checked.live, checked.governed_by))
    for read, resolved in checked.agents:
        manifest = _agent(read)
        name = manifest.metadata.name
        before, number = checked.live.agents.get(name), checked.live.numbers.get(name, 0)
        changed = before is None or digest(before) != digest(manifest)
        planned.append(
            Applied(
                kind="Agent",
                name=name,
                revision=number + changed,
                changed=changed,
                inactive=resolved.inactive,
            )
        )
    return planned


async def apply_files(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    *,
    world: World,
    by: PrincipalId,
    who: Who,
) -> list[Applied]:
    """Make these manifests the live ones, the Workspace first; all of them or none.

    Agents are checked against the Workspace manifest among the files, else against the live one.
    The first Workspace manifest names the workspace.

    Raises:
        Invalid: with every problem of every file
        ConfigurationMoved: somebody else applied in between
    """
    checked = await _check(database, workspace, files, world)
    applied: list[Applied] = []
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        await _refuse_moved(tx, checked.live)
        if checked.workspace is not None:
            if checked.live.revision is None:
                await _rename(tx, workspace, checked.governed_by.metadata.name, who)
            applied.append(
                await apply.write_workspace(
                    tx,
                    workspace,
                    checked.workspace.loaded,
                    source=checked.workspace.file.text,
                    by=by,
                    who=who,
                )
            )
        for read, resolved in checked.agents:
            # All let go before any takes, so that agents may swap places.
            agent_id = await agents.put_agent(tx, workspace, _agent(read).metadata.name)
            await conversations.unbind_others(tx, agent_id, [place for place, _ in resolved.places])
        for read, resolved in checked.agents:
            applied.append(
                await apply.write_agent(
                    tx, workspace, read.loaded, resolved, source=read.file.text, by=by, who=who
                )
            )
    return applied


async def _check(
    database: Database, workspace: WorkspaceId, files: Sequence[ManifestFile], world: World
) -> _Checked:
    problems = _Problems()
    read = _read(files, problems)
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
    resolved: list[tuple[_Read, Resolved]] = []
    for each in own:
        try:
            resolved.append((each, await apply.resolve_agent(each.loaded, governed_by, world)))
        except Invalid as invalid:
            problems.add(invalid.code, *(invalid.problems or (str(invalid),)))
    names = {_agent(each).metadata.name for each in own}
    _check_places(live, names, resolved, problems)
    await _check_installations(database, workspace, governed_by, resolved, problems)
    if given:
        _check_others(live, names, governed_by, problems)
    problems.refuse()
    return _Checked(
        live=live,
        governed_by=governed_by,
        workspace=given[0] if given else None,
        agents=resolved,
    )


def _read(files: Sequence[ManifestFile], problems: _Problems) -> list[_Read]:
    found: list[_Read] = []
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
        found.append(_Read(file=file, loaded=loaded))
    return found


async def _read_live(database: Database, workspace: WorkspaceId) -> _Live:
    async with database.directory() as tx:
        name = (await agents.get_workspace(tx, workspace)).name
    async with database.transaction(workspace) as tx:
        revision = await agents.find_workspace_revision(tx)
        names: dict[AgentId, str] = {}
        manifests: dict[str, AgentManifest] = {}
        numbers: dict[str, int] = {}
        for agent in await agents.list_agents(tx):
            live = await agents.get_revision(tx, agent.live_revision_id)
            names[agent.id] = agent.name
            manifests[agent.name] = parse_agent(live.source, name=f"agent {agent.name}")
            numbers[agent.name] = live.number
        owners = {
            binding.place: names[binding.agent_id]
            for binding in await agents.list_bindings(tx)
            if binding.agent_id in names
        }
    return _Live(
        name=name,
        revision=revision,
        manifest=None
        if revision is None
        else parse_workspace(revision.source, name=f"revision {revision.number}"),
        agents=manifests,
        numbers=numbers,
        owners=owners,
    )


async def _check_name(
    database: Database,
    workspace: WorkspaceId,
    live: _Live,
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
    live: _Live,
    names: set[str],
    resolved: list[tuple[_Read, Resolved]],
    problems: _Problems,
) -> None:
    """A place has one agent: neither one that stays as it is, nor another one of the files."""
    taken = {place: owner for place, owner in live.owners.items() if owner not in names}
    for read, wanted in resolved:
        agent = _agent(read).metadata.name
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
    resolved: list[tuple[_Read, Resolved]],
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
    live: _Live, names: set[str], governed_by: WorkspaceManifest, problems: _Problems
) -> None:
    """A new Workspace manifest must still have everybody whom the other agents name."""
    for name, manifest in live.agents.items():
        if name not in names:
            found = [str(problem) for problem in check_references(manifest, governed_by)]
            if found:
                problems.add("manifest_refused", *(f"the live agent {each}" for each in found))


async def _refuse_moved(tx: Transaction, live: _Live) -> None:
    now = await agents.find_workspace_revision(tx)
    if (now and now.id) != (live.revision and live.revision.id):
        raise ConfigurationMoved("Somebody applied another Workspace manifest meanwhile; try again")


async def _rename(tx: Transaction, workspace: WorkspaceId, name: str, who: Who) -> None:
    if (await agents.get_workspace(tx, workspace)).name == name:
        return
    if not await agents.rename_workspace(tx, workspace, name):
        raise ConfigurationMoved(f"Another workspace is called {name!r} meanwhile")
    await audit.append(tx, workspace, "workspace.named", actor=who, subject=workspace, name=name)


def _planned_workspace(live: _Live, manifest: WorkspaceManifest) -> Applied:
    number = live.revision.number if live.revision is not None else 0
    changed = live.revision is None or live.revision.digest != digest(manifest)
    return Applied(
        kind="Workspace",
        name=manifest.metadata.name,
        revision=number + changed,
        changed=changed,
    )


def _agent(read: _Read) -> AgentManifest:
    manifest = read.loaded.manifest
    assert isinstance(manifest, AgentManifest)  # noqa: S101  # sorted by kind
    return manifest
