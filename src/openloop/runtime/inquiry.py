"""Finding out what the policy has to know of a run: who asked, who reads along, who may what.

Rows are read in one short transaction, and platforms are asked outside of any. Nobody is asked
where no call depends on it: a run without tools passes here with no query at all. Whatever cannot
be found out is left out of the facts, and what is left out grants nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import OpenLoopError, Unavailable
from openloop.domain.facts import (
    Answered,
    Requester,
    RunFacts,
    access_of,
    seen_in,
    source_of,
    target_of,
)
from openloop.domain.policy import BUILTIN, Call, Hold
from openloop.runtime import gate, people, readership
from openloop.storage import places, requesters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.domain.approval import Approval
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.model import ToolCall
    from openloop.domain.run import Run
    from openloop.domain.surface import PersonKind, Place
    from openloop.domain.tool import Arguments
    from openloop.plugin import Surface
    from openloop.runtime.kit import Kit
    from openloop.storage.requesters import Asked
    from openloop.tools.registry import Registered

T = TypeVar("T")

LOOK_UP_SECONDS = 10
LOOK_UPS_AT_ONCE = 8
MOST_REQUESTERS = 20
"""A run that more people steer than this acts for nobody any more."""


async def of_step(
    kit: Kit, work: Work, run: Run, calls: Sequence[ToolCall], *, seq: int
) -> RunFacts:
    """The facts for the calls that the model step `seq` asked for."""
    read = [found for call in calls if (found := gate.readable(kit.registry, call))]
    facts = await _gather(kit, work, run, [call for _, _, call in read], before=seq)
    assert work.governing is not None  # noqa: S101  # read together with the run
    held = [
        (registered, arguments)
        for registered, arguments, call in read
        if registered.tool.version is not None
        and isinstance(gate.verdict(work.governing, call, facts), Hold)
    ]
    return await _with_versions(held, facts) if held else facts


async def of_held(
    kit: Kit, work: Work, run: Run, approval: Approval, *, with_target: bool
) -> RunFacts:
    """The facts for a held call as it is stored; `with_target` looks at what it would change, too.

    Without, its target is taken to be as it was: nobody is asked anew about what nobody has decided.
    """
    registered = kit.registry.find(approval.tool)
    arguments: Arguments = orjson.loads(approval.arguments)
    looked_at: list[Call] = []
    if registered is not None:
        call = gate.policy_call(registered, arguments)
        looked_at = [call] if isinstance(call, Call) else []
    facts = await _gather(kit, work, run, looked_at, before=approval.step_seq)
    if registered is None or registered.tool.version is None:
        return facts
    if with_target:
        return await _with_versions([(registered, arguments)], facts)
    before = str(approval.preconditions.get("target_version", ""))
    return replace(facts, versions={target_of(approval.tool, arguments): before})


async def of_answer(kit: Kit, work: Work) -> RunFacts:
    """The facts for what a run says in its place: nobody is asked where it has read nothing."""
    facts = _nothing_known(work, before=None)
    if facts.label is PlaceClass.PUBLIC:
        return facts
    return await _with_place(kit, work, facts)


async def _gather(
    kit: Kit, work: Work, run: Run, calls: Sequence[Call], *, before: int
) -> RunFacts:
    facts = _nothing_known(work, before=before)
    outside = [call for call in calls if call.toolset != BUILTIN]
    if not outside and facts.label is PlaceClass.PUBLIC:
        return facts
    facts = await _with_place(kit, work, facts)
    surface = kit.surfaces.get(work.conversation.surface)
    assert work.governing is not None  # noqa: S101  # read together with the run
    if not outside or surface is None:
        return facts
    place = work.conversation.thread.place
    open_to = await _open_to(surface, place, facts)
    async with kit.database.transaction(work.workspace) as tx:
        asked = await requesters.ask_asked(tx, run.id)
        if not open_to.later:
            await places.note(tx, work.workspace, place, open_to.value)
    facts = await _with_requesters(surface, work, await asked.all(), facts)
    facts = await _with_answers(kit, work.governing, outside, facts)
    return await _with_audiences(kit, outside, facts)


def _nothing_known(work: Work, *, before: int | None) -> RunFacts:
    return RunFacts(
        requesters=(),
        surface=work.conversation.surface,
        place=None,
        seen=seen_in(work.steps, before=before),
    )


async def _with_place(kit: Kit, work: Work, facts: RunFacts) -> RunFacts:
    surface = kit.surfaces.get(work.conversation.surface)
    if surface is None:
        return replace(facts, is_certain=False)
    said = await _ask(surface.audience(work.conversation.thread.place))
    return replace(facts, place=said.value, is_certain=facts.is_certain and not said.later)


async def _open_to(surface: Surface, place: Place, facts: RunFacts) -> Said[PlaceClass]:
    """Who of us can read in the place: it is kept, and decides who reads the run through the API."""
    if facts.place is None:
        return Said(value=None, later=not facts.is_certain)
    return await _ask(readership.open_to(surface, place, facts.place))


# --- requesters ----------------------------------------------------------------------------------


async def _with_requesters(
    surface: Surface, work: Work, asked: Sequence[Asked], facts: RunFacts
) -> RunFacts:
    by_author: dict[tuple[str, str, str], list[Asked]] = {}
    for each in asked:
        actor = each.actor
        by_author.setdefault((actor.surface, actor.tenant, actor.id), []).append(each)
    if len(asked) > requesters.MOST or len(by_author) > MOST_REQUESTERS:
        return facts
    authors = list(by_author.values())
    people_of = await _all(_ask(people.look_up(surface, work, said[0].actor)) for said in authors)
    assert work.governing is not None  # noqa: S101  # asked only with a run
    workspace = work.governing.workspace
    found = tuple(
        _requester(workspace, said, "unknown" if person.value is None else person.value.kind)
        for said, person in zip(authors, people_of, strict=True)
    )
    certain = not any(person.later for person in people_of)
    return replace(facts, requesters=found, is_certain=facts.is_certain and certain)


def _requester(workspace: WorkspaceManifest, said: Sequence[Asked], kind: PersonKind) -> Requester:
    first = said[0]
    return Requester(
        name=first.principal or first.actor.name or first.actor.id,
        kind=kind if first.active else "deactivated",
        roles=first.roles,
        links=workspace.links_of(first.principal),
        typed=tuple(each.typed for each in said if each.typed),
    )


# --- what services say ---------------------------------------------------------------------------


async def _with_answers(
    kit: Kit, governing: Governing, calls: Sequence[Call], facts: RunFacts
) -> RunFacts:
    """Ask services for the people who asked, wherever one of both revisions wants that."""
    asks = {
        Answered(
            service=call.toolset,
            person=person,
            resource=(call.resource or "").lower(),
            access=access_of(call.effect),
        )
        for call in calls
        if any(terms.asks_service(facts) for terms in gate.terms(governing, call))
        for requester in facts.requesters
        if (person := requester.links.get(call.toolset)) is not None
    }
    said = dict(zip(asks, await _all(_may(kit, ask) for ask in asks), strict=True))
    yes = frozenset(ask for ask, answer in said.items() if answer.value is True)
    certain = not any(answer.later for answer in said.values())
    return replace(facts, answered=yes, is_certain=facts.is_certain and certain)


async def _may(kit: Kit, ask: Answered) -> Said[bool]:
    toolset = kit.registry.toolsets.get(ask.service)
    if toolset is None or toolset.may is None:
        return Said(value=None)
    return await _ask(toolset.may(ask.person, ask.resource, ask.access))


async def _with_audiences(kit: Kit, calls: Sequence[Call], facts: RunFacts) -> RunFacts:
    """Who reads what would be written, where something was read that may not go everywhere."""
    written = {
        source: (call.toolset, call.resource)
        for call in calls
        if call.effect.leaves_us and call.resource is not None
        for source in (source_of(call.toolset, call.resource),)
        if facts.label_beyond(source) is not PlaceClass.PUBLIC
    }
    said: dict[str, Said[PlaceClass]] = {}
    for source, (name, resource) in written.items():
        toolset = kit.registry.toolsets.get(name)
        if toolset is not None and toolset.audience is not None:
            said[source] = await _ask(toolset.audience(resource))
    certain = not any(each.later for each in said.values())
    known = {source: each.value for source, each in said.items()}
    return replace(facts, audiences=known, is_certain=facts.is_certain and certain)


async def _with_versions(held: Sequence[tuple[Registered, Arguments]], facts: RunFacts) -> RunFacts:
    """In which state the things are that these calls would change; one at which nobody can look has none."""
    asks = {
        target_of(registered.model_name, arguments): registered.tool.version(arguments)
        for registered, arguments in held
        if registered.tool.version is not None
    }
    said = dict(zip(asks, await _all(map(_ask, asks.values())), strict=True))
    known = {target: each.value for target, each in said.items() if each.value is not None}
    certain = not any(each.later for each in said.values())
    return replace(facts, versions=known, is_certain=facts.is_certain and certain)


async def _all(asking: Iterable[Awaitable[T]]) -> list[T]:
    slots = asyncio.Semaphore(LOOK_UPS_AT_ONCE)

    async def one(each: Awaitable[T]) -> T:
        async with slots:
            return await each

    return await asyncio.gather(*(one(each) for each in asking))


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[T]):
    """What a platform said; None where it said nothing. `later`: it may say more in a minute."""

    value: T | None
    later: bool = False


async def _ask(asking: Awaitable[T]) -> Said[T]:
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return Said(value=await asking)
    except (Unavailable, TimeoutError):
        return Said(value=None, later=True)
    except OpenLoopError:
        return Said(value=None)
