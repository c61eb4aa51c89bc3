"""Every variable that the code reads is in docs/reference/settings.md, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from openloop.models.providers import variable_names
from openloop.plugin import discover

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/settings.md"
EXAMPLE = ROOT / ".env.example"
READ = re.compile(
    r"[\"'](OPENLOOP_[A-Z_]+|SLACK_[A-Z_]+|GITHUB_[A-Z_]+|DATABASE_URL|NO_COLOR)[\"']"
)
ROW = re.compile(r"^\|(.*)$", re.MULTILINE)
NAME = re.compile(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`")
# Set by us for a program that we start; nobody else sets it.
INTERNAL = {"OPENLOOP_ROLE_PASSWORD"}


def read_by_the_code() -> set[str]:
    """Every variable that the product reads."""
    source = ROOT / "src/openloop"
    files = [p for p in source.rglob("*.py") if "testing" not in p.relative_to(source).parts]
    found = {name for file in files for name in READ.findall(file.read_text("utf-8"))}
    declared = {variable.name for each in discover().values() for variable in each.variables}
    return (found | declared | variable_names()) - INTERNAL


def documented() -> set[str]:
    """The variables of the tables, in their first column or their list."""
    rows = [row.split("|") for row in ROW.findall(PAGE.read_text("utf-8"))]
    return {name for row in rows for cell in row[:2] for name in NAME.findall(cell)}


def test_every_variable_is_documented_and_no_other() -> None:
    described = NAME.findall(PAGE.read_text("utf-8"))

    assert read_by_the_code() - set(described) == set()
    assert documented() - read_by_the_code() - {"OPENLOOP_HOME"} == set()


def test_the_example_file_names_no_variable_that_nobody_reads() -> None:
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text("utf-8"), re.MULTILINE))

    assert named
    assert named <= read_by_the_code()


def test_the_meaning_of_an_integrations_variable_is_not_empty() -> None:
    for integration in discover().values():
        for variable in integration.variables:
            assert variable.meaning.endswith("."), variable.name
