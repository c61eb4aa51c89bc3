"""Running tests one after the other, each in a database of its own that is gone afterwards."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.errors import Invalid, OpenLoopError
from openloop.storage.embedded import EmbeddedPostgres
from openloop.testing.agent_tests.observed import Check, examine
from openloop.testing.agent_tests.playing import SECONDS, play
from openloop.testing.agent_tests.stage import Surroundings, open_stage
from openloop.testing.homes import temporary_home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from openloop.domain.agent_test import AgentTest
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.testing.agent_tests.stage import Build


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One test: its checks, and what kept it from being played at all."""

    name: str
    agent: str
    checks: tuple[Check, ...]
    problem: str = ""
    seconds: float = 0

    @property
    def passed(self) -> bool:
        """Everything that was expected holds."""
        return not self.problem and all(check.holds for check in self.checks)


def run_all(
    tests: Sequence[AgentTest],
    agents: Mapping[str, AgentManifest],
    workspace: WorkspaceManifest,
    *,
    scripts: Path | None,
    environ: Mapping[str, str],
    build: Build,
    told: Callable[[Ran], None],
) -> list[Ran]:
    """Run tests on a temporary Postgres; `told` hears of each as it ends."""
    return asyncio.run(
        _run_all(
            tests,
            agents,
            workspace,
            scripts=scripts,
            environ=environ,
            build=build,
            told=told,
        )
    )


async def _run_all(
    tests: Sequence[AgentTest],
    agents: Mapping[str, AgentManifest],
    workspace: WorkspaceManifest,
    *,
    scripts: Path | None,
    environ: Mapping[str, str],
    build: Build,
    told: Callable[[Ran], None],
) -> list[Ran]:
    found: list[Ran] = []
    with temporary_home("openloop-agent-tests-") as home:
        postgres = EmbeddedPostgres(home, settings={"fsync": "off"})
        await asyncio.to_thread(postgres.start)
        try:
            for number, test in enumerate(tests):
                name = f"agent_test_{number}"
                running = await asyncio.to_thread(postgres.create_database, name)
                within = Surroundings(
                    dsn=running.dsn,
                    home=home / name,
                    scripts=scripts,
                    environ=environ,
                    build=build,
                )
                ran = await run(test, agents.get(test.metadata.agent), workspace, within)
                found.append(ran)
                told(ran)
                await asyncio.to_thread(postgres.drop_database, name)
        finally:
            await asyncio.to_thread(postgres.leave)
    return found


async def run(
    test: AgentTest,
    agent: AgentManifest | None,
    workspace: WorkspaceManifest,
    within: Surroundings,
) -> Ran:
    """Run one test; what keeps it from being played is its problem, and no exception."""
    began = time.monotonic()
    checks: list[Check] = []
    problem = ""
    try:
        if agent is None:
            raise Invalid(f"There is no manifest of the agent {test.metadata.agent!r}")
        async with open_stage(test, agent, workspace, within) as stage:
            checks = examine(test.spec.expect, await play(test, stage))
    except OpenLoopError as error:
        problem = str(error)
    except TimeoutError:
        problem = f"It took longer than {SECONDS} s"
    return Ran(
        name=test.metadata.name,
        agent=test.metadata.agent,
        checks=tuple(checks),
        problem=problem,
        seconds=time.monotonic() - began,
    )
