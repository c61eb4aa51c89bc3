"""`./run` explains what is missing, installs what changed, and else gets out of the way."""

import ast
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[1]
FAKE_PROGRAM = '#!/bin/sh\necho "${{0##*/}} $*"\nexit {}\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout in which nothing is installed yet."""
    for name in ("run", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path.resolve()


@pytest.fixture
def installed(tree: Path) -> Path:
    """A checkout whose .venv is up to date; its programs say how they were called."""
    for name in ("python", "ruff", "basedpyright", "lint-imports"):
        fake_program(tree, name, exit_code=0)
    bootstrap = load(tree)
    bootstrap.write_state(status="ready", place=bootstrap.place(), contents=bootstrap.contents())
    return tree


def fake_program(tree: Path, name: str, *, exit_code: int) -> None:
    program = tree / ".venv" / "bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(FAKE_PROGRAM.format(exit_code))
    program.chmod(0o755)


def load(tree: Path) -> ModuleType:
    """Import the bootstrap of a checkout: it has no .py at its end."""
    loader = SourceFileLoader("run_bootstrap", str(tree / "run"))
    spec = importlib.util.spec_from_loader("run_bootstrap", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(tree: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run ./run with nothing on PATH but what a shell script needs.

    `before` is Python that changes the interpreter the bootstrap finds itself in.
    """
    start = f"import runpy, sys; sys.argv = {['run', *arguments]!r}\n{before}\n"
    return subprocess.run(
        [sys.executable, "-I", "-c", start + "runpy.run_path('run', run_name='__main__')"],
        cwd=tree,
        env={"PATH": "/nowhere", "HOME": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_bootstrap_parses_on_the_oldest_python_it_may_meet() -> None:
    ast.parse((REPOSITORY / "run").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13), (3, 14, 0)])
def test_a_python_that_does_not_fit_is_explained_in_one_sentence(
    tree: Path, version: tuple[int, int, int]
) -> None:
    dotted = ".".join(map(str, version))
    before = f"sys.version_info = {(*version, 'final', 0)}; sys.version = '{dotted} (main)'"

    result = run(tree, "demo", before=before)

    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert f"needs Python 3.11, 3.12 or 3.13, and this is {dotted}" in sentence
    assert "apt-get install python3.11-venv" in sentence


def test_a_missing_venv_module_is_explained_in_one_sentence(tree: Path) -> None:
    result = run(tree, "demo", before="sys.modules['ensurepip'] = None")

    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    major, minor = sys.version_info[:2]
    assert f"apt-get install python{major}.{minor}-venv" in sentence


def test_a_folder_that_may_not_be_written_is_explained_in_one_sentence(tree: Path) -> None:
    (tree / ".cache").write_text("a file, where a folder has to be made")

    result = run(tree, "demo")

    assert result.returncode == 1
    (sentence,) = result.stderr.splitlines()
    assert f"type ./run install as the owner of {tree}" in sentence


@pytest.mark.parametrize(
    ("arguments", "started"),
    [
        ([], "python -m openloop up"),
        (["-f", "examples"], "python -m openloop up -f examples"),
        (["demo"], "python -m openloop demo"),
        (["openloop", "runs", "get"], "python -m openloop runs get"),
        (["bench", "budget"], "python -m bench budget"),
        (["test", "-k", "x"], "python -m pytest -n 2 --dist loadgroup -k x"),
        (["test", "--pdb"], "python -m pytest --pdb"),
    ],
)
def test_a_command_becomes_a_program_of_the_environment(
    installed: Path, arguments: list[str], started: str
) -> None:
    result = run(installed, *arguments)

    assert result.stdout.strip() == started
    assert not result.stderr


def test_the_exit_code_is_the_programs_own(installed: Path) -> None:
    fake_program(installed, "python", exit_code=77)

    assert run(installed, "bench", "overhead").returncode == 77


def test_an_unknown_command_is_answered_with_the_known_ones(installed: Path) -> None:
    result = run(installed, "tset")

    assert result.returncode == 2
    assert "There is no command 'tset'" in result.stderr
    assert "./run [COMMAND]" in result.stderr


def test_every_check_runs_even_where_one_fails(installed: Path) -> None:
    fake_program(installed, "ruff", exit_code=1)

    result = run(installed, "check")

    verdicts = [line.split()[-1] for line in result.stderr.splitlines() if " s  " in line]
    assert verdicts == ["FAILED", "FAILED", "ok", "ok"]
    assert result.returncode == 1


def test_once_installed_it_adds_at_most_half_a_second(installed: Path) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        run(installed, "demo")
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) <= 0.5


def test_what_is_installed_is_stale_when_its_origin_changed(installed: Path) -> None:
    bootstrap = load(installed)
    assert bootstrap.is_ready(bootstrap.read_state())

    with (installed / "requirements.lock").open("a") as lock:
        lock.write("\n")

    assert not bootstrap.is_ready(bootstrap.read_state())
    assert bootstrap.can_be_updated(bootstrap.read_state())


def test_a_half_finished_environment_is_neither_used_nor_kept(installed: Path) -> None:
    bootstrap = load(installed)

    bootstrap.write_state(status="installing")

    assert not bootstrap.is_ready(bootstrap.read_state())
    assert not bootstrap.can_be_updated(bootstrap.read_state())


def test_a_copied_checkout_does_not_use_the_environment_of_the_first(
    installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy") / "tree"
    shutil.copytree(installed, copy)
    bootstrap = load(copy)

    assert not bootstrap.is_ready(bootstrap.read_state())
    assert not bootstrap.can_be_updated(bootstrap.read_state())


def test_of_two_at_once_the_second_waits_and_uses_what_the_first_installed(
    installed: Path,
) -> None:
    bootstrap = load(installed)
    finished = bootstrap.read_state()
    bootstrap.write_state(status="installing")
    (installed / ".cache").mkdir()
    with (installed / ".cache" / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "run", "demo"],
            cwd=installed,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert second.stderr
            assert "waiting" in second.stderr.readline()
        except AssertionError:
            second.kill()
            raise
        bootstrap.write_state(**finished)

    output, errors = second.communicate(timeout=30)

    assert output.strip() == "python -m openloop demo"
    assert not errors
