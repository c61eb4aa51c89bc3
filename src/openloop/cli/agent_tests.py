"""`openloop agents test`: what agents decide, on the real runtime in a temporary folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openloop.cli.applying import files_option
from openloop.cli.failures import Exit
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list
from openloop.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from openloop.app import Application
    from openloop.cli.manifests import File

TESTS = (
    field("TEST", "name"),
    field("AGENT", "agent"),
    Column(title="RESULT", text=lambda each: "ok" if each["passed"] else "failed"),
    Column(title="SECONDS", text=lambda each: f"{each['seconds']:.1f}"),
)


@click.command("test")
@files_option
@click.option(
    "--scripts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of scripted models. Default: `scripts` beside the manifests.",
)
@click.option("--model", metavar="NAME", help="Use this model for every agent: also a real one.")
@click.option(
    "--only", metavar="NAME", multiple=True, help="Only the test of this name. Repeatable."
)
@output_option
def test(
    paths: tuple[Path, ...],
    scripts: Path | None,
    model: str | None,
    only: tuple[str, ...],
    output: Format,
) -> int:
    """Test what agents decide.

    A thread, memories and tool results are given, and decisions are expected. The files are tests,
    the agents that they are of, and the Workspace. Everything runs on this machine with stand-ins
    of Slack and GitHub; nothing outside is called, but a real --model.
    """
    from openloop import app  # noqa: PLC0415  # --help reads no settings
    from openloop.cli.manifests import read_files  # noqa: PLC0415  # needs pydantic
    from openloop.domain.redaction import Redactor, secret_values  # noqa: PLC0415

    environ = _environment()
    tests, agents, workspace = _sorted(read_files(*paths), model, only)
    app.set_up_logging("error", Redactor(secret_values(environ)))
    # By name: the command line and the test kit are on one floor and do not import each other.
    run_all = import_module("openloop.testing.agent_tests").run_all
    ran = run_all(
        tests,
        agents,
        workspace,
        scripts=scripts or _scripts_beside(paths),
        environ=environ,
        build=_build,
        told=_tell,
    )
    rows = [_row(each) for each in ran]
    show_list(
        {"items": rows},
        rows,
        TESTS,
        output=output,
        name=lambda each: f"agenttest/{each['name']}",
        nothing="There is no test.",
    )
    return Exit.OK if all(each.passed for each in ran) else Exit.FAILURE


def _environment() -> Mapping[str, str]:
    """The environment with its references followed: a real --model needs its key."""
    from openloop import settings  # noqa: PLC0415  # --help reads no settings
    from openloop.domain.errors import Misconfigured  # noqa: PLC0415
    from openloop.runtime.secret_references import follow  # noqa: PLC0415

    followed = follow(settings.read_environment(), never_stored=())
    if followed.problems:
        message = "The settings are refused: " + "; ".join(followed.problems)
        raise Misconfigured(message, problems=followed.problems)
    return followed.environ


def _build(environ: Mapping[str, str]) -> AbstractAsyncContextManager[Application]:
    """The product for one test."""
    from openloop import app, settings  # noqa: PLC0415  # --help reads no settings

    return app.build(settings.load(environ), pool_size=4)


def _sorted(
    files: tuple[File, ...], model: str | None, only: tuple[str, ...]
) -> tuple[list[Any], dict[str, Any], Any]:
    """Tests, agents by name, and the one Workspace; every problem of every file at once."""
    from dataclasses import replace  # noqa: PLC0415  # all of these are slow to import

    from openloop.domain import agent_test  # noqa: PLC0415
    from openloop.domain.errors import Invalid  # noqa: PLC0415
    from openloop.domain.manifest import InvalidManifest, parse  # noqa: PLC0415
    from openloop.domain.manifest_agent import AgentManifest  # noqa: PLC0415

    tests: list[agent_test.AgentTest] = []
    agents: dict[str, AgentManifest] = {}
    workspaces: list[Any] = []
    problems: list[str] = []
    for file in files:
        try:
            if agent_test.is_test(file.text):
                tests.append(agent_test.load(file.text, name=file.name))
                continue
            manifest = parse(file.text, name=file.name)
        except InvalidManifest as invalid:
            problems += invalid.problems
            continue
        if isinstance(manifest, AgentManifest):
            agents[manifest.metadata.name] = manifest
        else:
            workspaces.append(manifest)
    if not problems and len(workspaces) != 1:
        problems.append(f"One Workspace manifest is needed beside the tests, not {len(workspaces)}")
    wanted = [each for each in tests if not only or each.metadata.name in only]
    if not problems and not wanted:
        problems.append("There is no AgentTest in these files")
    if problems:
        raise Invalid(problems[0], problems=problems, code="manifest_invalid")
    if model is not None:
        wanted = [replace(each, spec=replace(each.spec, model=model)) for each in wanted]
    return wanted, agents, workspaces[0]


def _scripts_beside(paths: tuple[Path, ...]) -> Path | None:
    folders = (path if path.is_dir() else path.parent for path in paths)
    return next((each / "scripts" for each in folders if (each / "scripts").is_dir()), None)


def _tell(ran: Any) -> None:
    """What failed, as soon as it has."""
    if ran.passed:
        return
    if ran.problem:
        say(one_line(f"{ran.name}: {ran.problem}"))
    for check in ran.checks:
        if not check.holds:
            say(one_line(f"{ran.name}: expected that it {check.claim}; seen: {check.seen}"))


def _row(ran: Any) -> Json:
    return {
        "name": ran.name,
        "agent": ran.agent,
        "passed": ran.passed,
        "seconds": round(ran.seconds, 2),
        "problem": ran.problem,
        "checks": [
            {"claim": each.claim, "holds": each.holds, "seen": each.seen} for each in ran.checks
        ],
    }
