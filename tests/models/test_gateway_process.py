"""The gateway as a process: what it loads, how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import openloop

if TYPE_CHECKING:
    from collections.abc import Generator

SOURCE = str(Path(openloop.__file__).parents[1])

SERVE = """
import atexit, runpy, sys
loaded = lambda: print("loaded" if "litellm" in sys.modules else "not loaded", flush=True)
atexit.register(loaded)
runpy.run_module("openloop", run_name="__main__")
"""

ASK = """
import asyncio, json, sys
from pathlib import Path
import openloop.models.client, openloop.models.prices
from openloop.domain.model import ModelMessage, ModelRequest
async def ask():
    client = openloop.models.client.GatewayClient(Path(sys.argv[1]))
    message = ModelMessage("user", "hello")
    request = ModelRequest(model="scripted/demo", messages=(message,), idempotency_key="k")
    reply = await client.complete(request)
    await client.aclose()
    return reply.text
text = asyncio.run(ask())
heavy = sorted(sys.modules.keys() & {"litellm", "yaml", "pydantic", "openai", "psycopg"})
print(json.dumps([text, heavy]))
"""


@dataclass
class Served:
    socket: Path
    process: subprocess.Popen[str]
    parent: int

    def result(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out.strip()


@contextmanager
def served(
    folder: Path, scripts: Path, *, warm: bool = False, path: str = SOURCE
) -> Generator[Served]:
    """`openloop gateway`, once its socket is there."""
    socket = folder / "run" / "gateway.sock"
    child, parent = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", SERVE, "gateway"),
            *("--warm", "yes" if warm else "no", "--parent-fd", str(child)),
        ],
        pass_fds=[child],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "OPENLOOP_HOME": str(folder),
            "OPENLOOP_SCRIPTS": str(scripts),
        },
    )
    os.close(child)
    try:
        deadline = time.monotonic() + 20
        while not socket.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Served(socket, process, parent)
    finally:
        process.kill()
        process.communicate()
        try:
            os.close(parent)
        except OSError:
            assert process.returncode is not None


def test_an_all_scripted_gateway_and_its_client_load_nothing_heavy(
    short_folder: Path, scripts: Path
) -> None:
    with served(short_folder, scripts) as gateway:
        asked = subprocess.run(
            [sys.executable, "-c", ASK, str(gateway.socket)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE},
        )
        gateway.process.send_signal(signal.SIGTERM)

        assert json.loads(asked.stdout) == ["Hello.", []]
        assert gateway.result() == (0, "not loaded")
    assert not gateway.socket.exists()


def test_it_stops_when_its_parent_is_gone(short_folder: Path, scripts: Path) -> None:
    with served(short_folder, scripts) as gateway:
        os.close(gateway.parent)
        assert gateway.result() == (0, "not loaded")


@pytest.mark.parametrize("content", ["raise ImportError('no such thing')", "1 / 0"])
def test_it_does_not_run_on_without_the_litellm_it_was_told_to_load(
    short_folder: Path, scripts: Path, tmp_path: Path, content: str
) -> None:
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "litellm.py").write_text(content)
    with served(short_folder, scripts, warm=True, path=f"{fake}{os.pathsep}{SOURCE}") as gateway:
        status, _ = gateway.result()
    assert status == 1
