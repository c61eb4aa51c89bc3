"""Nothing in the repository is true of one machine only."""

import re
from pathlib import Path

# Put together here, so that this file does not contain what it looks for.
ONE_MACHINE = re.compile(r"(?<![\w.~-])/(?:{})/".format("|".join(("work", "root"))))
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(parts))
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("registry", "npmjs"),
            ("deb", "debian", "org"),
        )
    )
)


def mentions(pattern: re.Pattern[str], own_files: list[Path]) -> list[str]:
    """List the lines that match, in those files that are text."""
    found: list[str] = []
    for path in own_files:
        text = path.read_bytes().decode("utf-8", "replace")
        lines = enumerate(text.splitlines(), start=1)
        found += [f"{path}:{number}: {line}" for number, line in lines if pattern.search(line)]
    return found


def test_no_file_names_a_path_of_one_machine(own_files: list[Path]) -> None:
    assert not mentions(ONE_MACHINE, own_files)


def test_no_file_names_the_host_of_a_package_registry(own_files: list[Path]) -> None:
    assert not mentions(REGISTRIES, own_files)


def test_a_planted_path_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.md"
    planted.write_text("see /{}/main/notes\n".format("work"))

    assert mentions(ONE_MACHINE, [planted])
