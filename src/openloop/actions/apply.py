"""Applying manifests: names are resolved to stable ids, a revision is written, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from openloop.actions.people import write_people
from openloop.domain.agent import Inactive
from openloop.domain.errors import Invalid
from openloop.domain.ids import ChangeId, WorkspaceId
from openloop.domain.manifest import check_references, digest
from openloop.domain.manifest_agent import AgentManifest, NativeTool
from openloop.domain.probes import Widening
from openloop.domain.surface import Place
from openloop.storage import agents, approvals, audit, conversations, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.audit import Who
    from openloop.domain.ids import AgentId, PrincipalId
    from openloop.domain.manifest import Loaded
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.storage.database import Database, Transaction


class World(Protocol):
    """What this installation can tell about names: asked before anything is written."""

    async def find_place(self, surface: str, name: str) -> Place | str:
        """The place of that name, or the reason why there is none at the moment."""
        ...

    async def model_problem(
        self, model: str, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """What is wrong with a model and whether it refuses the manifest (else it is inactive)."""
        ...

    def tool_problem(
        self, tool: NativeTool, workspace: WorkspaceManifest
    ) -> tuple[str, bool] | None:
        """What is wrong with a native tool and whether it refuses the manifest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply came to. With a `change_id` it widens rights and waits for somebody else."""

    kind: str
    name: str
    revision: int
    changed: bool
    inactive: tuple[Inactive, ...] = ()
    widenings: tuple[Widening, ...] = ()
    change_id: ChangeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a revision is written by: `name` (`cli`, `up`, `sync ...`), and the change it was."""

    name: str = ""
    change_id: ChangeId | None = None


CONSOLE = "console"


def console_place(workspace: str, agent: str) -> Place:
    """Where people talk to an agent in a terminal."""
    return Place(surface=CONSOLE, tenant=workspace, container=agent)


async def ensure_workspace(database: Database, name: str) -> WorkspaceId:
    """The workspace of that name, made where it is new."""
    async with database.directory() as tx:
        return await agents.put_workspace(tx, name)


async def apply_workspace(
    database: Database,
    workspace: WorkspaceId,
    loaded: Loaded,
    *,
    source: str,
    by: PrincipalId,
    who: Who,
    slack_team: str | None = None,
) -> Applied:
    """Make a Workspace manifest the live one: people, ids, roles. Nobody is asked: see `manifests`.

    `slack_team` is the installed Slack team where the manifest names none.

    Raises:
        Invalid: the Slack team belongs to another workspace
    """
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        return await write_workspace(
            tx, workspace, loaded, source=source, by=by, who=who, slack_team=slack_team
        )


async def write_workspace(
    tx: Transaction,
    workspace: WorkspaceId,
    loaded: Loaded,
    *,
    source: str,
    by: PrincipalId,
    who: Who,
    slack_team: str | None = None,
    origin: Origin = Origin(),
) -> Applied:
    """`apply_workspace` in a transaction that holds the workspace's lock."""
    manifest = loaded.manifest
    assert not isinstance(manifest, AgentManifest)  # noqa: S101  # sorted by the caller
    slack = manifest.spec.integrations.slack
    team = slack.team if slack is not None else slack_team
    if team is not None:
        await _install(tx, workspace, "slack", team)
    name, fingerprint = manifest.metadata.name, digest(manifest)
    live = await agents.find_workspace_revision(tx)
    inactive = inactive_logins(manifest)
    if live is not None and live.digest == fingerprint:
        return Applied(
            kind="Workspace", name=name, revision=live.number, changed=False, inactive=inactive
        )
    number = (live.number if live is not None else 0) + 1
    await agents.add_workspace_revision(
        tx,
        workspace,
        number=number,
        source=source,
        digest=fingerprint,
        by=by,
        origin=origin.name,
        change_id=origin.change_id,
    )
    await write_people(tx, workspace, manifest, slack_team=team or "", by=who)
    await approvals.wake_waiting(tx, None)
    await audit.append(
        tx,
        workspace,
        "workspace.applied",
        actor=who,
        revision=number,
        digest=fingerprint,
        solo_mode=manifest.spec.solo_mode,
        origin=origin.name,
        change=origin.change_id,
    )
    return Applied(kind="Workspace", name=name, revision=number, changed=True, inactive=inactive)


def inactive_logins(manifest: WorkspaceManifest) -> tuple[Inactive, ...]:
    """Logins that were taken and give nobody a right: only a number stays the same account."""
    reason = (
        "a login can pass to somebody else, so it gives no rights of their own: write the number of "
        "the account (https://api.github.com/users/LOGIN says it)"
    )
    return tuple(
        Inactive(part=f"spec.people.{name}.github", reason=reason)
        for name in manifest.named_by_login
    )


async def _install(tx: Transaction, workspace: WorkspaceId, surface: str, tenant: str) -> None:
    if await deliveries.install(tx, surface, tenant, workspace) != workspace:
        message = f"The {surface} installation {tenant} belongs to another workspace"
        raise Invalid(message, code="installation_taken")


async def apply_agent(
    database: Database,
    workspace: WorkspaceId,
    loaded: Loaded,
    *,
    source: str,
    governed_by: WorkspaceManifest,
    world: World,
    by: PrincipalId,
    who: Who,
) -> Applied:
    """Write a revision of an agent and make it the live one. Nobody is asked: see `manifests`.

    Refused with every problem: references that do not resolve, unknown prices, tools nobody has,
    places another agent answers in. Taken and shown as inactive: what only lacks configuration.

    Raises:
        Invalid
    """
    resolved = await resolve_agent(loaded, governed_by, world)
    async with database.transaction(workspace) as tx:
        await agents.lock_workspace(tx, workspace)
        return await write_agent(tx, workspace, loaded, resolved, source=source, by=by, who=who)


async def write_agent(
    tx: Transaction,
    workspace: WorkspaceId,
    loaded: Loaded,
    resolved: Resolved,
    *,
    source: str,
    by: PrincipalId,
    who: Who,
    origin: Origin = Origin(),
) -> Applied:
    """`apply_agent` in a transaction that holds the workspace's lock."""
    manifest = loaded.manifest
    assert isinstance(manifest, AgentManifest)  # noqa: S101  # sorted by the caller
    name, fingerprint, inactive = manifest.metadata.name, digest(manifest), resolved.inactive
    agent_id = await agents.put_agent(tx, workspace, name)
    await _bind(tx, workspace, agent_id, resolved.places)
    live = await agents.find_live_revision(tx, agent_id)
    if live is not None and live.digest == fingerprint:
        await agents.set_inactive(tx, live.id, inactive)
        return Applied(
            kind="Agent", name=name, revision=live.number, changed=False, inactive=inactive
        )
    revision = await agents.add_revision(
        tx,
        workspace,
        agent_id,
        source=source,
        digest=fingerprint,
        inactive=inactive,
        by=by,
        origin=origin.name,
        change_id=origin.change_id,
    )
    await approvals.wake_waiting(tx, agent_id)
    await audit.append(
        tx,
        workspace,
        "agent.applied",
        actor=who,
        subject=agent_id,
        agent=name,
        revision=revision.number,
        digest=fingerprint,
        places=[f"{p.surface}:{p.container}" for p, _ in resolved.places],
        origin=origin.name,
        change=origin.change_id,
    )
    return Applied(
        kind="Agent", name=name, revision=revision.number, changed=True, inactive=inactive
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The places of an agent with what its manifest calls them, and what cannot work yet."""

    places: tuple[tuple[Place, str], ...]
    inactive: tuple[Inactive, ...]


async def resolve_agent(loaded: Loaded, governed_by: WorkspaceManifest, world: World) -> Resolved:
    """Every name of a manifest as a stable id, or as a reason why it cannot work yet.

    Raises:
        Invalid: with every problem that refuses the manifest
    """
    manifest = loaded.manifest
    assert isinstance(manifest, AgentManifest)  # noqa: S101  # sorted by the caller
    problems = [str(p) for p in check_references(manifest, governed_by, document=loaded.document)]
    inactive: list[Inactive] = []
    # Whoever may start runs can talk to every agent in a terminal, also where no surface works.
    places = [(console_place(governed_by.metadata.name, manifest.metadata.name), CONSOLE)]
    for index, binding in enumerate(manifest.spec.surfaces):
        if binding.type == CONSOLE:
            continue
        part = f"spec.surfaces[{index}] {binding.type}"
        found = await world.find_place(binding.type, binding.place)
        if isinstance(found, str):
            inactive.append(Inactive(part=part, reason=found))
        elif found.surface == "slack" and found.tenant != _slack_team(governed_by, found.tenant):
            expected = _slack_team(governed_by, found.tenant)
            problems.append(f"{part}: {binding.place} is in team {found.tenant}, not {expected}")
        else:
            places.append((found, binding.place))
    for model in sorted(manifest.models):
        trouble = await world.model_problem(model, governed_by)
        _sort(trouble, f"model {model}", problems, inactive)
    for index, tool in enumerate(manifest.spec.tools):
        if isinstance(tool, NativeTool):
            _sort(
                world.tool_problem(tool, governed_by),
                f"spec.tools[{index}] {tool.name}",
                problems,
                inactive,
            )
        else:
            reason = "MCP servers are not supported yet in this version"
            inactive.append(Inactive(part=f"spec.tools[{index}] {tool.name}", reason=reason))
    if problems:
        message = f"Agent {manifest.metadata.name!r} is refused: {problems[0]}"
        raise Invalid(message, problems=problems, code="manifest_refused")
    return Resolved(places=tuple(places), inactive=tuple(inactive))


def _slack_team(governed_by: WorkspaceManifest, default: str) -> str:
    slack = governed_by.spec.integrations.slack
    return slack.team if slack is not None else default


def _sort(
    trouble: tuple[str, bool] | None, part: str, problems: list[str], inactive: list[Inactive]
) -> None:
    if trouble is None:
        return
    reason, refuses = trouble
    if refuses:
        problems.append(f"{part}: {reason}")
    else:
        inactive.append(Inactive(part=part, reason=reason))


async def _bind(
    tx: Transaction,
    workspace: WorkspaceId,
    agent_id: AgentId,
    places: Sequence[tuple[Place, str]],
) -> None:
    await conversations.unbind_others(tx, agent_id, [place for place, _ in places])
    for place, name in places:
        if place.surface != CONSOLE:
            await _install(tx, workspace, place.surface, place.tenant)
        other = await conversations.bind(tx, workspace, place, name=name, agent_id=agent_id)
        if other is not None:
            message = f"Another agent answers in {place.surface} {name} already"
            raise Invalid(message, code="place_taken")
