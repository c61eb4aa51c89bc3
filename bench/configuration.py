"""Rights never widen silently: mutated manifests against an oracle that knows no rule of ours."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import mutations, rights
from bench.measuring import ROOT, Figure, Kind, Outcome, exactly, note
from openloop.domain.manifest import (
    InvalidManifest,
    check_references,
    digest,
    parse,
    parse_agent,
    parse_workspace,
)
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.widening import Side, Widening, agent_widenings, workspace_widenings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.mutations import Edit
    from openloop.domain.manifest import Manifest
    from openloop.domain.manifest_workspace import WorkspaceManifest

SEED: Final = 20261123
MUTANTS: Final = 10_000
ACCEPTED: Final = 2_000
KEPT: Final = Path(__file__).resolve().parent / "manifests" / "configuration"
PLANTED: Final = (
    ('    approvers: ["@priya", "@maintainers"]', '    approvers: ["@priya", "@mallory"]'),
    ("        quorum: 2", "        quorum: 1"),
    ("        expires_hours: 24", "        expires_hours: 72"),
    ("      - github.pulls:read\n", ""),
    ("        repos: [acme/docs]", "        repos: [acme/docs, acme/platform]"),
    ("        links: typed", "        links: any"),
    ("        - acme/docs", "        - acme/*"),
    ("      visible_in: internal", "      visible_in: public"),
    ("      requester_rights: own", "      requester_rights: grant"),
    ("    monthly_usd: 50", "    monthly_usd: 50.01"),
    ("  wake: [mention]", "  wake: [mention, followup]"),
    ("        not_requester: true", "        not_requester: false"),
    ("        may_edit: false", "        may_edit: true"),
    ('      channel: "#dev-platform"', '      channel: "#everybody"'),
    ("    default: openai/gpt-4o-mini", "    default: other/model"),
    ("    retention_days: 90", "    retention_days: 91"),
    ('      server: "http://localhost:8931"', '      server: "http://evil.example"'),
    ("        retry: destroy", "        retry: write"),
    ('            approvers: ["@priya"]', '            approvers: ["@mallory"]'),
)
"""Lines of `agent.yaml`, and what somebody would quietly make of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A configuration from which mutants are made: one agent under its workspace."""

    name: str
    agent: AgentManifest
    workspace: WorkspaceManifest
    texts: tuple[str, str]
    rights: rights.Rights


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the mutants."""

    mutants: int = 0
    accepted: int = 0
    widened: int = 0
    flagged: int = 0
    silent: list[str] = field(default_factory=list[str])
    kinds: Counter[str] = field(default_factory=Counter[str])


@cache
def configurations() -> tuple[Configured, ...]:
    """The rich ones beside this file first, then the examples."""
    examples = ROOT / "examples"
    return (
        _configured("every key", KEPT / "agent.yaml", KEPT / "workspace.yaml"),
        _configured("a strict workspace", KEPT / "agent.yaml", KEPT / "strict-workspace.yaml"),
        _configured(
            "the public example",
            examples / "agents" / "dev-platform.yaml",
            examples / "workspace.yaml",
        ),
        _configured(
            "the demo",
            examples / "demo" / "dev-platform.yaml",
            examples / "demo" / "workspace.yaml",
        ),
    )


def _configured(name: str, agent: Path, workspace: Path) -> Configured:
    texts = agent.read_text(), workspace.read_text()
    parsed = parse_agent(texts[0], name=agent.name)
    governing = parse_workspace(texts[1], name=workspace.name)
    return Configured(
        name=name,
        agent=parsed,
        workspace=governing,
        texts=texts,
        rights=rights.of_agent(parsed, governing) | rights.of_workspace(governing),
    )


async def measure() -> Outcome:
    """Every mutation of one line, and pairs of what was taken until there are enough."""
    began = time.process_time()
    tally = Tally()
    taken = {c.name: list(_take_all(tally, c)) for c in configurations()}
    drawn = random.Random(SEED)
    while tally.mutants < MUTANTS or tally.accepted < ACCEPTED:
        try_pair(tally, drawn.choice(configurations()), taken, drawn)
    return _outcome(tally, time.process_time() - began)


def _take_all(tally: Tally, configured: Configured) -> Iterator[tuple[int, Edit]]:
    for which, text in enumerate(configured.texts):
        for edit in mutations.edits(text):
            if try_mutant(tally, configured, mutations.applied(text, edit)):
                yield which, edit


def sample(count: int, seed: int = SEED) -> Tally:
    """A seeded part of the same, for the test suite."""
    drawn = random.Random(seed)
    tally = Tally()
    taken: dict[str, list[tuple[int, Edit]]] = {}
    for configured in configurations():
        every = [(n, e) for n, text in enumerate(configured.texts) for e in mutations.edits(text)]
        taken[configured.name] = [
            (which, edit)
            for which, edit in drawn.sample(every, min(count, len(every)))
            if try_mutant(tally, configured, mutations.applied(configured.texts[which], edit))
        ]
    for configured in configurations():
        for _ in range(count // 10):
            try_pair(tally, configured, taken, drawn)
    return tally


def try_pair(
    tally: Tally,
    configured: Configured,
    taken: Mapping[str, list[tuple[int, Edit]]],
    drawn: random.Random,
) -> None:
    """Two edits of one file that were taken by themselves, both at once."""
    (which, one), (other_file, other) = drawn.sample(taken[configured.name], 2)
    if which == other_file and mutations.are_apart(one, other):
        try_mutant(tally, configured, mutations.applied(configured.texts[which], one, other))


def try_mutant(tally: Tally, before: Configured, text: str) -> bool:
    """Read a mutant as `apply` does; where it is taken and gives more, that has to be told.

    True where it is taken, and something else than before.
    """
    tally.mutants += 1
    try:
        after = parse(text, name="mutant.yaml")
    except InvalidManifest:
        return False
    agent, workspace = _sides(before, after)
    if agent.metadata.name != before.agent.metadata.name or check_references(agent, workspace):
        return False
    was = before.agent if isinstance(after, AgentManifest) else before.workspace
    if digest(after) == digest(was):
        return False
    tally.accepted += 1
    told = widenings(before, after)
    tally.flagged += bool(told)
    gained = gains(before, agent, workspace)
    if gained:
        tally.widened += 1
        tally.kinds.update({each.split(" ")[0] for each in gained})
        if not told:
            tally.silent.append(f"{before.name}: {gained[0]} by\n{text}")
    return True


def widenings(before: Configured, after: Manifest) -> tuple[Widening, ...]:
    """What the product says of it."""
    if isinstance(after, AgentManifest):
        return agent_widenings(
            Side(agent=before.agent, workspace=before.workspace),
            Side(agent=after, workspace=before.workspace),
        )
    return workspace_widenings(before.workspace, after, {before.agent.metadata.name: before.agent})


def gains(before: Configured, agent: AgentManifest, workspace: WorkspaceManifest) -> list[str]:
    """What the oracle says that somebody has now and had not."""
    had = before.rights
    has = rights.of_agent(agent, workspace) | rights.of_workspace(workspace)
    found = sorted(" ".join(map(str, each)) for each in has - had)
    was = rights.amounts(before.agent, before.workspace)
    now = rights.amounts(agent, workspace)
    found += sorted(f"amount {name}" for name in now if name in was and now[name] > was[name])
    return found


def planted() -> Iterator[tuple[str, bool]]:
    """Each planted widening, and whether it is found."""
    first = configurations()[0]
    for old, new in PLANTED:
        text = first.texts[0].replace(old, new, 1)
        after = parse(text, name="planted.yaml")
        yield f"{old.strip()} -> {new.strip() or 'nothing'}", bool(widenings(first, after))


def _sides(before: Configured, after: Manifest) -> tuple[AgentManifest, WorkspaceManifest]:
    if isinstance(after, AgentManifest):
        return after, before.workspace
    return before.agent, after


def _outcome(tally: Tally, cpu_seconds: float) -> Outcome:
    found = dict(planted())
    return Outcome(
        figures=[
            Figure(
                name="mutated manifests",
                kind=Kind.CORRECTNESS,
                measured=tally.mutants,
                at_least=MUTANTS,
            ),
            Figure(
                name="of them accepted, and other than before",
                kind=Kind.CORRECTNESS,
                measured=tally.accepted,
                at_least=ACCEPTED,
            ),
            exactly("silent widenings", len(tally.silent), 0),
            exactly("planted widenings missed", sum(not each for each in found.values()), 0),
            Figure(
                name="widenings that the oracle sees (with no detection, all are silent)",
                kind=Kind.CORRECTNESS,
                measured=tally.widened,
                at_least=200,
            ),
            note("planted widenings", len(found)),
            note("accepted mutants told as widening", tally.flagged),
            note("CPU", cpu_seconds, "s"),
        ],
        remarks=[each.splitlines()[0] for each in tally.silent[:5]],
        details={"kinds": dict(tally.kinds), "silent": tally.silent[:50], "planted": found},
    )
