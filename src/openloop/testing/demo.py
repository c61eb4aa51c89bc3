"""The demo: the product's story, played on this machine with real parts, and checked.

It believes nothing it says itself: the checks look at what the rigs received and at what the API
answers. Exit status 0 means that every check held.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from openloop.domain.manifest import load
from openloop.domain.manifest_agent import AgentManifest
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.testing import processes
from openloop.testing.homes import temporary_home
from openloop.testing.stack import LeftBehind, Stack, StackFailed
from openloop.testing.story import facts as asking
from openloop.testing.story import report
from openloop.testing.story.checks import Check, examine
from openloop.testing.story.play import NotSeen, play
from openloop.testing.story.stage import Stage, environ_for, open_rigs
from openloop.testing.story.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from openloop.testing.story.facts import Facts

INTERRUPTED = 130
PREFIX = "openloop-demo-"
USAGE = """\
usage: openloop demo [EXAMPLES]

Plays the product's story with real parts in a temporary directory and checks it. EXAMPLES is the
folder `examples` of a checkout; where it is not given, that of this checkout or of this folder.
"""
OPENING = """\
OpenLoop's story: a mention becomes an approved, audited GitHub issue.

Real: Postgres, the server, the worker and the model gateway, each a process of its own, and HTTP
between all of them. Stand-ins: Slack, GitHub, the people, and the model, which is a script."""


def main(argv: Sequence[str]) -> int:
    """Play the story; 0 where all of it is true, 1 where not, 2 for a wrong call, 130 for Ctrl-C."""
    if len(argv) > 1 or any(word.startswith("-") for word in argv):
        _write(USAGE)
        return 0 if set(argv) <= {"-h", "--help"} else 2
    examples = _find_examples(argv)
    if examples is None:
        _write("The examples are not here: give their folder, `openloop demo path/to/examples`.\n")
        return 2
    with asyncio.Runner() as runner:
        try:
            return runner.run(_interruptible(_demo(examples)))
        except asyncio.CancelledError:
            _write("\nStopped; nothing is left behind.\n")
            return INTERRUPTED


def _find_examples(argv: Sequence[str]) -> Path | None:
    checkout = Path(__file__).resolve().parents[3]
    places = [Path(word) for word in argv] or [checkout / "examples", Path("examples")]
    return next((place for place in places if (place / "demo").is_dir()), None)


async def _interruptible(story: Coroutine[Any, Any, int]) -> int:
    """Let SIGINT and SIGTERM cancel the story, once: a second one does not disturb its cleaning up."""
    playing = asyncio.ensure_future(story)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            _write("\nStopping ...\n")
            playing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return await playing


async def _demo(examples: Path) -> int:
    began = time.monotonic()
    transcript = Transcript(_write)
    transcript.line(OPENING)
    try:
        with temporary_home(PREFIX) as home:
            checks = await _play_and_check(examples, home, transcript)
    except (NotSeen, StackFailed, LeftBehind) as failed:
        transcript.line(f"\nFAILED: {failed}")
        return 1
    # Processes that were left would have raised, where the system tells of them.
    nothing = "no process and no file" if processes.is_supported() else "no file"
    checks.append(Check(claim=f"{nothing} is left", holds=not home.exists(), seen=home))
    report.tell_checks(checks, transcript)
    failures = sum(not check.holds for check in checks)
    outcome = f"{failures} of {len(checks)} checks FAILED" if failures else "Every check holds"
    transcript.line(f"\n{outcome}. {time.monotonic() - began:.1f} s.")
    return 1 if failures else 0


async def _play_and_check(examples: Path, home: Path, transcript: Transcript) -> list[Check]:
    """Play, stop the product, and only then look: nothing can arrive late."""
    began = time.monotonic()
    async with open_rigs() as (slack, github):
        transcript.watch(slack)
        environ = environ_for(slack, github, scripts=examples / "demo" / "scripts")
        transcript.line("\nStarting OpenLoop ...")
        stack = Stack(home=home, manifests=examples / "demo", environ=environ)
        stage = Stage(slack=slack, github=github, stack=stack)
        async with stack:
            slack.deliver_to = stack.events_url
            transcript.line(f"Ready after {time.monotonic() - began:.1f} s.")
            pids = asking.children(stack)
            played = await play(stage, transcript)
            facts = await asking.ask(stack, pids_before=pids)
        workspace = _workspace(examples / "demo" / "workspace.yaml")
        checks = [*examine(stage, played, facts, workspace), _same_but_for_models(examples)]
        _tell(stage, facts, examples, transcript)
        return checks


def _tell(stage: Stage, facts: Facts, examples: Path, transcript: Transcript) -> None:
    report.tell_issue(stage, transcript)
    report.tell_cost(facts, transcript)
    report.tell_audit(stage, facts, transcript)
    report.tell_difference(*_manifests(examples), transcript)


def _manifests(examples: Path) -> tuple[Path, Path]:
    """The public example, and the demo's own."""
    return examples / "agents" / "dev-platform.yaml", examples / "demo" / "dev-platform.yaml"


def _workspace(path: Path) -> WorkspaceManifest:
    manifest = load(path.read_text(), name=path.name).manifest
    assert isinstance(manifest, WorkspaceManifest)
    return manifest


def _same_but_for_models(examples: Path) -> Check:
    """The demo may not quietly loosen what the public example says."""
    public, demo = (
        load(path.read_text(), name=path.name).manifest for path in _manifests(examples)
    )
    assert isinstance(public, AgentManifest)
    assert isinstance(demo, AgentManifest)
    spec = replace(demo.spec, model_policy=public.spec.model_policy)
    return Check(
        claim="the demo's manifest is the public example with other models, and nothing else",
        holds=replace(demo, spec=spec) == public and demo != public,
        seen=report.manifest_difference(*_manifests(examples)),
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
