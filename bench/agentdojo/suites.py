"""AgentDojo's suites from our side: what is in them, and worlds in which calls are made."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.agentdojo import environment

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator, Mapping

SERVER = Path(__file__).with_name("worlds") / "serve.py"
_LONGEST_LINE = 16 * 1024 * 1024
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A tool of a suite, as its schema says."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite: its tools, what its users ask for, and the names of the attackers' goals."""

    name: str
    tools: tuple[Function, ...]
    user_tasks: Mapping[str, str]
    injection_tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that somebody wants to be made."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a pair comes to: the user's calls and answer, and the attacker's calls."""

    user: tuple[Call, ...]
    attacker: tuple[Call, ...]
    answer: str


class WorldBroken(Exception):
    """AgentDojo's process ended; its last words are on stderr."""


class Suites:
    """One process that serves all suites. One request is under way at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def all(self) -> list[Suite]:
        """Every suite."""
        return [
            Suite(
                name=each["name"],
                tools=tuple(Function(**tool) for tool in each["tools"]),
                user_tasks=each["user_tasks"],
                injection_tasks=tuple(each["injection_tasks"]),
            )
            for each in await self._ask("suites")
        ]

    async def open(self, world: str, *, suite: str, user: str, injection: str | None) -> Plan:
        """Make a world for a pair, or for a user's task alone."""
        plan = await self._ask("open", world=world, suite=suite, user=user, injection=injection)
        return Plan(
            user=tuple(Call(**call) for call in plan["user"]),
            attacker=tuple(Call(**call) for call in plan["attacker"]),
            answer=plan["answer"],
        )

    async def call(self, world: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call; `result` or `error`."""
        return await self._ask("call", world=world, tool=tool, arguments=arguments)

    async def solved(self, world: str, text: str) -> bool:
        """Whether the suite says that the user's task is solved, when this is the answer."""
        return await self._ask("solved", world=world, text=text)

    async def reached(self, world: str, text: str) -> bool:
        """Whether the suite says that the attacker's goal is reached."""
        return await self._ask("reached", world=world, text=text)

    async def close(self, world: str) -> None:
        """Forget a world."""
        await self._ask("close", world=world)

    async def _ask(self, verb: str, **arguments: object) -> Any:
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        async with self._turn:
            writer.write(orjson.dumps({"do": verb, **arguments}) + b"\n")
            await writer.drain()
            line = await reader.readline()
        if not line:
            raise WorldBroken(f"at {verb} {arguments}"[:500])
        return orjson.loads(line)


@asynccontextmanager
async def served() -> AsyncGenerator[Suites]:
    """The suites, served by a process that ends with the block.

    Raises:
        NotInstalled
    """
    python = await asyncio.to_thread(environment.python)
    process = await asyncio.create_subprocess_exec(
        *(python, SERVER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
        limit=_LONGEST_LINE,
    )
    try:
        yield Suites(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
