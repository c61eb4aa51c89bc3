"""The demo tells the truth: it is green where the product works, and red where it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from openloop.testing import processes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.stack]

INTERRUPTED = 130

# Each is imported by every process of the product before anything else.
ALLOWS_EVERYTHING = """
from openloop.domain import policy
policy.judge = lambda *_: policy.Allow(rule="everything goes")
"""
SENDS_TWICE = """
from openloop.runtime.courier import Courier
send = Courier.send
async def twice(self, *arguments):
    await send(self, *arguments)
    return await send(self, *arguments)
Courier.send = twice
"""
DROPS = """
from openloop.domain.surface import Receipt
from openloop.runtime.courier import Courier
async def forget(self, *arguments):
    return Receipt(outcome="done", message_ids=("1795414226.000001",))
Courier.send = forget
"""
FORGETS = """
from openloop.storage import memories
class Nothing:
    async def all(self):
        return []
async def nothing(*arguments, **named):
    return Nothing()
memories.ask_recall = nothing
"""


async def start(home: Path, **environ: str) -> asyncio.subprocess.Process:
    """`openloop demo`, with its temporary folders in `home`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openloop", "demo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(home), **environ},
        start_new_session=True,
    )


async def played(home: Path, **environ: str) -> tuple[int | None, str]:
    """Play it to its end; the exit status and all it printed."""
    demo = await start(home, **environ)
    async with asyncio.timeout(120):
        printed, _ = await demo.communicate()
    return demo.returncode, printed.decode()


def is_clean(home: Path) -> bool:
    """Nothing is left below a folder, neither files nor processes that name them."""
    return not [*home.iterdir()] and not processes.of_home(home)


async def test_the_demo_is_green(home: Path) -> None:
    status, printed = await played(home)
    assert status == 0, printed
    assert "Every check holds." in printed
    assert "no AI was used" in printed
    assert "-    default: openai/gpt-4o-mini" in printed
    assert is_clean(home)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(ALLOWS_EVERYTHING, "the issue is held", id="a gate that allows everything"),
        pytest.param(SENDS_TWICE, "the card loses its buttons", id="an outbox that sends twice"),
        pytest.param(DROPS, "the agent answers the mention", id="an outbox that drops"),
        pytest.param(FORGETS, "checks FAILED", id="a memory that forgets"),
    ],
)
async def test_the_demo_is_red_where_the_product_is_broken(
    home: Path, tmp_path: Path, broken: str, said: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(broken)
    status, printed = await played(home, PYTHONPATH=str(tmp_path))
    assert status == 1, printed
    assert said in printed
    assert "FAILED" in printed
    assert is_clean(home)


@pytest.mark.parametrize(
    ("after", "number"),
    [
        ("Starting OpenLoop", signal.SIGINT),
        ("anna clicks", signal.SIGINT),
        ("mallory clicks", signal.SIGTERM),
    ],
)
async def test_an_interrupted_demo_leaves_nothing_behind(
    home: Path, after: str, number: signal.Signals
) -> None:
    demo = await start(home)
    assert demo.stdout is not None
    async with asyncio.timeout(120):
        async for line in demo.stdout:
            if after in line.decode():
                break
        demo.send_signal(number)
        rest = (await demo.stdout.read()).decode()
        await demo.wait()
    assert demo.returncode == INTERRUPTED, rest
    assert "nothing is left behind" in rest
    assert is_clean(home)


async def test_two_demos_play_side_by_side(home: Path) -> None:
    async with asyncio.timeout(150):
        outcomes = await asyncio.gather(played(home), played(home))
    assert [status for status, _ in outcomes] == [0, 0], outcomes


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [
        ("--help", 0, "temporary directory"),
        ("--nonsense", 2, "temporary directory"),
        ("/nowhere", 2, "The examples are not here"),
    ],
)
async def test_a_wrong_call_starts_nothing(home: Path, word: str, status: int, said: str) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openloop", "demo", word),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(home)},
    )
    printed, _ = await demo.communicate()
    assert demo.returncode == status
    assert said in printed.decode()
    assert is_clean(home)
