"""The command line starts fast: nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import click
import pytest

import openloop
from openloop.cli import root

HEAVY = {"fastapi", "pydantic", "psycopg", "litellm", "rich", "aiohttp", "asyncio", "yaml"}
MOST_CPU_SECONDS = 0.150

ASK = """
import json, sys
from openloop.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr)
"""


def commands(command: click.Command, *path: str) -> list[tuple[str, ...]]:
    """Every command of the program."""
    found: list[tuple[str, ...]] = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += commands(inner, *path, name)
    return found


def loaded_by(*arguments: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", ASK, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status, modules = json.loads(ran.stderr.splitlines()[-1])
    assert status == 0, ran.stderr
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by(*arguments) & HEAVY


def test_the_help_of_no_command_imports_anything_heavy() -> None:
    every = [[*path, "--help"] for path in commands(root)]
    script = f"""
import json, sys
from openloop.cli import main
for arguments in {every!r}:
    assert main(arguments) == 0, arguments
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    modules = {name.partition(".")[0] for name in json.loads(ran.stderr.splitlines()[-1])}

    assert len(every) > 30
    assert not modules & HEAVY


def test_the_version_is_shown_within_150_ms_of_cpu() -> None:
    def cpu_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    taken: list[float] = []
    for _ in range(3):
        before = cpu_seconds()
        ran = subprocess.run(
            [sys.executable, "-m", "openloop", "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        taken.append(cpu_seconds() - before)
        assert ran.stdout == f"openloop {openloop.__version__}\n"

    assert min(taken) <= MOST_CPU_SECONDS


def test_every_command_has_a_line_of_help_that_is_not_cut_off() -> None:
    for path in commands(root)[1:]:
        command: click.Command | None = root
        for name in path:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name)
        assert command is not None
        short = command.get_short_help_str(62)
        assert short
        assert not short.endswith("..."), path
