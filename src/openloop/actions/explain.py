"""Explaining the policy: what would become of a call, by which rule, and where that is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain import explanation
from openloop.domain.audience import PlaceClass
from openloop.domain.errors import Invalid, NotFound
from openloop.domain.explanation import Explanation, Source
from openloop.domain.facts import Requester
from openloop.domain.manifest import load
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.policy import Call
from openloop.domain.principal import Role
from openloop.domain.surface import Place
from openloop.storage import agents, principals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.ids import WorkspaceId
    from openloop.domain.resources import ResourceKind
    from openloop.domain.tool import Effect
    from openloop.plugin import Surface
    from openloop.storage.agents import Binding
    from openloop.storage.database import Database, Transaction

ANYBODY = Requester(name="an operator", kind="member", roles=(Role.OPERATOR,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that somebody might make: `permission` as manifests gate it (`github.issues:write`).

    `place` is a place of the agent by its name, or a class of place; `person` a name of the
    Workspace manifest. Absent, they are a place of full members, and an operator.
    """

    permission: str
    resource: str | None = None
    kind: ResourceKind = "repo"
    effect: Effect | None = None
    place: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _InForce:
    """What decides, as of one transaction."""

    agent: Source
    manifest: AgentManifest
    workspace: Source
    governed_by: WorkspaceManifest
    bindings: list[Binding]
    requester: Requester


async def explain(
    database: Database,
    workspace: WorkspaceId,
    name: str,
    question: Question,
    *,
    surfaces: Mapping[str, Surface],
) -> Explanation:
    """Say what the policy in force makes of a call; nothing is written, and nothing is called.

    A place that is given by name is looked up on its platform, as for a run.

    Raises:
        NotFound: there is no such agent or person
        Invalid: no permission, or a place that is none of the agent's
        OpenLoopError: the platform does not say who reads in the place
    """
    toolset, dot, permission = question.permission.partition(".")
    if not (toolset and dot and permission):
        message = f"{question.permission!r} is no permission: write github.issues:write"
        raise Invalid(message, code="permission_invalid")
    async with database.transaction(workspace) as tx:
        live = await _in_force(tx, name, question.person)
    place, surface, assumes = await _place(question.place, live.bindings, surfaces)
    effect = question.effect or explanation.effect_of(permission, toolset, live.manifest)
    call = Call(
        toolset=toolset,
        permission=permission,
        effect=effect,
        resource=question.resource,
        kind=question.kind,
    )
    return explanation.explain(
        call,
        agent=live.agent,
        workspace=live.workspace,
        manifest=live.manifest,
        governed_by=live.governed_by,
        requester=live.requester,
        place=place,
        surface=surface,
        assumes=assumes,
    )


async def _in_force(tx: Transaction, name: str, person: str | None) -> _InForce:
    agent = await agents.get_agent(tx, name)
    revision = await agents.get_revision(tx, agent.live_revision_id)
    above = await agents.find_workspace_revision(tx)
    if above is None:
        raise NotFound("There is no Workspace manifest yet")
    own, its = load(revision.source, name=name), load(above.source, name="workspace")
    manifest, governed_by = own.manifest, its.manifest
    assert isinstance(manifest, AgentManifest)  # noqa: S101  # it was applied as one
    assert isinstance(governed_by, WorkspaceManifest)  # noqa: S101  # it was applied as one
    return _InForce(
        agent=Source(
            name=name, number=revision.number, text=revision.source, document=own.document
        ),
        manifest=manifest,
        workspace=Source(
            name=governed_by.metadata.name,
            number=above.number,
            text=above.source,
            document=its.document,
        ),
        governed_by=governed_by,
        bindings=await agents.list_bindings(tx, agent.id),
        requester=await _requester(tx, governed_by, person),
    )


async def _requester(
    tx: Transaction, governed_by: WorkspaceManifest, person: str | None
) -> Requester:
    if person is None:
        return ANYBODY
    found = await principals.find_by_name(tx, person.removeprefix("@"))
    if found is None:
        raise NotFound(f"There is nobody called {person!r} in this workspace")
    return Requester(
        name=found.name,
        kind="member" if found.active else "deactivated",
        roles=found.roles,
        links=governed_by.links_of(found.name),
    )


async def _place(
    wanted: str | None, bindings: list[Binding], surfaces: Mapping[str, Surface]
) -> tuple[PlaceClass, str, tuple[str, ...]]:
    """The class of a place, the surface it is on, and what was assumed."""
    if wanted is None:
        return (
            PlaceClass.INTERNAL,
            "",
            ("the place is one that all full members read, and no others",),
        )
    if wanted in set(PlaceClass):
        return PlaceClass(wanted), "", (f"the place is {wanted}",)
    bare = wanted.removeprefix("#")
    for binding in bindings:
        if bare in (binding.name.removeprefix("#"), binding.container):
            surface = surfaces.get(binding.surface)
            if surface is None:
                message = (
                    f"{binding.surface} is not configured here, so nobody says who reads there"
                )
                raise Invalid(message, code="place_unknown")
            place = Place(
                surface=binding.surface, tenant=binding.tenant, container=binding.container
            )
            return await surface.audience(place), binding.surface, ()
    classes = ", ".join(PlaceClass)
    message = f"{wanted!r} is no place of this agent, and no class of place ({classes})"
    raise Invalid(message, code="place_unknown")
