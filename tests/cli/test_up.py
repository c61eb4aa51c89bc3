"""`openloop up` with real processes: it starts, splits secrets, restarts, and leaves nothing."""

from __future__ import annotations

import http.client
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.cli.failures import Exit
from openloop.cli.processes.up import NICE
from openloop.testing import processes
from openloop.testing.homes import temporary_home
from tests.cli.running import END_SECONDS, READY, SECONDS, Up, environ_of, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not processes.is_supported(), reason="looks for processes in /proc"),
]

MANIFESTS = {
    "workspace.yaml": """\
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: { name: acme }
spec:
  people: { priya: {} }
  budget: { monthly_usd: 20 }
""",
    "agent.yaml": """\
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: { name: assistant, workspace: acme }
spec:
  model_policy: { default: scripted/assistant }
  budget: { monthly_usd: 10, per_task_usd: 0.5 }
""",
}
SCRIPT = """\
price: { input_per_million: 0.15, output_per_million: 0.60 }
usage: { input: 400, output: 60 }
scenarios:
  - name: anything
    turns: [ { say: Hello there. } ]
"""
SECRETS = {"OPENAI_API_KEY": "sk-provider", "GITHUB_TOKEN": "ghp_tool", "OPENLOOP_TOKEN": "ol_mine"}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of what `up` runs."""
    yield from new_home()


@pytest.fixture
def other_home() -> Iterator[Path]:
    """A home in which nothing runs, whatever other tests do on this worker."""
    yield from new_home()


def new_home() -> Iterator[Path]:
    """A home with manifests and a scripted model."""
    with temporary_home("openloop-up-") as folder:
        (folder / "manifests").mkdir()
        (folder / "scripts").mkdir()
        for name, text in MANIFESTS.items():
            (folder / "manifests" / name).write_text(text)
        (folder / "scripts" / "assistant.yaml").write_text(SCRIPT)
        yield folder


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    """Everything, running."""
    arguments = ("--warm", "no", "-f", str(home / "manifests"))
    with Up(home, arguments, {**SECRETS, "OPENLOOP_SCRIPTS": str(home / "scripts")}) as started:
        started.until(READY)
        started.until("Agent assistant: revision 1, applied")
        yield started


def command(up: Up, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Another command of the same installation."""
    return subprocess.run(
        [sys.executable, "-m", "openloop", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=up.home,
        env={
            "PATH": os.environ["PATH"],
            "OPENLOOP_HOME": str(up.home),
            "OPENLOOP_PORT": str(up.port),
        },
    )


def readiness(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


def test_everything_is_ready_and_said_so(up: Up) -> None:
    assert readiness(up.port) == 200
    for line in ("database ready", "worker ready", f"serve ready at http://127.0.0.1:{up.port}"):
        assert f" s  {line}" in up.said


def test_the_first_start_leaves_a_token_for_its_owner_alone(up: Up) -> None:
    file = up.home / "cli-token"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert up.said.count(file.read_text().strip()) == 1
    assert "assistant" in command(up, "agents", "get").stdout


def test_an_agent_answers_in_the_terminal(up: Up) -> None:
    ran = command(up, "chat", "assistant", stdin="hello\n")

    assert (ran.returncode, ran.stdout) == (0, "Hello there.\n"), ran.stderr


def test_another_token_is_made_from_the_database_alone(up: Up) -> None:
    ran = command(up, "tokens", "create", "--local", "--role", "viewer", "--name", "ci")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("ol_viewer_")


def test_doctor_finds_everything_running(up: Up) -> None:
    ran = command(up, "doctor", "-o", "json")

    assert ran.returncode == 0, ran.stdout
    for part in ("server", "models", "database", "clock", "agent assistant"):
        assert f'"part": "{part}",\n      "state": "ok"' in ran.stdout


def test_only_the_gateway_sees_provider_keys_and_it_sees_nothing_else(up: Up) -> None:
    gateway = environ_of(up.pid("gateway"))
    serve, worker = environ_of(up.pid("serve")), environ_of(up.pid("worker"))

    assert gateway["OPENAI_API_KEY"] == "sk-provider"
    assert not gateway.keys() & {"GITHUB_TOKEN", "DATABASE_URL", "OPENLOOP_TOKEN"}
    for other in (serve, worker):
        assert other["GITHUB_TOKEN"] == "ghp_tool"
        assert other["DATABASE_URL"].startswith("postgresql://")
        assert not other.keys() & {"OPENAI_API_KEY", "OPENLOOP_TOKEN"}


def test_worker_and_gateway_give_way_to_serve(up: Up) -> None:
    priorities = {
        role: os.getpriority(os.PRIO_PROCESS, up.pid(role))
        for role in ("serve", "worker", "gateway")
    }

    base = os.getpriority(os.PRIO_PROCESS, 0)
    assert priorities == {"serve": base, "worker": base + NICE, "gateway": base + NICE}


def test_a_second_one_on_the_same_port_is_told_so_in_one_sentence(up: Up) -> None:
    ran = command(up, "up")

    assert ran.returncode == Exit.FAILURE
    assert ran.stderr == (
        f"openloop: Port {up.port} of 127.0.0.1 is in use, perhaps by an OpenLoop that runs already: stop it, "
        "or set OPENLOOP_PORT to another\n"
    )


def test_a_second_one_of_the_same_home_is_refused(up: Up) -> None:
    with Up(up.home, ("--warm", "no")) as second:
        assert second.ended() == Exit.INVALID
        assert "Another model gateway serves" in second.said
        second.home = Path("/nothing/runs/here")  # what runs is the first one's

    assert readiness(up.port) == 200


def test_a_killed_child_is_started_again(up: Up) -> None:
    before = {role: up.pid(role) for role in ("worker", "serve")}

    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for role in before:
        up.until(f"{role} ended (SIGKILL), starts again in 0.5 s")

    for role, pid in before.items():
        wait_for(
            lambda r=role, p=pid: (n := up.role(r)) is not None and n.pid != p, seconds=SECONDS
        )
    # The port stayed open meanwhile: this waits, and is not refused.
    wait_for(lambda: readiness(up.port) == 200, seconds=SECONDS)
    # What was applied at the start is not applied again: it may have been changed since.
    assert "--apply" not in (up.role("serve") or pytest.fail("no serve")).command


def test_kill_9_of_it_leaves_nothing_running(up: Up) -> None:
    assert len(up.pids()) > 4

    up.process.kill()

    wait_for(lambda: not up.pids(), seconds=END_SECONDS)


def test_sigterm_stops_everything_in_order(other_home: Path) -> None:
    with Up(other_home, ("--warm", "no")) as up:
        up.until(READY)

        up.process.send_signal(signal.SIGTERM)

        assert up.ended() == 0
        assert up.pids() == set()
        assert "Traceback" not in up.said
        with pytest.raises(ConnectionRefusedError):
            readiness(up.port)


def test_sigint_while_it_starts_stops_it_too(other_home: Path) -> None:
    with Up(other_home, ("--warm", "no")) as up:
        up.until("OpenLoop ")

        up.process.send_signal(signal.SIGINT)

        assert up.ended() == 0, up.said
        assert up.pids() == set()


def test_an_invalid_manifest_is_told_before_anything_is_served(home: Path) -> None:
    (home / "typo.yaml").write_text(MANIFESTS["agent.yaml"].replace("budget", "bugdet"))

    ran = command(Up(home), "serve", "--apply", str(home / "typo.yaml"))

    assert ran.returncode == Exit.INVALID  # upon which `up` ends too
    assert "typo.yaml:6" in ran.stderr


def test_every_wrong_setting_is_told_at_once(other_home: Path) -> None:
    wrong = {"OPENLOOP_HOST": "192.0.2.1", "OPENLOOP_CONCURRENCY": "0"}
    with Up(other_home, environ=wrong) as up:
        assert up.ended() == Exit.INVALID
        assert "OPENLOOP_HOST=192.0.2.1" in up.said
        assert "OPENLOOP_CONCURRENCY" in up.said
