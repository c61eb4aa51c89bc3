"""Dry run of a policy: recorded calls are decided again under proposed manifests, with no effect.

A step notes the facts that its call was decided by. Where it noted none, or what was typed is deleted
since, the call is `assumed`: then the record does not say who could read along and what the services
said of the requesters, and every possibility counts under which the policy in force decides as it is
on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import orjson

from openloop.domain import circumstances, noted_facts
from openloop.domain.errors import Invalid
from openloop.domain.facts import Requester, RunFacts, seen_in
from openloop.domain.ids import RunId
from openloop.domain.manifest import InvalidManifest, load, parse_agent, parse_workspace
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.model import ToolCall
from openloop.domain.policy import Allow, Deny, Hold, judge
from openloop.domain.probes import Side
from openloop.domain.step import Step, StepKind
from openloop.storage import agents, recorded_calls, requesters, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from openloop.domain.change import ManifestFile
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.policy import Call
    from openloop.domain.readers import Reader
    from openloop.domain.verdict import Verdict
    from openloop.storage.database import Database, Transaction
    from openloop.storage.recorded_calls import RecordedRun

Decided: TypeAlias = Literal["denied", "held", "allowed"]
LookAt: TypeAlias = Callable[[ToolCall], "Call | None"]
"""What the policy looks at in a call; None where it is refused before that."""

RUNS: Final = 100
_ORDER: Final[tuple[Decided, ...]] = ("denied", "held", "allowed")
_NO_DECISION: Final = ("approvals: asked once", "limits: calls per step", "no such tool", "schema")
"""Rules of refusals that are no decision of the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedAgain:
    """A recorded call that the proposed manifests decide otherwise than those in force.

    `assumed`: a part of the facts it was decided by is not on record.
    """

    run_id: RunId
    step: int
    agent: str
    tool: str
    resource: str
    called_at: datetime
    recorded: Decided
    live: Decided
    planned: Decided
    rule: str
    assumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A page of runs. `undecided` calls have lost their arguments or fit no tool any more.

    `assumed` calls were decided again under every possibility that their record leaves open.
    """

    runs: int
    calls: int
    undecided: int
    assumed: int
    differing: tuple[DecidedAgain, ...]
    next_cursor: RunId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """An agent as it is in force and as it is proposed."""

    live: Side
    planned: Side


async def dry_run(
    database: Database,
    workspace: WorkspaceId,
    files: Sequence[ManifestFile],
    *,
    hours: int,
    before: RunId | None,
    look_at: LookAt,
    reader: Reader | None = None,
) -> DryRun:
    """Decide the recorded calls of up to a hundred runs that `reader` may know of again, the newest first.

    Raises:
        Invalid: with every problem of every file
    """
    proposed, governing = await asyncio.to_thread(_read, files)  # a long one takes a while
    async with database.transaction(workspace) as tx:
        sides = await _sides(tx, proposed, governing)
        runs = await recorded_calls.list_runs(
            tx, hours=hours, before=before, limit=RUNS, reader=reader
        )
        held = await recorded_calls.list_held(tx, [run.id for run in runs])
        calls = undecided = assumed = 0
        differing: list[DecidedAgain] = []
        for run in runs:
            if run.agent not in sides:
                continue
            journal = await steps.list_of(tx, run.id)
            asked = await _requesters(tx, run) if any(_is_call(each) for each in journal) else ()
            for step in filter(_is_call, journal):
                calls += 1
                facts = RunFacts(
                    requesters=asked,
                    surface=run.surface,
                    place=None,
                    seen=seen_in(journal, before=step.seq),
                )
                found = _again(step, run, facts, sides[run.agent], look_at, held)
                if found is None:
                    undecided += 1
                    continue
                assumed += found.assumed
                if found.live != found.planned:
                    differing.append(found)
    last = runs[-1].id if len(runs) == RUNS else None
    return DryRun(
        runs=len(runs),
        calls=calls,
        undecided=undecided,
        assumed=assumed,
        differing=tuple(differing),
        next_cursor=last,
    )


def _read(
    files: Sequence[ManifestFile],
) -> tuple[dict[str, AgentManifest], WorkspaceManifest | None]:
    proposed: dict[str, AgentManifest] = {}
    governing: WorkspaceManifest | None = None
    problems: list[str] = []
    for file in files:
        try:
            manifest = load(file.text, name=file.name).manifest
        except InvalidManifest as invalid:
            problems += invalid.problems
            continue
        if isinstance(manifest, AgentManifest):
            proposed[manifest.metadata.name] = manifest
        else:
            governing = manifest
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise Invalid(f"{problems[0]}{more}", problems=problems, code="manifest_invalid")
    return proposed, governing


async def _sides(
    tx: Transaction, proposed: dict[str, AgentManifest], governing: WorkspaceManifest | None
) -> dict[str, _Sides]:
    """Both sides of every agent that is in force and would be decided otherwise, by its name."""
    revision = await agents.find_workspace_revision(tx)
    if revision is None:
        return {}
    workspace = parse_workspace(revision.source, name="the live workspace")
    found: dict[str, _Sides] = {}
    for agent in await agents.list_agents(tx):
        if agent.name not in proposed and governing is None:
            continue
        live = await agents.get_revision(tx, agent.live_revision_id)
        manifest = parse_agent(live.source, name=f"agent {agent.name}")
        found[agent.name] = _Sides(
            live=Side(agent=manifest, workspace=workspace),
            planned=Side(
                agent=proposed.get(agent.name, manifest), workspace=governing or workspace
            ),
        )
    return found


async def _requesters(tx: Transaction, run: RecordedRun) -> tuple[Requester, ...]:
    """Who asked, as they are known now; that they may is what the run was begun on."""
    known = tuple(
        Requester(
            name=asked.principal or asked.actor.name or asked.actor.id,
            kind="member",
            roles=asked.roles if asked.active else (),
            typed=(asked.typed,) if asked.typed else (),
        )
        for asked in await (await requesters.ask_asked(tx, run.id)).all()
    )
    # What was said is deleted sooner than what was done.
    return known or (Requester(name="somebody", kind="member"),)


def _is_call(step: Step) -> bool:
    return step.kind is StepKind.TOOL and not step.rule.startswith(_NO_DECISION)


def _again(
    step: Step,
    run: RecordedRun,
    facts: RunFacts,
    sides: _Sides,
    look_at: LookAt,
    held: set[tuple[RunId, int]],
) -> DecidedAgain | None:
    """What becomes of a call; None where it cannot be decided."""
    arguments = step.input.get("arguments")
    if arguments is None:
        return None
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    call = look_at(ToolCall(id="", name=step.name, arguments=text))
    if call is None:
        return None
    recorded = _recorded(step, is_held=(run.id, step.seq) in held)
    exact = noted_facts.recall(
        call,
        step.input.get(noted_facts.NOTED),
        typed=[text for requester in facts.requesters for text in requester.typed],
        surface=facts.surface,
        seen=facts.seen,
    )
    was, now, rule = _widest(call, exact or circumstances.possible(call, facts), sides, recorded)
    return DecidedAgain(
        run_id=run.id,
        step=step.seq,
        agent=run.agent,
        tool=step.name,
        resource=call.resource or "",
        called_at=step.started_at,
        recorded=recorded,
        live=was,
        planned=now,
        rule=rule,
        assumed=len(exact) != 1,
    )


def _recorded(step: Step, *, is_held: bool) -> Decided:
    if step.effect is None:
        return "denied"
    return "held" if is_held else "allowed"


def _widest(
    call: Call, possible: Iterable[RunFacts], sides: _Sides, recorded: Decided
) -> tuple[Decided, Decided, str]:
    """What both sides say; of several possibilities, the one that lets through the most anew."""
    found = list(_decisions(call, possible, sides))
    on_record = [each for each in found if each[0] == recorded]
    return max(on_record or found, key=lambda each: _gain(each[0], each[1]))


def _decisions(
    call: Call, possible: Iterable[RunFacts], sides: _Sides
) -> Iterator[tuple[Decided, Decided, str]]:
    for facts in possible:
        was = judge(call, sides.live.agent, sides.live.workspace, facts)
        now = judge(call, sides.planned.agent, sides.planned.workspace, facts)
        yield _decided(was), _decided(now), now.rule


def _gain(was: Decided, now: Decided) -> int:
    """How far a call gets beyond what it did; where that is nowhere, a change counts more than none."""
    gained = _ORDER.index(now) - _ORDER.index(was)
    return gained + len(_ORDER) if gained > 0 else abs(gained)


def _decided(verdict: Verdict) -> Decided:
    match verdict:
        case Allow():
            return "allowed"
        case Hold():
            return "held"
        case Deny():
            return "denied"
