"""The floors of .importlinter hold, and each of its contracts catches what it is there for."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLANTS = {
    "floors": ("domain", "import openloop.plugin"),
    "domain": ("domain", "import socket"),
    "guests": ("integrations/slack", "import openloop.storage"),
    "strangers": ("integrations/console", "import openloop.integrations.github"),
    "rigs": ("testing/rigs", "import openloop.plugin"),
    "settings": ("testing", "import openloop.settings"),
    "sql": ("runtime", "import psycopg"),
    "queue": ("actions", "import procrastinate"),
    "litellm": ("api", "import litellm"),
    "mcp": ("runtime", "import mcp"),
    "cycles": ("storage", "import openloop.storage.planted_cycles_partner"),
}
"""For each contract a folder, and an import that must not be written there."""


def lint(config: Path, source: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache", "--config", config],
        cwd=source,
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def contract_names(config: Path) -> dict[str, str]:
    """Read the contracts: what each one says, by its id."""
    parser = configparser.ConfigParser()
    parser.read(config)
    sections = (name for name in parser.sections() if name.startswith("importlinter:contract:"))
    return {section.rpartition(":")[2]: parser[section]["name"] for section in sections}


@pytest.fixture
def config(repository: Path) -> Path:
    return repository / ".importlinter"


@pytest.fixture
def source_copy(repository: Path, tmp_path: Path) -> Path:
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "src", tmp_path / "src", ignore=skip)
    return tmp_path / "src"


def test_the_code_keeps_to_its_floors(config: Path, repository: Path) -> None:
    result = lint(config, repository / "src")

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_has_a_planted_violation(config: Path) -> None:
    assert set(PLANTS) == set(contract_names(config))


def test_every_contract_catches_its_planted_violation(config: Path, source_copy: Path) -> None:
    package = source_copy / "openloop"
    for contract, (folder, statement) in PLANTS.items():
        (package / folder / f"planted_{contract}.py").write_text(statement + "\n")
    partner = package / "storage" / "planted_cycles_partner.py"
    partner.write_text("import openloop.storage.planted_cycles\n")

    result = lint(config, source_copy)

    assert result.returncode == 1
    for contract, name in contract_names(config).items():
        assert f"{name} BROKEN" in result.stdout, contract
        assert f"planted_{contract}" in result.stdout, contract


def test_a_part_without_a_floor_is_refused(config: Path, source_copy: Path) -> None:
    homeless = source_copy / "openloop" / "helpers"
    homeless.mkdir()
    (homeless / "__init__.py").write_text("")

    result = lint(config, source_copy)

    assert result.returncode == 1
    assert "helpers" in result.stdout
