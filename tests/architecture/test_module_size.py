"""A module fits in a reader's head: 500 lines, and the list of exemptions may only shrink."""

from pathlib import Path

LONGEST = 500
EXEMPT: dict[str, int] = {}
"""Lines of the modules that were longer when they were exempted, by path. Never add to it."""


def lengths(repository: Path, own_files: list[Path]) -> dict[str, int]:
    """Count the lines of every Python file of the project."""
    python = [path for path in own_files if path.suffix == ".py" or path == repository / "run"]
    return {
        path.relative_to(repository).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in python
    }


def test_no_module_is_longer_than_it_may_be(repository: Path, own_files: list[Path]) -> None:
    found = lengths(repository, own_files)

    too_long = {path: n for path, n in found.items() if n > EXEMPT.get(path, LONGEST)}

    assert found
    assert not too_long


def test_an_exemption_ends_when_the_module_has_become_short(
    repository: Path, own_files: list[Path]
) -> None:
    found = lengths(repository, own_files)

    assert not [path for path in EXEMPT if found.get(path, 0) <= LONGEST]
