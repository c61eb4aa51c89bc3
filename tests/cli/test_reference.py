"""docs/reference/cli.md is what the help texts say: the golden file of the command line."""

from __future__ import annotations

from pathlib import Path

from openloop.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), (
        "run: python -m openloop.cli.reference > docs/reference/cli.md"
    )
