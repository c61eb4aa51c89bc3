"""One installation from nothing to an approved issue, in its own processes, by its own command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

READY_SECONDS = 120
ANSWER_SECONDS = 300

WORKSPACE = """\
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: {{ name: live }}
spec:
  people:
    priya: {{ email: priya@example.com }}
    anna: {{ email: anna@example.com }}
  groups: {{ maintainers: ["@anna"] }}
  roles: {{ owner: ["@priya"], approver: ["@maintainers"], operator: ["@priya"] }}
  budget: {{ monthly_usd: 5 }}
  integrations: {{ github: {{ repos: ["{repo}"] }} }}
"""
AGENT = """\
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: {{ name: live, workspace: live }}
spec:
  surfaces: [{{ type: github, repo: "{repo}" }}]
  model_policy: {{ default: "{model}" }}
  tools: [{{ name: github, type: native, permissions: ["issues:write"] }}]
  approvals: {{ require_for: ["github.issues:write"], approvers: ["@maintainers"] }}
  budget: {{ monthly_usd: 5, per_task_usd: 0.50, on_exceeded: block }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A running installation, and the tokens of two people."""

    url: str
    priya: str
    anna: str

    async def call(self, method: str, path: str, content: object = None, *, by: str) -> Any:
        """What the API answers."""
        return await asyncio.to_thread(_call, method, self.url + path, content, by)

    async def ask(self, text: str) -> str:
        """Say something to the agent as priya; the conversation."""
        said = {"agent": "live", "text": text}
        heard = await self.call("POST", "/api/v1/conversations", said, by=self.priya)
        return heard["conversation_id"]

    async def sent(self, conversation: str, op: str) -> Any:
        """The first op of a kind, once it was sent.

        Raises:
            TimeoutError: with what was sent instead
        """
        path = f"/api/v1/conversations/{conversation}/messages"
        found: Any = {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    found = await self.call("GET", path, by=self.priya)
                    for message in found["messages"]:
                        if message["op"]["op"] == op and message["state"] == "sent":
                            return message
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise TimeoutError(f"no {op} came: {json.dumps(found)[:2000]}") from None

    async def approve(self, approval: str) -> None:
        """Let it happen, as anna."""
        path = f"/api/v1/approvals/{approval}/vote"
        await self.call("POST", path, {"decision": "approve"}, by=self.anna)


@asynccontextmanager
async def open_installation(
    home: Path, *, repo: str, model: str, environ: Mapping[str, str]
) -> AsyncGenerator[Installation]:
    """`openloop up` in a home of its own; stopped at the end."""
    manifests = home / "manifests"
    manifests.mkdir()
    (manifests / "workspace.yaml").write_text(WORKSPACE.format(repo=repo))
    (manifests / "agent.yaml").write_text(AGENT.format(repo=repo, model=model))
    port = _free_port()
    settled = {
        **os.environ,
        **environ,
        "OPENLOOP_HOME": str(home / "openloop"),
        "OPENLOOP_PORT": str(port),
    }
    command = (sys.executable, "-m", "openloop")
    up = await asyncio.create_subprocess_exec(
        *command, "up", "-f", str(manifests), env=settled, cwd=home, start_new_session=True
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(url, up)
        tokens = [await _token(command, name, settled, home) for name in ("priya", "anna")]
        yield Installation(url=url, priya=tokens[0], anna=tokens[1])
    finally:
        if up.returncode is None:
            up.send_signal(signal.SIGINT)
        await up.wait()


async def _ready(url: str, up: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while up.returncode is None:
            try:
                await asyncio.to_thread(_call, "GET", f"{url}/readyz", None, "")
            except OSError:
                await asyncio.sleep(0.5)
            else:
                return
        raise RuntimeError(f"`openloop up` ended with {up.returncode}")


async def _token(
    command: tuple[str, ...], name: str, environ: Mapping[str, str], home: Path
) -> str:
    """A person's token; the manifests are applied soon after everything is ready."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            made = await asyncio.create_subprocess_exec(
                *(
                    *command,
                    "tokens",
                    "create",
                    "--local",
                    "--principal",
                    name,
                    "--role",
                    "operator",
                ),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environ,
                cwd=home,
            )
            out, error = await made.communicate()
            if made.returncode == 0:
                return out.decode().split()[-1]
            if b"not" not in error:
                raise RuntimeError(error.decode())
            await asyncio.sleep(0.5)


def _call(method: str, url: str, content: object, token: str) -> Any:
    body = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # our own server
        return json.loads(response.read() or b"null")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
