"""A gateway in this process, and its client."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.models.client import GatewayClient
from openloop.models.gateway import GatewayConfig, open_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SCRIPT = """\
price: { input_per_million: 0.15, output_per_million: 0.60 }
usage: { input: 400, output: 60 }
scenarios:
  - name: issue
    match: "open an issue in (?P<repo>[a-z]+/[a-z]+)"
    ignore_case: true
    turns:
      - say: One moment.
        call:
          - name: github__create_issue
            arguments: { repo: "{match.repo}", title: Use Postgres 16, labels: [decision] }
      - either:
          - { when: refused, say: "Not created: it was refused." }
          - { say: "Created #{tool.number}: {tool.url}", usage: { input: 500, output: 20 } }
  - name: greeting
    turns: [{ say: Hello. }]
"""


Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait for something in another process, which can only be asked for again and again."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(60):
            while not await condition():  # noqa: ASYNC110 - no event crosses the processes
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="ol-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "demo.yaml").write_text(SCRIPT)
    return folder


@pytest.fixture
def gateway_config(short_folder: Path, scripts: Path) -> GatewayConfig:
    return GatewayConfig(
        environ={"OPENAI_API_KEY": "sk-canary"},
        socket_path=short_folder / "gateway" / "gateway.sock",
        scripts=scripts,
        drain_seconds=2,
    )


@pytest.fixture
async def gateway(gateway_config: GatewayConfig) -> AsyncIterator[GatewayClient]:
    async with open_gateway(gateway_config):
        assert gateway_config.socket_path is not None
        client = GatewayClient(gateway_config.socket_path)
        yield client
        await client.aclose()
